"""Logistic regression of domain classifiers against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from acclimate.trust.certainty import logistic as module
from acclimate.trust.certainty.logistic import logistic


def rows(n: int, d: int, gap: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    second = rng.random(n) < 0.3
    return rng.normal(size=(n, d)) + gap * second[:, None], second


@pytest.mark.parametrize("penalty", [0.01, 1.0])
@pytest.mark.parametrize("gap", [0.0, 0.4, 50.0])
@pytest.mark.parametrize(("n", "d", "weighted"), [(200, 6, False), (200, 6, True), (60, 90, False), (60, 90, True)])
def test_it_finds_what_scikit_learn_finds(monkeypatch, penalty, gap, n, d, weighted):
    x, second = rows(n, d, gap)
    weight = np.random.default_rng(1).random(n) * 3 if weighted else None
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.linear_model.LogisticRegression", None)  # is not called
        slope, shift = logistic(x, second, penalty, weight)
    exact = LogisticRegression(C=penalty, max_iter=10_000, tol=1e-10).fit(x, second, weight)
    np.testing.assert_allclose(x @ slope + shift, exact.decision_function(x), rtol=1e-4, atol=1e-4)


def test_large_tables_are_given_to_scikit_learn(monkeypatch):
    monkeypatch.setattr(module, "_newton", None)  # is not called
    x, second = rows(300, 200, 0.2)
    slope, shift = logistic(x, second, 0.01)
    exact = LogisticRegression(C=0.01, max_iter=500).fit(x, second)
    np.testing.assert_array_equal(slope, exact.coef_[0])
    assert shift == exact.intercept_[0]


def test_what_does_not_converge_is_given_to_scikit_learn(monkeypatch):
    x, second = rows(30, 3, 0.2)
    monkeypatch.setattr(module, "STEPS", 0)
    slope, shift = logistic(x, second, 0.1)
    exact = LogisticRegression(C=0.1, max_iter=500).fit(x, second)
    np.testing.assert_array_equal(slope, exact.coef_[0])
    assert shift == exact.intercept_[0]


def test_constant_and_equal_columns_do_no_harm():
    x, second = rows(60, 2, 1.0)
    slope, _ = logistic(np.column_stack([x, np.ones(60), x[:, 0], np.zeros(60)]), second, 1.0)
    assert slope[4] == 0 and slope[0] == pytest.approx(slope[3]) and np.isfinite(slope).all()
