"""Columns of a table are found by name, whoever read it and in whatever order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.errors import DataError
from acclimate.runs.columns import fitted

QUICK = {"backbone": "mlp", "method": "dann", "plain_baseline": False, "training": {"steps": 20, "batch_size": 8}}


@pytest.fixture
def frames():
    """``a`` tells the class, ``b`` is large, ``c`` is a word."""
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        label = np.arange(60) % 2
        found.append(
            pd.DataFrame(
                {
                    "a": label + rng.normal(0, 0.2, 60),
                    "b": rng.normal(100, 5, 60),
                    "c": rng.choice(["red", "blue"], 60),
                    "label": np.where(label, "yes", "no"),
                }
            )
        )
    return found


@pytest.fixture
def adapted(frames, tmp_path):
    """``adapted(target, name)`` adapts to a target."""
    source = ac.read(frames[0], input=["a", "b", "c"], label="label")

    def adapt(target, name, **more):
        return ac.adapt(source, target, out=tmp_path / name, **QUICK, **more)

    return adapt


def weights(run):
    return (run.folder / "arms" / "dann" / "model" / "weights.safetensors").read_bytes()


def test_the_order_of_columns_and_other_columns_change_nothing(frames, adapted):
    columns = {
        "plain": ["a", "b", "c"],
        "turned": ["c", "a", "b"],
        "labelled": ["label", "c", "b", "a"],
    }
    runs = {name: adapted(ac.read(frames[1][order], input="*"), name) for name, order in columns.items()}
    assert len({weights(run) for run in runs.values()}) == 1
    assert len({run.result["data"]["target"]["hash"] for run in runs.values()}) == 1
    labels, shuffled = frames[2], frames[2][["label", "b", "c", "a"]]
    run = runs["plain"]
    whole = run.evaluate(labels, label="label")
    assert run.evaluate(ac.read(shuffled, input="*", label="label"))["arms"] == whole["arms"]
    assert run.evaluate(shuffled, label="label", input="*")["arms"] == whole["arms"]
    assert run.predict(ac.read(shuffled, input="*"))["confidence"].equals(run.predict(labels)["confidence"])
    with pytest.raises(DataError, match="60 of 60 rows were trained on"):
        run.evaluate(ac.read(frames[0][["label", "c", "b", "a"]], input="*", label="label"))


def test_columns_of_other_names_are_refused_unless_a_person_names_them(frames, adapted, tmp_path):
    other = frames[1].rename(columns={"a": "x", "b": "y"})
    strange = other.rename(columns={"c": "z"})
    for target in (ac.read(strange, input="*"), ac.read(strange[["label", "y", "z"]], input="*"), strange):
        with pytest.raises(DataError, match="no column 'a'"):
            adapted(target, "refused")
    run = adapted(ac.read(other, input="*"), "named", target_input=["x", "y", "c"])
    assert weights(run) == weights(adapted(frames[1], "plain"))
    with pytest.raises(DataError, match="2 input columns are named"):
        adapted(ac.read(other, input="*"), "refused", target_input=["x", "y"])
    test = frames[2].rename(columns={"a": "x", "b": "y"})
    found = run.evaluate(ac.read(test, input="*", label="label"))
    assert found["arms"] == run.evaluate(test, label="label")["arms"]
    assert found["arms"] == run.evaluate(frames[2], label="label")["arms"]
    answers = run.predict(frames[2])["confidence"]
    path = tmp_path / "renamed.csv"
    test.to_csv(path, index=False)
    for renamed in (test, ac.read(test, input="*"), str(path), test.to_dict("records")):
        assert run.predict(renamed)["confidence"].equals(answers)
    with pytest.raises(DataError, match="no column 'a'"):
        run.predict(test.rename(columns={"x": "z"}))


def test_several_sources_agree_by_name(frames, tmp_path):
    columns = {"input": "*", "label": "label"}
    one, two = ac.read(frames[0], **columns), ac.read(frames[1][["label", "c", "a", "b"]], **columns)
    target = ac.read(frames[2], input=["a", "b", "c"])
    mixed = ac.adapt([one, two], target, out=tmp_path / "mixed", **QUICK)
    straight = ac.adapt([one, ac.read(frames[1], **columns)], target, out=tmp_path / "straight", **QUICK)
    assert weights(mixed) == weights(straight)
    with pytest.raises(DataError, match="no column 'b'"):
        ac.adapt([one, ac.read(frames[1][["a", "c", "label"]], **columns)], target, out=tmp_path / "less", **QUICK)


@pytest.mark.parametrize("modality", ["table", "array"])
def test_ids_are_those_of_the_columns_that_are_read(frames, modality):
    numbers = frames[0][["a", "b"]].assign(d=frames[0]["a"] * 3)
    wanted = ac.read(numbers[["a", "b"]], input="*", modality=modality)
    found = fitted(ac.read(numbers[["d", "b", "a"]], input="*", modality=modality), wanted.schema)
    assert (found.ids == wanted.ids).all()
    assert found.schema == wanted.schema
    every = np.arange(len(found))
    np.testing.assert_array_equal(found.rows.take(every), wanted.rows.take(every))
