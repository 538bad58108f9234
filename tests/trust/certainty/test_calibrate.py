"""Temperature scaling."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.certainty.calibrate import reliability, softmax, temperature, transcal


def planted(true: float, n: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels were drawn from softmax(logits / true)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(n, classes)) * true
    noise = rng.gumbel(size=(n, classes))
    return logits, (logits / true + noise).argmax(axis=1)


@pytest.mark.parametrize("true", [0.25, 1.0, 4.0])
def test_a_planted_temperature_is_found(true: float) -> None:
    assert temperature(*planted(true, 4000)) == pytest.approx(true, rel=0.05)


def test_scaled_logits_scale_the_temperature() -> None:
    logits, targets = planted(1.0, 20000)
    assert temperature(3 * logits, targets) / temperature(logits, targets) == pytest.approx(3, rel=0.01)


def test_perfectly_separated_rows_sharpen_only_mildly() -> None:
    """Likelihood alone would take T to 0; a handful of right answers is no proof of that."""
    logits = np.tile([[4.0, 0.0], [0.0, 4.0]], (25, 1))
    found = temperature(logits, np.tile([0, 1], 25))
    assert 0.3 < found < 1


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_few_rows_change_little(n: int) -> None:
    logits, targets = np.full((n, 3), [1.0, 0.0, 0.0]), np.zeros(n, dtype=int)
    assert 0.4 < temperature(logits, targets) <= 1.0


def test_all_wrong_and_sure_is_clipped() -> None:
    logits = np.tile([1e6, 0.0], (500, 1))
    assert temperature(logits, np.ones(500, dtype=int)) == pytest.approx(20, rel=1e-3)


def test_rows_that_are_not_finite_are_left_out() -> None:
    logits, targets = planted(2.0, 500)
    broken = np.concatenate([logits, [[np.nan] * 4, [np.inf] * 4]])
    assert temperature(broken, np.append(targets, [0, 0])) == temperature(logits, targets)


def test_weights_choose_the_rows_that_count() -> None:
    """Half of the rows are four times too sure, half are right: the temperature is that of the rows with weight."""
    calm, sure = planted(1.0, 2000), planted(4.0, 2000)
    logits, targets = np.concatenate([calm[0], sure[0]]), np.concatenate([calm[1], sure[1]])
    first = np.repeat([1.0, 1e-9], 2000)
    assert temperature(logits, targets, weights=first) == pytest.approx(1.0, rel=0.05)
    assert temperature(logits, targets, weights=first[::-1]) == pytest.approx(4.0, rel=0.05)
    assert temperature(logits, targets, weights=np.full(4000, 7.0)) == pytest.approx(temperature(logits, targets))


def test_rows_count_as_many_as_their_weights_are_worth() -> None:
    """One row with all the weight is one row: the prior holds it near 1."""
    logits, targets = planted(4.0, 2000)
    assert temperature(logits, targets, weights=np.append(1.0, np.zeros(1999))) < 1.6


def test_transcal_makes_confidence_the_estimated_accuracy() -> None:
    """Without a shift of inputs the target's accuracy is the source's, so confidence has to come down to it."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=6, size=(4000, 3))
    wrong = rng.random(1000) < 0.3
    found = transcal(logits, np.ones(1000), wrong, source_confidence=1 - wrong.mean())
    assert found > 1
    assert softmax(logits / found).max(axis=1).mean() == pytest.approx(1 - wrong.mean(), abs=1e-3)
    worse = transcal(logits, np.where(wrong, 1.6, (1000 - 1.6 * wrong.sum()) / (~wrong).sum()), wrong, 0.7)
    assert worse > found  # rows that are wrong weigh more in the target


def test_transcal_sharpens_nothing() -> None:
    assert transcal(np.tile([1.0, 0.0], (50, 1)), np.ones(20), np.zeros(20, dtype=bool), 1.0) == pytest.approx(
        1, abs=0.01
    )


def test_reliability_by_hand() -> None:
    confidence = np.array([0.55, 0.6, 0.95, 1.0])
    error, bins = reliability(confidence, np.array([True, False, True, True]), bins=2)
    assert error == pytest.approx(abs(0.75 - confidence.mean()))
    assert [(b.low, b.high, b.rows, b.accuracy) for b in bins] == [(0.5, 1.0, 4, 0.75)]
    error, bins = reliability(confidence, np.array([True, False, True, True]), bins=20)  # 0.55 and 0.6 lie apart
    assert error == pytest.approx((0.45 + 0.6 + 0.05) / 4)
    assert [b.rows for b in bins] == [1, 1, 1, 1]
