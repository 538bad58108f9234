"""auto: whom it averages, what its pupil learns, and what becomes of candidates that do not fit."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.selection.shares import SLACK
from acclimate.selection.validators import combine, dawid_skene, infomax

QUICK = {"steps": 40, "batch_size": 16}


@pytest.fixture
def adapt(points, write_csv, tmp_path):
    """``adapt(settings, **options)``: auto from one set of points to another, through files."""
    source = write_csv(tmp_path / "source.csv", "x0,x1,label", points(200))
    target = write_csv(tmp_path / "target.csv", "x0,x1,label", points(200, where="target"))

    def run(settings=None, **options):
        given = {"backbone": "columns", "training": QUICK, "plain_baseline": False, **options}
        method = {"name": "auto", "candidates": ["mcc", "coral", "mlls"], "top": 2, **(settings or {})}
        columns = {"input": ["x0", "x1"], "label": "label"}
        return ac.adapt(str(source), str(target), method=method, out=tmp_path / "run", **columns, **given)

    return run


def answers(run, arm):
    with np.load(run.folder / "arms" / arm / "evidence.npz") as arrays:
        return arrays["target_probabilities"].astype(float)


def last_stage(run):
    return json.loads((run.folder / "arms" / "auto" / "arm.json").read_text())["stages"][-1]


@pytest.mark.parametrize("tune", [{"kind": "frozen"}, {"kind": "frozen", "bottleneck": 32}])
def test_the_pupil_says_what_the_best_arms_say_together(adapt, tune):
    run = adapt(tune=tune, training={**QUICK, "steps": 400})
    arms = [row["name"] for row in run.result["arms"]]
    assert arms == ["source_only", "mcc", "coral", "mlls", "auto"]
    said = {name: answers(run, name) for name in arms[:-1] if name != "mlls"}  # it only weighs source_only's anew
    rated = combine(dawid_skene(said), {name: infomax(values) for name, values in said.items()})
    best = sorted(sorted(rated), key=rated.get, reverse=True)[:2]
    record = last_stage(run)
    assert record["members"] == best
    mean = np.mean([answers(run, name) for name in best], axis=0)
    pupil = answers(run, "auto")
    assert (pupil.argmax(1) == mean.argmax(1)).mean() == pytest.approx(record["fidelity"], abs=1e-4)
    assert record["fidelity"] > 0.95
    assert np.abs(pupil - mean).mean() < 0.08


def test_a_candidate_that_fails_is_left_out_and_named(adapt):
    with pytest.warns(UserWarning, match="arm 'cdan' is left out: .*not finite"):
        run = adapt({"candidates": ["coral", "cdan"]}, training={**QUICK, "learning_rate": 1e30})
    assert [row["name"] for row in run.result["arms"]] == ["source_only", "coral", "auto"]
    assert any("arm 'cdan' is left out" in note for note in run.result["data"]["notes"])


def test_candidates_that_were_named_must_fit(adapt):
    with pytest.raises(SettingsError, match="'finetune' needs target labels"):
        adapt({"candidates": ["finetune"]})
    with pytest.raises(SettingsError, match="did you mean 'dann'"):
        adapt({"candidates": ["dan"]})


def test_of_all_those_that_fit_are_tried(adapt):
    tune = {"kind": "frozen", "bottleneck": 8}
    run = adapt({"candidates": ["all"]}, training={"steps": 2, "batch_size": 8}, tune=tune)
    arms = {row["name"] for row in run.result["arms"]}
    assert {"source_only", "dann", "mcc", "shot", "bbse", "importance_weighting", "auto"} <= arms
    assert not {"finetune", "target_only", "joint", "groupdro", "ot_mapping"} & arms


def moved(where, seed=0, n=400):
    """Two numbers, the first of which tells the class; the target's are so far to the right that all look like yes."""
    rng = np.random.default_rng([seed, where == "source"])
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)
    values = np.stack([sign + rng.normal(0, 0.3, n), rng.normal(0, 1, n)], axis=1)
    return (values + (0 if where == "source" else 3)).astype(np.float32), np.where(sign < 0, "no", "yes")


def test_it_solves_a_shift_that_source_only_does_not(tmp_path):
    source, target = ac.read(moved("source"), label="label"), ac.read(moved("target")[0])
    backbone, methods = {"name": "columns", "standardize": False}, ("coral", "ot_mapping", "mlls")
    run = ac.compare(source, target, methods=methods, top=1, backbone=backbone, out=tmp_path / "run")
    assert last_stage(run)["members"][0] in ("coral", "ot_mapping")
    found = run.evaluate(ac.read(moved("target", seed=1), label="label"))
    accuracy = {name: arm["metrics"]["accuracy"] for name, arm in found["arms"].items()}
    assert accuracy["source_only"] < 0.8
    assert accuracy["auto"] > 0.95


@pytest.fixture
def few(tmp_path):
    """``few(labels)``: auto with arms among which only labels find the right one; most target rows have none."""
    truth = moved("target")[1]

    def table(path, rows, labels):
        pd.DataFrame({"a": rows[:, 0], "b": rows[:, 1], "label": labels}).to_csv(path, index=False)
        return str(path)

    def run(labels, out="run"):
        source = table(tmp_path / "source.csv", *moved("source"))
        known = np.where(np.arange(len(truth)) < 60, labels, "")
        target = table(tmp_path / "target.csv", moved("target")[0], known)
        method = {"name": "auto", "candidates": ["coral", "mlls", "bbse"], "top": 1}
        columns = {"input": ["a", "b"], "label": "label", "target_label": "label"}
        backbone = {"name": "columns", "standardize": False}
        return ac.adapt(source, target, method=method, backbone=backbone, out=tmp_path / out, **columns)

    return run, truth


def test_a_few_permitted_labels_choose_where_the_scores_are_wrong(few):
    run, truth = few
    found = run(truth)
    assert last_stage(found)["members"][0] == "coral"
    assert found.decision == "adapt" and "target labels" in found.reasons[1]
    assert found.result["data"]["split"]["labelled_target"] == 0  # none is trained on
    assert found.result["data"]["split"]["labelled_target_validation"] == 60


def test_permitted_labels_train_no_arm_but_the_average(few):
    run, truth = few
    right, wrong = run(truth), run(np.where(truth == "yes", "no", "yes"), "other")
    for arm in ("source_only", "coral", "mlls"):
        assert (answers(right, arm) == answers(wrong, arm)).all()
    assert (answers(right, "auto") != answers(wrong, "auto")).any()


def test_stated_shares_are_applied_to_the_target_alone(adapt):
    """The pupil learns answers as they were before; its own offsets carry the shares, and its source answers do not."""
    run = adapt({"candidates": ["coral"], "top": 1}, target_shares={"no": 0.9, "yes": 0.1})
    no, yes = json.loads((run.folder / "arms" / "auto" / "arm.json").read_text())["offsets"]
    assert no - yes > 1
    assert answers(run, "auto")[:, 0].mean() == pytest.approx(1 - 0.1 * (1 + SLACK), abs=1e-3)


def test_candidates_keep_their_best_state_by_infomax_unless_told_otherwise(adapt):
    def kept(**training):
        run = adapt({"candidates": ["mcc", "coral"]}, training={**QUICK, **training}, force=True)
        return {row["name"] for row in run.result["arms"] for stage in row["stages"] if "best_step" in stage}

    assert kept() == {"mcc"}  # the closed form of coral, source_only and auto itself have one state only
    assert kept(keep="last") == set()


def test_settings_of_one_method_have_one_vote(adapt):
    few = adapt({"candidates": ["mcc"], "settings": 6}, training={"steps": 5, "batch_size": 16})
    assert sum(row["role"] == "candidate" for row in few.result["arms"]) == 6
    assert "votes" not in few.result["arms"][-1]["label_free"]


def test_five_methods_vote(adapt):
    many = ["mcc", "coral", "bnm", "mmd", "afn"]
    found = adapt({"candidates": [*many, "mlls", "bbse"]}, training={"steps": 5, "batch_size": 16})
    assert found.result["arms"][-1]["label_free"]["votes"]["voters"] == 5  # mlls and bbse echo source_only


def test_arms_that_are_averaged_do_not_outvote_the_rest(adapt):
    found = adapt(
        {"candidates": ["mcc", "coral", "bnm", "mmd", "afn"], "top": 3}, training={"steps": 5, "batch_size": 16}
    )
    assert "votes" not in found.result["arms"][-1]["label_free"]


def test_where_all_candidates_echo_source_only_it_alone_teaches(adapt):
    found = adapt({"candidates": ["mlls", "bbse", "source_only+mlls"]})
    assert last_stage(found)["members"] == ["source_only"]
    assert (answers(found, "auto").argmax(1) == answers(found, "source_only").argmax(1)).mean() > 0.95


def test_a_pupil_of_several_layers_with_a_bottleneck(own_cache, tmp_path, reviews, write_csv, tiny_text):
    source, target = (
        write_csv(tmp_path / f"{topic}.csv", "text,label", reviews(topic=topic)) for topic in ("phone", "film")
    )
    found = ac.compare(
        str(source), str(target), methods="mcc", input="text", label="label", modality="text", backbone=str(tiny_text),
        tune={"kind": "frozen", "bottleneck": 8}, training={"steps": 4, "batch_size": 8}, plain_baseline=False,
        out=tmp_path / "run",
    )  # fmt: skip
    assert [row["name"] for row in found.result["arms"]] == ["source_only", "mcc", "auto"]
    assert set(last_stage(found)["members"]) == {"source_only", "mcc"}


def test_a_class_that_the_source_lacks_is_named(few):
    run, truth = few
    with pytest.raises(SettingsError, match=r"'maybe' is no label of the source\. Methods that would work: .*finetune"):
        run(np.where(np.arange(len(truth)) < 3, "maybe", truth))
