"""Groups of people as numbers, and what a row of a group is to weigh."""

from __future__ import annotations

import numpy as np

from acclimate.domains.domain import Domain


def codes(domain: Domain, by_label: bool = False) -> np.ndarray:
    """The group ``[n]`` int64 of each row, by all sensitive columns together; ``by_label`` also by label."""
    parts = [domain.sensitive[name].astype(str) for name in sorted(domain.sensitive)]
    if by_label:
        assert domain.labels is not None
        parts.append(domain.labels.astype(str))
    rows = np.stack(parts, axis=1)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def reweighing(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights ``[n]`` of mean 1 under which label and group are independent: ``P(g) P(y) / P(g, y)``.

    Kamiran & Calders, Data preprocessing techniques for classification without discrimination, KAIS 2012, section 4.3.

    Args:
        groups: ``[n]``.
        labels: ``[n]``.
    """
    group, label = (np.unique(np.asarray(side).astype(str), return_inverse=True)[1] for side in (groups, labels))
    counts = np.zeros((group.max() + 1, label.max() + 1))
    np.add.at(counts, (group, label), 1)
    expected = counts.sum(axis=1)[:, None] * counts.sum(axis=0)[None] / len(group)
    return (expected / np.maximum(counts, 1))[group, label]


def balanced(groups: np.ndarray) -> np.ndarray:
    """Weights ``[n]`` of mean 1 under which all groups count alike."""
    owner = np.unique(groups, return_inverse=True)[1]
    rows = np.bincount(owner)
    return (len(owner) / (len(rows) * rows))[owner]
