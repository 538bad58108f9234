from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.certainty.conformal import p_values, supports


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
