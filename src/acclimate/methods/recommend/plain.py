"""Plain recommenders without a gradient: popularity, neighbours, matrix factorisation by alternating least squares.

They look at sparse matrices of users and items alone, and stand beside every model in `evaluate`.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from acclimate.seeds import generator

DAMPING = 5.0
"""Ratings that a bias is worth before it is believed (Koren & Bell 2011, section 5.2.1, use 10 and 25)."""


def popularity(hits: sparse.csr_matrix) -> np.ndarray:
    """How many users hit each item ``[items]``."""
    return np.asarray((hits != 0).sum(axis=0)).ravel().astype(np.float64)


def knn(hits: sparse.csr_matrix, users: np.ndarray) -> np.ndarray:
    """Scores ``[users, items]``: the summed cosine of each item with those that the user hit.

    Deshpande & Karypis, TOIS 2004, with all items as neighbours. A user without a hit scores 0 everywhere.
    """
    norms = np.sqrt(np.maximum(np.asarray(hits.multiply(hits).sum(axis=0)).ravel(), 1e-12))
    columns = sparse.csr_matrix(hits @ sparse.diags(1 / norms))
    return np.asarray((hits[users] @ columns.T @ columns).todense())


def factors(
    values: sparse.csr_matrix,
    size: int = 32,
    *,
    confidence: float | None = None,
    penalty: float = 0.1,
    rounds: int = 10,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of users and items ``[users, size]``, ``[items, size]`` whose products fit the values.

    Without a confidence only the stored values are fitted (Zhou et al., AAIM 2008: the penalty grows with their
    number); with one, zeros are fitted too, with weight 1 against ``1 + confidence`` (Hu, Koren, Volinsky, ICDM 2008,
    eq. 4 and 5, for hits).
    """
    rng = generator(seed, "factors")
    items = rng.normal(0, 0.1, (values.shape[1], size))
    by_item = sparse.csr_matrix(values.T)
    users = np.zeros((values.shape[0], size))
    for _ in range(rounds):
        users = _solved(values, items, confidence, penalty)
        items = _solved(by_item, users, confidence, penalty)
    return users, items


def _solved(values: sparse.csr_matrix, others: np.ndarray, confidence: float | None, penalty: float) -> np.ndarray:
    """The least-squares vector of each row, given those of the columns."""
    size = others.shape[1]
    whole = others.T @ others if confidence is not None else np.zeros((size, size))
    found = np.zeros((values.shape[0], size))
    for row in range(values.shape[0]):
        low, high = values.indptr[row], values.indptr[row + 1]
        if low == high:
            continue
        near, told = others[values.indices[low:high]], values.data[low:high]
        weight = 1.0 if confidence is None else confidence
        own = penalty * (high - low if confidence is None else 1.0)
        matrix = whole + weight * near.T @ near + own * np.eye(size)
        found[row] = np.linalg.solve(matrix, near.T @ told * (1.0 if confidence is None else 1.0 + confidence))
    return found


def biases(ratings: sparse.csr_matrix) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean rating, and what each user ``[users]`` and item ``[items]`` adds, damped (Koren et al. 2009, eq. 3)."""
    table = ratings.tocoo()
    mean = float(table.data.mean())
    found = []
    rest = table.data - mean
    for places, count in ((table.col, ratings.shape[1]), (table.row, ratings.shape[0])):
        bias = np.bincount(places, rest, count) / (np.bincount(places, minlength=count) + DAMPING)
        rest = rest - bias[places]
        found.append(bias)
    return mean, found[1], found[0]


def rated_by_knn(rest: sparse.csr_matrix, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """What the user's other ratings add for each pair ``[n]``: the mean of what is left of them after the biases,
    weighted by the cosine of their items with this one; 0 where nothing is alike.
    """
    norms = np.sqrt(np.maximum(np.asarray(rest.multiply(rest).sum(axis=0)).ravel(), 1e-12))
    columns = sparse.csc_matrix(rest @ sparse.diags(1 / norms))
    alike = np.asarray((columns.T @ columns).todense())
    found = np.zeros(len(users))
    for row, (user, item) in enumerate(zip(users, items, strict=True)):
        low, high = rest.indptr[user], rest.indptr[user + 1]
        near = np.maximum(alike[item, rest.indices[low:high]], 0.0)
        if near.sum() > 0:
            found[row] = near @ rest.data[low:high] / (near.sum() + 1.0)
    return found
