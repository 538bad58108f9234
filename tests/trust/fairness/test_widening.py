"""Whether adaptation widened gaps between groups."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.fairness.groups import Judged, gaps, judged
from acclimate.trust.fairness.widening import Widening, widened
from tests.trust.fairness.test_groups import LABELS, SEX, answers


def change(adapted: np.ndarray, reference: np.ndarray, units: np.ndarray | None = None) -> Widening:
    sides = [{"accuracy": Judged((said == LABELS).astype(float))} for said in (adapted, reference)]
    return widened(*sides, {"sex": SEX}, units, replicates=500)["sex"]["accuracy"]


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
    groups = {"sex": np.repeat(["a", "b"], 60)}
    found = [
        widened(*({"accuracy": Judged((rng.random(120) < 0.8) * 1.0)} for _ in "ab"), groups, seed=k, replicates=200)
        for k in range(60)
    ]
    assert sum(each["sex"]["accuracy"].change != "no_evidence" for each in found) <= 8


def test_one_group_has_no_gap() -> None:
    ones, zeros = {"accuracy": Judged(np.ones(30))}, {"accuracy": Judged(np.zeros(30))}
    assert widened(ones, zeros, {"sex": np.full(30, "a")}) == {"sex": {}}


def test_columns_and_metrics_are_told_as_if_each_were_alone() -> None:
    """All are tested on the same swaps and draws: what one says does not depend on which stand beside it, but for the
    share of chance that each has."""
    old = np.tile(["no", "yes", "yes", "no", "no"], 11).astype(object)
    sides = [judged(said, LABELS, ("no", "yes")) for said in (answers(0, 15), answers(3, 0))]
    found = widened(*sides, {"sex": SEX, "old": old}, replicates=300)
    assert set(found["sex"]) == set(found["old"]) == set(sides[0])
    for column, groups in (("sex", SEX), ("old", old)):
        for metric, (ours, theirs) in zip(sides[0], zip(*(side.values() for side in sides), strict=True), strict=True):
            gap = [gaps({metric: side}, {column: groups})[column][metric] for side in (ours, theirs)]
            assert found[column][metric].value == pytest.approx(gap[0] - gap[1])
            alone = widened({metric: ours}, {metric: theirs}, {column: groups}, replicates=300)[column][metric]
            assert (found[column][metric].low, found[column][metric].high) == pytest.approx(
                (alone.low, alone.high), abs=0.08
            )
            assert found[column][metric].p_value == pytest.approx(alone.p_value, abs=0.12)


def test_a_permutation_by_hand() -> None:
    """Two rows differ, of groups of ten: of the four swaps two give the gap that was seen, either way round."""
    groups, right = np.repeat(["a", "b"], 10), np.ones(20)
    wrong = np.where(np.isin(np.arange(20), [10, 11]), 0.0, 1.0)
    found = widened({"accuracy": Judged(wrong)}, {"accuracy": Judged(right)}, {"g": groups}, replicates=2000)["g"][
        "accuracy"
    ]
    assert found.value == pytest.approx(0.2) and found.p_value == pytest.approx(0.5, abs=0.04)
