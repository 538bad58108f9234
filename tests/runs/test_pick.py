"""Arms without classes are compared by labels of the target that were permitted."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.cli.outcome import members_line
from acclimate.errors import SettingsError
from acclimate.runs.evaluate import UNCHOSEN
from acclimate.runs.pick import UNRANKED

TRAINING = {"epochs": 12, "learning_rate": 5e-3, "batch_size": 32}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


def numbers(n, shift, seed):
    """Rows whose amount is of another feature in the target."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 3))
    amount = values @ ([1.0, -2.0, 0.5] if not shift else [-1.0, 1.0, 2.0]) + 0.05 * rng.normal(size=n)
    return pd.DataFrame(values, columns=["a", "b", "c"]).assign(y=amount)


def test_the_best_arm_on_held_out_labels_is_taken_as_it_is(tmp_path):
    options = {"input": ["a", "b", "c"], "label": "y", "task": "regress", "device": "cpu"}
    method = {"name": "auto", "candidates": ["finetune", "joint"]}
    frames = numbers(300, False, 0), numbers(200, True, 1)
    run = ac.adapt(*frames, target_label="y", method=method, out=tmp_path / "run", training=TRAINING, **options)
    records = {path.parent.name: json.loads(path.read_text()) for path in (tmp_path / "run/arms").glob("*/arm.json")}
    held = {name: record["target_validation"]["metrics"]["mae"] for name, record in records.items()}
    assert set(held) == {"source_only", "finetune", "joint", "plain", "auto"}
    best = min((name for name in held if name != "auto"), key=lambda name: held[name])
    assert best == "finetune" and held["auto"] == held["finetune"] < 0.5 * held["joint"]
    chosen = {"stage": "pick", "picked": "finetune", "of": 3, "judged": True, "seconds": 0.0}
    assert records["auto"]["stages"][-1] == chosen
    fresh = numbers(80, True, 2)
    said = run.predict(fresh)["prediction"]
    assert np.abs(said - fresh["y"]).mean() < 0.5
    found = run.evaluate(fresh, label="y")["arms"]
    assert found["auto"]["metrics"] == found["finetune"]["metrics"]


def test_without_labels_of_the_target_nothing_ranks_such_arms(tmp_path):
    """All are trained and can be looked at, and the model of the source stays, bit for bit."""
    options = {"input": ["a", "b", "c"], "label": "y", "task": "regress", "device": "cpu", "training": TRAINING}
    run = ac.compare(
        numbers(200, False, 0), numbers(100, True, 1), methods=["dann", "coral"], out=tmp_path / "run", **options
    )
    assert run.decision == "keep_source" and run.reasons[0] == UNRANKED
    assert not any("label-free scores" in why for why in run.reasons), "one model does not win against itself"
    assert members_line(run.result) == [], "it is not the best by labels, for there were none"
    opened = run.evaluate(fresh := numbers(60, True, 2), label="y")
    assert UNCHOSEN in opened["notes"]
    found = opened["arms"]
    assert {"source_only", "dann", "coral", "auto"} <= set(found)
    page = ac.report(run).read_text(encoding="utf-8")
    assert "InfoMax" not in page, "numbers have none"
    assert "Nothing was chosen without labels" in page and "No evidence that adapting" not in page
    assert found["auto"]["metrics"] == found["source_only"]["metrics"] != found["dann"]["metrics"]
    said, kept = run.predict(fresh)["prediction"], run.arm("source_only").predict(fresh)["prediction"]
    assert (said == kept).all()


def test_labels_of_the_target_that_nobody_permitted_change_nothing(tmp_path):
    options = {"input": ["a", "b", "c"], "label": "y", "task": "regress", "device": "cpu", "training": TRAINING}
    runs = [
        ac.compare(
            numbers(120, False, 0),
            numbers(80, True, 1).assign(y=poison),
            methods=["dann"],
            out=tmp_path / name,
            **options,
        )
        for name, poison in (("a", 0.0), ("b", 1e6))
    ]
    fresh = numbers(40, True, 2)
    for name in ("auto", "dann"):
        one, two = (run.arm(name).predict(fresh)["prediction"] for run in runs)
        assert (one == two).all()


def test_without_labels_and_without_a_model_of_the_source_it_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    source, target = ac.read((wide, wide[:, 0]), label=True), ac.read((narrow, narrow[:, 0]), label=True)
    with pytest.raises(SettingsError, match="a model of the source to keep, and task 'regress' has none of these here"):
        ac.adapt(source, target.sealed(), method="auto", backbone="mlp", tune="full", out=tmp_path / "run")


def test_texts_are_compared_and_the_one_that_forgets_less_is_taken_of_equals(tiny_seq2seq, tmp_path):
    rng = np.random.default_rng(0)

    def sentences(n, low, high):
        words = [rng.integers(low, high, 5) for _ in range(n)]
        return pd.DataFrame([{"en": " ".join(f"a{k}" for k in w), "fr": " ".join(f"b{k}" for k in w)} for w in words])

    options = {"task": "translate", "input": "en", "label": "fr", "backbone": str(tiny_seq2seq), "device": "cpu"}
    method = {"name": "auto", "candidates": ["finetune", "joint"]}
    frames = sentences(400, 0, 14), sentences(200, 6, 20)
    options |= {"training": {**TRAINING, "epochs": 12}, "target_label": "fr", "modality": "text"}
    run = ac.adapt(*frames, method=method, out=tmp_path / "run", **options)
    records = {path.parent.name: json.loads(path.read_text()) for path in (tmp_path / "run/arms").glob("*/arm.json")}
    scores = {
        name: tuple(record[f"{domain}_validation"]["metrics"]["chrf"] for domain in ("target", "source"))
        for name, record in records.items()
    }
    assert scores["auto"] == max(scores.values()) > scores["source_only"]
    assert run.evaluate(sentences(40, 14, 20), label="fr")["arms"]["auto"]["metrics"]["chrf"] > 0.9
