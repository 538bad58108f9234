"""Temperature scaling."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.certainty.calibrate import temperature


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
