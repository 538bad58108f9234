"""The proxy A-distance on domains whose distance is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import norm

from acclimate.selection.gap import Gap, gap


def blobs(shift: float, n: int = 400, d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)) + shift * np.eye(d)[0]


def measured(*sides: object, **options: object) -> Gap:
    found = gap(*sides, **options)  # type: ignore[arg-type]
    assert found is not None and found.interval is not None
    return found


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_accuracy_is_that_of_the_best_linear_classifier(shift: float) -> None:
    found = measured(*blobs(shift, n=2000))
    best = norm.cdf(shift / 2)
    assert found.domain_accuracy == pytest.approx(best, abs=0.015)
    assert found.proxy_a_distance == pytest.approx(2 * (1 - 2 * (1 - found.domain_accuracy)))
    low, high = found.interval or (1, 0)
    assert low < best < high


def test_equal_domains_have_no_gap() -> None:
    found = measured(*blobs(0.0))
    low, high = found.interval or (1, 0)
    assert low < 0.5 < high or found.domain_accuracy < 0.5
    assert found.proxy_a_distance < 0.15


def test_far_domains_reach_two() -> None:
    assert measured(*blobs(20.0)).proxy_a_distance == 2.0


def test_copies_of_rows_do_not_make_a_gap() -> None:
    """Few rows of many columns, each twenty times: remembering them must not help."""
    source, target = blobs(0.0, n=30, d=200)
    found = measured(np.repeat(source, 20, axis=0), np.repeat(target, 20, axis=0))
    assert found.domain_accuracy < 0.75


def test_ids_say_which_rows_are_equal_where_features_are_noisy() -> None:
    source, target = blobs(0.0, n=30, d=200)
    ids = np.repeat(np.arange(60), 20).astype("S32")
    noise = np.random.default_rng(1).normal(scale=1e-6, size=(1200, 200))
    copies = np.repeat(np.concatenate([source, target]), 20, axis=0) + noise
    told = measured(copies[:600], copies[600:], source_ids=ids[:600], target_ids=ids[600:])
    untold = measured(copies[:600], copies[600:])
    assert told.domain_accuracy < 0.75
    assert untold.domain_accuracy == 1.0


def test_sparse_equals_dense_and_sides_are_balanced() -> None:
    rng = np.random.default_rng(0)
    source, target = (rng.random((300, 40)) < 0.2).astype(float), (rng.random((2500, 40)) < 0.3).astype(float)
    dense, thin = measured(source, target), measured(sparse.csr_matrix(source), sparse.csr_matrix(target))
    assert dense.rows == thin.rows == 300
    assert thin.domain_accuracy == pytest.approx(dense.domain_accuracy, abs=0.02)
    assert measured(target, target[::-1]).rows == 2000


def test_the_seed_decides() -> None:
    sides = blobs(1.0)
    assert gap(*sides, seed=3) == gap(*sides, seed=3) != gap(*sides, seed=4)


def test_too_few_rows() -> None:
    assert gap(*blobs(1.0, n=9)) is None


def test_one_row_repeated_everywhere() -> None:
    """One content in both domains: one fold, nothing to learn from."""
    found = gap(np.ones((20, 3)), np.ones((20, 3)))
    assert found is not None
    assert (found.domain_accuracy, found.proxy_a_distance, found.interval) == (0.5, 0.0, None)
