from __future__ import annotations

import numpy as np
import pytest

from acclimate.selection.mmd import FACTORS, mmd


def normal(n: int, seed: int, d: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_it_is_the_unbiased_estimate_written_out() -> None:
    x, y = normal(12, 0), normal(12, 1) + 1
    both = np.concatenate([x, y])
    distances = ((both[:, None] - both) ** 2).sum(axis=-1)
    median = np.median(distances[np.triu_indices(24, 1)])

    def k(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.mean([np.exp(-((one - other) ** 2).sum() / (2 * f**2 * median)) for f in FACTORS]))

    within = [sum(k(side[i], side[j]) for i in range(12) for j in range(12) if i != j) / 132 for side in (x, y)]
    across = np.mean([[k(a, b) for b in y] for a in x])
    found = mmd(x, y)
    assert found is not None
    assert found.value == pytest.approx(sum(within) - 2 * across, abs=1e-10)


def test_equal_distributions_have_uniform_p_values() -> None:
    found = [mmd(normal(60, seed), normal(60, seed + 100), permutations=99) for seed in range(40)]
    values, p_values = np.array([(one.value, one.p_value) for one in found if one]).T
    assert (values < 0).any() and (values > 0).any()
    assert 0.3 < p_values.mean() < 0.7
    assert (p_values <= 0.05).sum() <= 6


def test_shifts_of_mean_and_of_spread_alone_are_seen() -> None:
    moved, wider = mmd(normal(200, 0), normal(200, 1) + 0.4), mmd(normal(200, 0), 1.5 * normal(200, 1))
    assert moved is not None and wider is not None
    assert moved.p_value == wider.p_value == pytest.approx(1 / 501)


def test_the_seed_decides_and_sides_are_balanced() -> None:
    x, y = normal(300, 0), normal(50, 1)
    assert mmd(x, y, 1) == mmd(x, y, 1) != mmd(x, y, 2)
    found = mmd(x, y)
    assert found is not None and found.rows == 50


def test_what_has_no_answer() -> None:
    assert mmd(normal(9, 0), normal(60, 1)) is None
    found = mmd(np.ones((20, 2)), np.ones((20, 2)))
    assert found is not None
    assert (found.value, found.p_value) == (pytest.approx(0), 1.0)
