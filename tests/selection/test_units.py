"""Columns in other units: found where they are, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.domains.domain import join
from acclimate.selection.shifts import most_shifted, other_units
from acclimate.selection.units import KNOWN, conversion


def values(n, seed, mean=5.5, spread=1.2):
    return np.random.default_rng(seed).normal(mean, spread, n)


@pytest.mark.parametrize("known", KNOWN, ids=lambda one: f"{one.factor:g}")
def test_every_known_conversion_is_found_in_both_directions(known):
    old, new = values(300, 0), known.factor * values(200, 1) + known.offset
    found, back = conversion(old, new), conversion(new, old)
    assert found is not None and back is not None
    assert found.factor == pytest.approx(known.factor, rel=0.01)
    assert found.offset == known.offset
    assert back.factor == pytest.approx(1 / known.factor, rel=0.01)


def test_what_is_no_other_unit():
    old = values(300, 0)
    assert conversion(old, values(300, 1)) is None, "the same"
    assert conversion(old, values(300, 1, mean=8.0)) is None, "other patients"
    assert conversion(old, 4.7 * values(300, 1)) is None, "no known constant"
    assert conversion(old, 18.016 * values(300, 1, spread=4.0)) is None, "another unit and other patients: who knows"
    assert conversion(old[:10], 18.016 * values(10, 1)) is None, "too few rows"
    assert conversion(np.repeat([0.0, 1.0], 50), np.repeat([0.0, 10.0], 50)) is None, "codes"


def frames():
    glucose, age = values(200, 0), np.random.default_rng(2).integers(20, 80, 200)
    labels = np.where(glucose > 5.5, "high", "low")
    first = pd.DataFrame({"glucose": glucose, "age": age, "label": labels})
    second = first.assign(glucose=18.016 * values(200, 1), age=age[::-1])
    return first, second


def test_inspect_says_which_column_and_mends_nothing():
    first, second = (ac.read(frame, input=["glucose", "age"]) for frame in frames())
    shifts = {shift.name: shift.detail for shift in most_shifted(first, second)}
    assert "in another unit? It looks like the source's times 18.016 (glucose" in shifts["glucose"]
    assert "age" not in shifts
    found = ac.inspect(frames()[0], frames()[1], input=["glucose", "age"], label="label")
    assert any("another unit?" in shift["detail"] for shift in found["shifts"])


def test_one_of_several_sources_is_in_another_unit():
    pair = [ac.read(frame, input=["glucose", "age"], label="label") for frame in frames()]
    assert other_units(join(pair)) == [
        "column 'glucose' of source 2 looks like that of source 1 times 18.016 (glucose in mmol/l and mg/dl): in "
        "another unit? Nothing was converted"
    ]
    assert other_units(pair[0]) == []
    found = ac.inspect(pair, ac.read(frames()[0], input=["glucose", "age"]))
    assert any("of source 2" in note for note in found["data"]["notes"])
