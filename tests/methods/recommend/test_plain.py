from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from acclimate.methods.recommend.plain import biases, factors, knn, popularity, rated_by_knn


def matrix(rows):
    return sparse.csr_matrix(np.array(rows, dtype=float))


def test_popularity_counts_users():
    assert popularity(matrix([[5, 0, 1], [1, 0, 0]])).tolist() == [2, 0, 1]


def test_neighbours_by_hand():
    """Cosines: a with b 1/sqrt(2), a with c 1/2, b with c 0."""
    hits = matrix([[1, 1, 0], [1, 0, 1], [0, 0, 1]])
    scores = knn(hits, np.array([2]))
    assert scores[0] == pytest.approx([0.5, 0, 1])


def test_a_user_without_hits_scores_nothing():
    assert not knn(matrix([[1, 1], [0, 0]]), np.array([1])).any()


def test_explicit_factors_solve_the_problem_of_what_was_rated():
    """At the optimum no gradient of either side is left; each rating counts once in the penalty."""
    rng = np.random.default_rng(0)
    seen = rng.random((8, 6)) < 0.6
    wanted = np.where(seen, rng.normal(size=(8, 6)), 0.0)
    users, items = factors(matrix(wanted), size=2, penalty=0.1, rounds=500)
    residual = np.where(seen, users @ items.T - wanted, 0.0)
    assert residual @ items + 0.1 * seen.sum(1)[:, None] * users == pytest.approx(np.zeros((8, 2)), abs=1e-3)
    assert residual.T @ users + 0.1 * seen.sum(0)[:, None] * items == pytest.approx(np.zeros((6, 2)), abs=1e-3)


def test_implicit_factors_solve_the_weighted_problem():
    """At the optimum no gradient of either side is left (Hu et al., eq. 3)."""
    hits = matrix(np.random.default_rng(0).random((8, 6)) < 0.4)
    users, items = factors(hits, size=2, confidence=3.0, penalty=0.5, rounds=300)
    wanted = hits.toarray()
    residual = (1 + 3 * wanted) * (users @ items.T - wanted)
    assert residual @ items + 0.5 * users == pytest.approx(np.zeros((8, 2)), abs=1e-3)
    assert residual.T @ users + 0.5 * items == pytest.approx(np.zeros((6, 2)), abs=1e-3)


def test_biases_are_damped_means_of_what_is_left():
    mean, users, items = biases(matrix([[5, 1], [5, 0]]))
    assert mean == pytest.approx(11 / 3)
    assert items == pytest.approx([2 * (5 - 11 / 3) / 7, (1 - 11 / 3) / 6])
    left = np.array([5 - mean - items[0], 1 - mean - items[1]])
    assert users[0] == pytest.approx(left.sum() / 7)


def test_alike_items_lend_their_ratings():
    rest = matrix([[2, 2, 0], [1, 0, 0], [-1, -1, 0]])
    found = rated_by_knn(rest, np.array([1, 1]), np.array([1, 2]))
    cosine = 5 / (np.sqrt(6) * np.sqrt(5))
    assert found == pytest.approx([cosine / (cosine + 1), 0])
