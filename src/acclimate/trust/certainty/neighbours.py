"""Rows that are out of place: further from what was trained on than held-out rows are."""

from __future__ import annotations

import numpy as np

BANK = 2000
"""Training rows that distances are taken to, at most."""


def distances(bank: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Distance of each row to its k-th nearest row of the bank, features scaled to length 1; k is 1 % of the bank.

    Sun, Ming, Zhu & Li, Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022, eq. 3 (k from 10 to
    1,000 for banks of 50,000). It needs no model of the features, where Mahalanobis' distance needs normal classes.

    Helps against rows of another kind than any that was trained on. Misleads where the backbone is blind to what is
    new: such rows lie among the others. A target that differs as a whole is far as a whole; that is no error.

    Args:
        bank: ``[b, d]``.
        rows: ``[n, d]``.

    Returns:
        ``[n]``, from 0 to 2.
    """
    from sklearn.neighbors import NearestNeighbors

    count = max(1, len(bank) // 100)
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(_unit(bank))
    return search.kneighbors(_unit(rows))[0][:, count - 1]


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
