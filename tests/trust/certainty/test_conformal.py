from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.certainty.conformal import class_sets, p_values, supports, thresholds


def test_p_values_by_hand():
    held_out = np.array([3.0, 1.0, 4.0, 2.0])
    found = p_values(held_out, np.array([0.0, 2.5, 2.0, 9.0]))
    assert found.tolist() == [0.2, 0.6, 0.6, 1.0]  # (1 + lower or equal) / 5


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_rows_that_belong_are_refused_at_the_stated_rate(rate):
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(20_000, 40))
    refused = np.mean([p_values(row[1:], row[:1])[0] <= rate for row in draws])
    exact = np.floor(rate * 40) / 40
    assert abs(refused - exact) < 4 * np.sqrt(rate / 20_000)


@pytest.mark.parametrize(
    ("rows", "rate", "enough"), [(9, 0.1, True), (8, 0.1, False), (19, 0.05, True), (0, 0.5, False)]
)
def test_which_rates_so_many_rows_support(rows, rate, enough):
    assert supports(rows, rate) is enough


def test_thresholds_by_hand():
    strange = np.array([0.3, 0.1, 0.4, 0.2])
    assert thresholds(strange, 0.8).tolist() == [0.4]  # ceil(5 * 0.8) = 4th smallest
    assert thresholds(strange, 0.6).tolist() == [0.3]
    assert thresholds(strange, 0.9).tolist() == [np.inf]  # ceil(4.5) = 5 of 4
    weights = np.array([1.0, 5.0, 1.0, 1.0])  # sorted: 0.1 weighs 5, then 1, 1, 1
    found = thresholds(strange, 0.5, weights, np.array([1.0, 4.0, 8.1, 0.0]))
    assert found.tolist() == [0.1, 0.2, np.inf, 0.1]  # needed: 4.5, 6, 8.05, 4 of 8


def test_sets_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]])
    found = class_sets(probabilities, np.array([0.65]))
    assert found.tolist() == [[True, False, False], [True, True, False]]
    assert class_sets(probabilities, np.array([0.1, np.inf])).tolist() == [[True, False, False], [True, True, True]]


def test_weights_bring_the_coverage_back_under_covariate_shift():
    """Noise grows with x; the target has large x. The plain quantile covers too little, the weighted one does not."""
    rng = np.random.default_rng(0)
    x, there = rng.normal(0, 1, 4000), rng.normal(1, 1, 4000)
    strange, truth = (np.abs(rng.normal(size=4000)) * np.exp(side / 2) for side in (x, there))
    weights, own = np.exp(x - 0.5), np.exp(there - 0.5)
    plain = (truth <= thresholds(strange, 0.9)).mean()
    weighted = (truth <= thresholds(strange, 0.9, weights, own)).mean()
    assert plain < 0.83
    assert weighted == pytest.approx(0.9, abs=0.02)
