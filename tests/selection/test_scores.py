"""Label-free scores against hand computations."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from acclimate.selection import decision, gap, scores, shifts
from acclimate.trust.certainty import calibrate

SURE = np.array([[1.0, 0.0], [0.0, 1.0]])
UNSURE = np.full((2, 2), 0.5)
ONE_SIDED = np.array([[1.0, 0.0], [1.0, 0.0]])


def test_entropy_in_nats() -> None:
    assert scores.entropy(SURE) == 0
    assert scores.entropy(UNSURE) == pytest.approx(np.log(2))
    assert scores.entropy(np.array([[0.25, 0.75]])) == pytest.approx(0.25 * np.log(4) + 0.75 * np.log(4 / 3))


def test_infomax_is_entropy_of_the_mean_minus_mean_entropy() -> None:
    assert scores.infomax(SURE) == pytest.approx(np.log(2))  # sure and diverse
    assert scores.infomax(UNSURE) == pytest.approx(0)  # diverse only because unsure
    assert scores.infomax(ONE_SIDED) == pytest.approx(0)  # sure but one-sided
    mixed = np.array([[0.9, 0.1], [0.3, 0.7]])  # mean (0.6, 0.4)
    by_hand = 0.6730117 - (0.3250830 + 0.6108643) / 2
    assert scores.infomax(mixed) == pytest.approx(by_hand, abs=1e-6)


def test_agreement_with_the_mean_of_all_arms() -> None:
    a = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    b = np.array([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9]])  # mean: 0, 0, 1
    assert scores.agreement({"a": a, "b": b}) == {"a": 1.0, "b": pytest.approx(2 / 3)}


def test_agreement_of_numbers_is_correlation() -> None:
    line, noise = np.arange(5.0), np.array([0.0, 3.0, 1.0, 2.0, 4.0])
    found = scores.agreement({"line": line, "noise": noise, "flat": np.full(5, 2.0)})
    assert found["line"] == pytest.approx(np.corrcoef(line, line + noise)[0, 1])
    assert found["flat"] == 0


def test_atc_recovers_the_accuracy_of_a_source_like_target() -> None:
    """Confidence that is right as often as it says: the estimate is the target's true accuracy."""
    rng = np.random.default_rng(0)

    def rows(low: float, n: int = 20000) -> tuple[np.ndarray, np.ndarray]:
        confidence = rng.uniform(low, 1, n)
        return np.column_stack([confidence, 1 - confidence]), rng.random(n) < confidence

    source, right = rows(0.5)
    same, same_right = rows(0.5)
    assert scores.atc(source, right, source) == pytest.approx(right.mean())
    assert scores.atc(source, right, same) == pytest.approx(same_right.mean(), abs=0.01)
    sure, _ = rows(0.9)
    assert scores.atc(source, right, sure) == 1.0


def test_atc_of_an_arm_that_is_never_or_always_right() -> None:
    assert scores.atc(SURE, np.array([False, False]), SURE) == 0.0
    assert scores.atc(SURE, np.array([True, True]), SURE) == 1.0


def answered(*counts: int) -> np.ndarray:
    """Sure probabilities with so many answers of each class."""
    return np.repeat(np.eye(len(counts)), counts, axis=0)


def test_collapse() -> None:
    even = np.array([0.5, 0.5])
    assert scores.collapse(answered(50, 50), even) == ()
    assert scores.collapse(answered(80, 20), even) == ()
    (said,) = scores.collapse(answered(98, 2), even)
    assert said == "the shares of its answers have an entropy of 0.10 nats, those of the source 0.69"


def test_a_vanished_class_is_named_only_where_it_was_to_be_expected() -> None:
    shares, classes = np.array([0.8, 0.16, 0.04]), ("a", "b", "c")
    assert scores.vanished(answered(99, 1, 0), shares, classes) == {
        "b": "class 'b' has 16.0% of the source and 1.0% of the answers"
    }
    assert scores.vanished(answered(980, 20, 0), shares, classes) == {}
    assert scores.vanished(answered(20, 0, 0), shares, classes) == {}  # 3 rows of b expected: chance


def test_collapse_of_numbers() -> None:
    labels = np.linspace(0, 10, 100)
    assert scores.collapse_of_numbers(labels * 0.5 + 3, labels) == ()
    (flat,) = scores.collapse_of_numbers(np.full(50, 5.0), labels)
    assert flat == "the answers have a standard deviation of 0, the source's labels 2.92"
    (far,) = scores.collapse_of_numbers(np.append(labels, [1e3] * 50), labels)
    assert far == "33% of the answers are far outside the source's range 0 to 10"


@pytest.mark.parametrize("module", [calibrate, decision, gap, scores, shifts])
def test_nothing_that_selects_is_given_target_labels(module: object) -> None:
    """Labels enter as the source's (or as permitted, already evaluated, in ArmEvidence)."""
    functions = [f for _, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == module.__name__]
    assert functions
    parameters = {name for function in functions for name in inspect.signature(function).parameters}
    assert not {name for name in parameters if "target" in name and ("label" in name or name == "target_y")}
