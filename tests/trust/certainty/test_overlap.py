"""Whether two domains are exchangeable, and what a row weighs where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.certainty.overlap import _ranked, effective, fit

RNG = np.random.default_rng(0)


def test_rows_of_one_domain_are_seldom_called_different() -> None:
    found = [fit(RNG.normal(size=(60, 3)), RNG.normal(size=(80, 3))) for _ in range(40)]
    p_values = np.array([each.p_value for each in found if each is not None])
    assert len(p_values) == 40
    assert (p_values < 0.05).sum() <= 6
    assert 0.3 < np.median(p_values) < 0.8


def test_a_shift_is_seen_and_weighed() -> None:
    source, target = RNG.normal(size=(1500, 2)), RNG.normal([1.0, 0.0], size=(2000, 2))
    found = fit(source, target)
    assert found is not None and found.p_value < 1e-20
    assert found.auc == pytest.approx(0.76, abs=0.02)  # Phi(1 / sqrt 2)
    rows = np.array([[-1.0, 0.3], [0.5, -2.0], [2.0, 0.0]])
    np.testing.assert_allclose(found.log_ratio(rows), rows[:, 0] - 0.5, atol=0.25)
    np.testing.assert_allclose(found.log_ratio(source), found.source, atol=0.25)


def test_weights_are_cut() -> None:
    found = fit(RNG.normal(size=(100, 1)), RNG.normal(size=(100, 1)) + 5)
    assert found is not None
    assert found.weights().max() <= 10 + 1e-9
    assert found.weights(3.0).max() <= 3 + 1e-9


def test_few_rows_are_not_compared() -> None:
    assert fit(RNG.normal(size=(9, 2)), RNG.normal(size=(50, 2))) is None


def test_ranks_by_hand() -> None:
    """Five folds of a row each: the target's is higher in four of them."""
    auc, p_value = _ranked(np.zeros(5), np.array([1.0, 1.0, 1.0, 1.0, -1.0]))
    assert auc == pytest.approx(0.8)
    assert p_value == pytest.approx(0.0899, abs=1e-4)  # (4 - 2.5) / sqrt(5 / 4)
    assert _ranked(np.zeros(5), np.zeros(5)) == (0.5, 1.0)


def test_effective_rows_by_hand() -> None:
    assert effective(np.ones(7)) == pytest.approx(7)
    assert effective(np.array([3.0, 1.0])) == pytest.approx(1.6)
