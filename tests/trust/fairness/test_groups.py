"""Metrics by group, gaps, and whether adaptation widened them."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.errors import DataError
from acclimate.trust.fairness.groups import Judged, by_group, columns, gaps, judged, widened, worst

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


def change(adapted: np.ndarray, reference: np.ndarray, units: np.ndarray | None = None):
    sides = [Judged((said == LABELS).astype(float)) for said in (adapted, reference)]
    found = widened(*sides, SEX, units, replicates=500)
    assert found is not None
    return found


def test_a_gap_that_adaptation_opened() -> None:
    found = change(answers(0, 15), answers(0, 0))
    assert (found.value, found.change) == (0.5, "widened") and found.p_value < 0.01 and found.low > 0.2
    other = change(answers(0, 0), answers(0, 15))
    assert (other.value, other.change) == (-0.5, "narrowed")


def test_errors_in_both_groups_alike_open_no_gap() -> None:
    found = change(answers(6, 9), answers(0, 0))
    assert found.value == pytest.approx(0) and found.change == "no_evidence" and found.p_value > 0.5


def test_one_person_s_rows_are_one_piece_of_evidence() -> None:
    """All errors are those of one person: rows say widened, the person does not."""
    units = np.arange(55).astype(str)
    units[20:35] = "one"
    assert change(answers(0, 15), answers(0, 0), units).p_value > 0.2


def test_chance_is_rarely_called_a_change() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b"], 60)
    found = [
        widened(
            Judged((rng.random(120) < 0.8) * 1.0), Judged((rng.random(120) < 0.8) * 1.0), groups, seed=k, replicates=200
        )
        for k in range(60)
    ]
    assert sum(each is not None and each.change != "no_evidence" for each in found) <= 8


def test_one_group_has_no_gap() -> None:
    assert widened(Judged(np.ones(30)), Judged(np.zeros(30)), np.full(30, "a")) is None
