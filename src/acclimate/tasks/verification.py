"""Same or not: error rates over pairs of rows."""

from __future__ import annotations

import numpy as np

from acclimate.errors import DataError
from acclimate.seeds import generator
from acclimate.tasks.metrics import Weighted

MOST_PAIRS = 100_000
"""Of more pairs this many are drawn, the same ones each time."""
FAR = 0.01
"""Share of strangers that ``tar_at_far_1`` lets in."""
CHANCE = {"eer": 0.5, "tar_at_far_1": FAR, "threshold": 0.0}
"""What scores without any knowledge have; also where no two rows are of one owner, or all are."""


def weighted_verification(vectors: np.ndarray | None, labels: np.ndarray) -> Weighted:
    """Verification by the cosine of two rows' vectors, over all pairs, as a function of the rows' weights.

    - ``eer``: the equal error rate, where as many strangers are let in as owners are turned away;
    - ``tar_at_far_1``: the share of owners let in where at most 1 % of the strangers are;
    - ``threshold``: the cosine from which two rows count as one owner's at the equal error rate.

    A pair weighs as much as the product of its rows' weights; a row drawn twice makes no pair with itself.

    Args:
        vectors: ``[n, d]``; None, for answers that know nothing, gives `CHANCE`.
        labels: ``[n]``, whose each row is.

    Raises:
        DataError: no rows.
    """
    if not len(labels):
        raise DataError("no rows to evaluate")
    if vectors is None:
        return lambda weight: dict(CHANCE)
    first, second = _pairs(len(labels))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    scores = np.einsum("nd,nd->n", unit[first], unit[second])
    order = np.argsort(-scores, kind="stable")
    first, second, scores = first[order], second[order], scores[order]
    owner = np.unique(np.asarray(labels).astype(str), return_inverse=True)[1]
    same = owner[first] == owner[second]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True)) if len(scores) else np.zeros(0, int)

    def weighted(weight: np.ndarray | None) -> dict[str, float]:
        pair = np.ones(len(scores)) if weight is None else np.asarray(weight, float)[first] * weight[second]
        own, other = np.cumsum(np.where(same, pair, 0.0)), np.cumsum(np.where(same, 0.0, pair))
        if not len(scores) or own[-1] <= 0 or other[-1] <= 0:
            return dict(CHANCE)
        accepted, admitted = own[last] / own[-1], other[last] / other[-1]
        k = int(np.argmin(np.abs(admitted - (1 - accepted))))
        few = admitted <= FAR
        return {
            "eer": float(admitted[k] + 1 - accepted[k]) / 2,
            "tar_at_far_1": float(accepted[few].max(initial=0.0)),
            "threshold": float(scores[last[k]]),
        }

    return weighted


def _pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Both rows of each pair, all of them or `MOST_PAIRS`."""
    if n * (n - 1) // 2 <= MOST_PAIRS:
        return np.triu_indices(n, 1)
    rng = generator(0, "pairs", n)
    first = rng.integers(n, size=MOST_PAIRS)
    return first, (first + rng.integers(1, n, size=MOST_PAIRS)) % n
