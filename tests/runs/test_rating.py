"""The validators of a run, held to what the saved arms and their evidence say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import acclimate as ac
from acclimate.runs import train
from acclimate.selection.validators import VALIDATORS, ArmPredictions, score


@pytest.fixture(scope="module")
def run(tmp_path_factory, points):
    """Source_only, dann and a plain baseline on points, a backbone of their own each."""
    folder = tmp_path_factory.mktemp("rating")
    files = {}
    for name in ("source", "target"):
        files[name] = folder / f"{name}.csv"
        files[name].write_text("\n".join(["x0,x1,label", *points(80, where=name)]) + "\n", "utf-8")
    return ac.adapt(
        str(files["source"]), str(files["target"]), input=["x0", "x1"], label="label", method="dann",
        training={"steps": 30}, precision="fp32", out=folder / "run",
    )  # fmt: skip


def arrays(run, arm):
    with np.load(run.folder / "arms" / arm / "evidence.npz") as stored:
        return dict(stored)


def validators(run):
    return {row["name"]: row["label_free"]["validators"] for row in run.result["arms"]}


def test_every_validator_is_there_for_every_arm(run):
    found = validators(run)
    assert set(found) == {"source_only", "dann", "plain"}
    for scores in found.values():
        assert tuple(scores) == tuple(VALIDATORS)
        assert all(np.isfinite(value) for value in scores.values())


def test_scores_of_answers_follow_from_the_evidence_that_is_kept(run):
    arms = {}
    for name in validators(run):
        kept = arrays(run, name)
        assert set(kept) == {"target_probabilities", "source_probabilities", "source_labels"}
        arms[name] = ArmPredictions(
            kept["target_probabilities"].astype(float), kept["source_probabilities"].astype(float),
            kept["source_labels"],
        )  # fmt: skip
    names = [name for name, validator in VALIDATORS.items() if "target_features" not in validator.needs]
    expected = score(arms, [name for name in names if name != "circular"])
    for name, by_arm in expected.items():
        for arm, value in by_arm.items():
            assert validators(run)[arm][name] == pytest.approx(value, abs=1e-12), (name, arm)


def features(run, arm, name, label=None):
    """What the head of a saved arm reads, by the modules themselves; and the rows."""
    domain = ac.read(str(run.folder.parent / f"{name}.csv"), input=["x0", "x1"], label=label)
    domain = domain.select(domain.order)
    model = run.arm(arm)._model.eval()
    inputs = model.backbone.collate(domain.rows.take(np.arange(len(domain))))
    with torch.no_grad():
        return model.neck(model.backbone(inputs, [model.layer])[model.layer].float()).numpy(), domain, model


def test_scores_of_features_follow_from_what_the_head_reads(run):
    values, _, model = features(run, "dann", "target")
    answers = arrays(run, "dann")["target_probabilities"].astype(float)
    arm = ArmPredictions(answers, target_features=values, head=model.head.weight.detach().numpy())
    expected = score({"dann": arm}, ["rankme", "transfer_score"])
    found = validators(run)["dann"]
    assert found["rankme"] == pytest.approx(expected["rankme"]["dann"], rel=1e-4)
    assert found["transfer_score"] == pytest.approx(expected["transfer_score"]["dann"], rel=1e-4)


def test_circular_trains_a_head_on_the_arm_s_answers_and_asks_it_for_the_source(run):
    kept = arrays(run, "source_only")
    there, _, _ = features(run, "source_only", "target")
    here, source, _ = features(run, "source_only", "source", "label")
    mean, scale = there.mean(axis=0), there.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1)
    back = LogisticRegression(C=1.0, max_iter=1000)
    back.fit((there - mean) / scale, kept["target_probabilities"].argmax(axis=1))
    right = np.array(["no", "yes"])[back.predict((here - mean) / scale)] == source.labels
    answers = run.arm("source_only").predict_proba(source)  # which rows of the file were held out shows in these
    held = [np.abs(answers - row).sum(axis=1).argmin() for row in kept["source_probabilities"]]
    assert len(set(held)) == len(held) == 16
    assert validators(run)["source_only"]["circular"] == pytest.approx(right[held].mean())


def test_a_bounded_sample_is_looked_at_and_answers_stay_whole(tmp_path, points, write_csv, own_cache, monkeypatch):
    source = write_csv(tmp_path / "s.csv", "x0,x1,label", points(60))
    target = write_csv(tmp_path / "t.csv", "x0,x1,label", points(60, where="target"))
    options = {"input": ["x0", "x1"], "label": "label", "training": {"steps": 5}, "plain_baseline": False}
    whole = ac.adapt(str(source), str(target), method="source_only", out=tmp_path / "whole", **options)
    monkeypatch.setattr(train, "SAMPLE", 16)
    part = ac.adapt(str(source), str(target), method="source_only", out=tmp_path / "part", **options)
    for name, values in arrays(whole, "source_only").items():
        np.testing.assert_allclose(arrays(part, "source_only")[name], values, atol=1e-6)
    one, other = validators(whole)["source_only"], validators(part)["source_only"]
    assert one["infomax"] == pytest.approx(other["infomax"], abs=1e-6)
    assert one["rankme"] != pytest.approx(other["rankme"], abs=1e-6)


def test_sparse_features_are_not_looked_at(tmp_path, reviews, write_csv, own_cache):
    source = write_csv(tmp_path / "s.csv", "text,label", reviews(60))
    target = write_csv(tmp_path / "t.csv", "text,label", reviews(60, "film", 1))
    run = ac.adapt(
        str(source), str(target), input="text", label="label", backbone="ngrams", method="source_only",
        out=tmp_path / "run", plain_baseline=False,
    )  # fmt: skip
    found = validators(run)["source_only"]
    assert {"infomax", "atc", "snd"} <= found.keys()
    assert not {"rankme", "mixval", "circular", "iwv"} & found.keys()
    assert not {"agreement", "ensv"} & found.keys(), "there is nothing to hold the only arm against"


def test_numbers_have_no_validators(tmp_path, write_csv, own_cache):
    rows = np.random.default_rng(0).normal(size=(60, 2))
    source = write_csv(tmp_path / "s.csv", "x,y", [f"{a:.4f},{a * 2 + b / 9:.4f}" for a, b in rows])
    target = write_csv(tmp_path / "t.csv", "x,y", [f"{a + 1:.4f},{a * 2 + b / 9:.4f}" for a, b in rows])
    run = ac.adapt(
        str(source), str(target), input="x", label="y", task="regress", method="source_only", backbone="columns",
        out=tmp_path / "run",
    )  # fmt: skip
    assert validators(run) == {"source_only": {}, "forest": {}}
