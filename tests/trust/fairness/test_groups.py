"""Metrics by group, and gaps."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.errors import DataError
from acclimate.trust.fairness.groups import Judged, by_group, columns, gaps, judged, worst

SEX = np.repeat(["a", "b", "c"], [20, 30, 5]).astype(object)
LABELS = np.tile(["no", "yes"], 28)[:55].astype(object)


def answers(wrong_a: int = 0, wrong_b: int = 0) -> np.ndarray:
    """The right answers but for the first rows of each group."""
    said = LABELS.copy()
    for start, count in ((0, wrong_a), (20, wrong_b)):
        said[start : start + count] = np.where(LABELS[start : start + count] == "yes", "no", "yes")
    return said


def test_figures_by_hand() -> None:
    found = by_group(judged(answers(2, 15), LABELS, ("no", "yes")), {"sex": SEX})
    assert [(each["group"], each["rows"], each["suppressed"]) for each in found] == [
        ("a", 20, False), ("b", 30, False), ("c", None, True),
    ]  # fmt: skip
    a, b, c = (each["metrics"] for each in found)
    assert a["accuracy"]["value"] == 0.9 and b["accuracy"]["value"] == 0.5 and c == {}
    assert (a["accuracy"]["low"], a["accuracy"]["high"]) == pytest.approx((0.683, 0.9877), abs=1e-3)  # 18 of 20
    assert a["true_positive_rate"]["value"] == 0.9 and a["false_positive_rate"]["value"] == 0.1
    assert b["selection_rate"]["value"] == pytest.approx((8 + 8) / 30)  # 8 of 15 no turned into yes, 8 yes left
    assert gaps(judged(answers(2, 15), LABELS, ("no", "yes")), {"sex": SEX})["sex"]["accuracy"] == pytest.approx(0.4)


def test_rates_of_few_rows_are_left_out() -> None:
    labels = np.array(["yes"] * 9 + ["no"] * 21, dtype=object)
    (found,) = by_group(judged(labels, labels, ("no", "yes")), {"sex": np.full(30, "a", dtype=object)})
    assert set(found["metrics"]) == {"accuracy", "selection_rate", "false_positive_rate"}


def test_errors_of_numbers() -> None:
    numbers = np.concatenate([np.zeros(20), np.ones(30), np.zeros(5)])
    metrics = judged(numbers + np.where(SEX == "b", 2.0, 0.5), numbers, ())
    found = by_group(metrics, {"sex": SEX})
    assert [each["metrics"].get("mae", {}).get("value") for each in found] == [0.5, 2.0, None]
    assert gaps(metrics, {"sex": SEX}) == {"sex": {"mae": 1.5}}


def test_the_worst_group_has_enough_rows() -> None:
    right = Judged(np.where(SEX == "c", 0.0, np.where(SEX == "b", 0.5, 1.0)))
    assert worst(right, SEX) == 0.5
    assert worst(right, np.arange(55).astype(str)) == pytest.approx(right.values.mean())


def test_columns_are_combined_and_numbers_refused() -> None:
    found = columns({"sex": SEX, "race": np.full(55, "x", dtype=object)})
    assert list(found) == ["sex", "race", "sex & race"] and found["sex & race"][0] == "a & x"
    with pytest.raises(DataError, match="'age' has 55 different values"):
        columns({"age": np.arange(55)})
