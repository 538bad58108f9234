"""Intervals, paired differences and the verdict."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.selection import bootstrap
from acclimate.selection.bootstrap import Difference
from acclimate.tasks.answers import Answers
from acclimate.tasks.classify import Classify

CLASSES = ("no", "yes")
TASK = Classify(CLASSES)


def answers(right: np.ndarray, labels: np.ndarray, confidence: float = 0.8) -> Answers:
    """Answers that are right where told, with one confidence."""
    said = np.where(right, labels, np.where(labels == "yes", "no", "yes"))
    yes = np.where(said == "yes", confidence, 1 - confidence)
    probabilities = np.column_stack([1 - yes, yes])
    return Answers(said.astype(object), probabilities.max(axis=1), probabilities, CLASSES)


def compared(a: Answers, b: Answers, labels: np.ndarray, groups: np.ndarray | None = None, **more: int) -> Difference:
    """The accuracy of a minus that of b."""
    arms = {"a": a, "b": b}
    return bootstrap.evaluate(TASK, arms, labels, groups, "b", **more)["a"].differences["accuracy"]


def test_interval_is_that_of_the_binomial() -> None:
    """70 of 100 right: the normal interval is 0.61 to 0.79."""
    hit = np.arange(100) < 70
    low, high = bootstrap.interval(lambda w: float(w @ hit / w.sum()), 100) or (0, 0)
    assert low == pytest.approx(0.61, abs=0.015)
    assert high == pytest.approx(0.79, abs=0.015)


def test_rows_that_are_all_right_or_all_wrong_have_the_exact_interval_of_a_share() -> None:
    """30 of 30: 0.884 to 1, by the tables of Clopper and Pearson; with ten groups of three rows 0.692 to 1."""
    labels, groups = np.array(["no", "yes"] * 15), np.repeat([f"{k}" for k in range(10)], 3)
    arms = {"right": answers(np.ones(30, dtype=bool), labels), "wrong": answers(np.zeros(30, dtype=bool), labels)}
    found = bootstrap.evaluate(TASK, arms, labels, baseline="wrong")
    assert found["right"].intervals["accuracy"] == pytest.approx((0.8843, 1.0), abs=1e-4)
    assert found["wrong"].intervals["accuracy"] == pytest.approx((0.0, 0.1157), abs=1e-4)
    assert found["right"].intervals["macro_f1"] == found["right"].intervals["accuracy"]
    low, high = found["right"].intervals["log_loss"] or (0, 0)
    assert low == pytest.approx(high)  # no share
    assert (found["right"].differences["accuracy"].low, found["right"].differences["accuracy"].high) == (1.0, 1.0)
    grouped = bootstrap.evaluate(TASK, arms, labels, groups)
    assert grouped["right"].intervals["accuracy"] == pytest.approx((0.6915, 1.0), abs=1e-4)


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not() -> None:
    values = np.random.default_rng(0).normal(size=50)
    found = [bootstrap.interval(lambda w: float(w @ values / w.sum()), 50, seed=s) for s in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_groups_of_equal_rows_widen_the_interval() -> None:
    """Ten copies of each row, drawn together: as wide as without the copies, about sqrt(10) times wider."""
    hit = np.random.default_rng(0).random(60) < 0.6
    copied, owner = np.repeat(hit, 10), np.repeat([f"{i:02d}" for i in range(60)], 10)

    def width(values: np.ndarray, groups: np.ndarray | None) -> float:
        low, high = bootstrap.interval(lambda w: float(w @ values / w.sum()), len(values), groups) or (0, 0)
        return high - low

    assert width(copied, owner) == pytest.approx(width(hit, None), rel=1e-9)
    assert width(copied, owner) / width(copied, None) == pytest.approx(np.sqrt(10), rel=0.1)


def test_paired_coverage_is_nominal() -> None:
    """a is right where b is, but for 10 % of the rows won and 5 % lost: true difference 0.05."""
    rng = np.random.default_rng(5)
    covered = 0
    for repeat in range(200):
        labels = np.where(rng.random(150) < 0.5, "yes", "no").astype(object)
        kind = rng.random(150)
        b = kind < 0.7
        a = np.where(kind < 0.05, False, b) | (kind > 0.9)
        found = compared(answers(a, labels), answers(b, labels), labels, replicates=300, seed=repeat)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.05 <= found.high
    assert 0.90 <= covered / 200 <= 0.98


def test_pairing_is_narrower_than_two_independent_intervals() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(400) < 0.5, "yes", "no").astype(object)
    b = rng.random(400) < 0.7
    a = b | (rng.random(400) < 0.1)
    found = bootstrap.evaluate(TASK, {"a": answers(a, labels), "b": answers(b, labels)}, labels, baseline="b")
    paired = found["a"].differences["accuracy"]
    assert paired.value == pytest.approx(a.mean() - b.mean())
    single = found["a"].intervals["accuracy"]
    assert single is not None and paired.low is not None and paired.high is not None
    assert paired.high - paired.low < 0.6 * (single[1] - single[0])
    assert found["b"].differences == {}
    assert bootstrap.verdict(paired) == "helped"


def test_every_arm_and_metric_sees_the_same_replicates_as_repeated_rows_would() -> None:
    rng = np.random.default_rng(2)
    labels = np.where(rng.random(40) < 0.5, "yes", "no").astype(object)
    arms = {"a": answers(rng.random(40) < 0.8, labels, 0.9), "b": answers(rng.random(40) < 0.6, labels)}
    found = bootstrap.evaluate(TASK, arms, labels, baseline="b", replicates=50)

    def repeated(arm: Answers, metric: str, weight: np.ndarray) -> float:
        again = np.repeat(np.arange(40), weight.astype(int))
        assert arm.probabilities is not None
        taken = Answers(arm.prediction[again], None, arm.probabilities[again], CLASSES)
        return TASK.metrics(taken, labels[again])[metric]

    for metric, difference in found["a"].differences.items():
        bounds = bootstrap.interval(
            lambda w, m=metric: repeated(arms["a"], m, w) - repeated(arms["b"], m, w), 40, replicates=50
        )
        assert (difference.low, difference.high) == pytest.approx(bounds)
        single = bootstrap.interval(lambda w, m=metric: repeated(arms["a"], m, w), 40, replicates=50)
        assert found["a"].intervals[metric] == pytest.approx(single)


@pytest.mark.parametrize(
    ("rows", "groups", "note"),
    [
        (1, None, "no interval from 1 row: a 95% interval needs at least 6"),
        (5, None, "no interval from 5 rows: a 95% interval needs at least 6"),
        (30, ["one"] * 30, "no interval from 1 group: a 95% interval needs at least 6"),
    ],
)
def test_too_few_units_have_no_interval_and_say_so(rows: int, groups: list[str] | None, note: str) -> None:
    labels = np.full(rows, "yes", dtype=object)
    a, b = answers(np.ones(rows, bool), labels), answers(np.zeros(rows, bool), labels)
    named = None if groups is None else np.array(groups, dtype=object)
    found = compared(a, b, labels, named)
    assert found == Difference(1.0, None, None, note)
    assert bootstrap.verdict(found) == "no_evidence"
    assert bootstrap.interval(lambda w: 1.0, rows, named) is None


def test_few_groups_are_named() -> None:
    labels = np.full(24, "yes", dtype=object)
    groups = np.repeat(np.arange(8), 3)
    a, b = answers(np.arange(24) % 2 == 0, labels), answers(np.arange(24) % 3 == 0, labels)
    assert compared(a, b, labels, groups).note == ("only 8 groups: the interval is likely too narrow")


def test_replicates_in_which_a_metric_is_undefined_are_left_out() -> None:
    found = bootstrap.interval(lambda w: float("nan") if w[0] == 0 else 1.0, 10, replicates=50)
    assert found == (1.0, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "higher", "said"),
    [
        (0.01, 0.2, True, "helped"),
        (0.01, 0.2, False, "hurt"),
        (-0.2, -0.01, True, "hurt"),
        (-0.2, -0.01, False, "helped"),
        (-0.01, 0.2, True, "no_evidence"),
        (0.0, 0.2, True, "no_evidence"),
        (None, None, True, "no_evidence"),
    ],
)
def test_verdict(low: float | None, high: float | None, higher: bool, said: str) -> None:
    assert bootstrap.verdict(Difference(0.05, low, high), higher) == said
