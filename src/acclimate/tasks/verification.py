"""Same or not: error rates over pairs of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acclimate.errors import DataError
from acclimate.seeds import generator
from acclimate.tasks.metrics import Weighted

MOST_PAIRS = 100_000
"""Of more pairs this many are drawn, the same ones each time."""
FARS = (0.01, 0.001)
"""Shares of strangers that ``tar_at_far_0.01`` and ``tar_at_far_0.001`` let in."""
CHANCE = {"eer": 0.5, **{f"tar_at_far_{far:g}": far for far in FARS}, "threshold": 0.0, "rank1": 0.0}
"""What scores without any knowledge have; also where no two rows are of one owner, or all are."""
BLOCK = 1024
"""Rows whose nearest other row is looked for at once."""
POINTS = 200
"""Of a ROC curve, at most."""


@dataclass(frozen=True)
class Scored:
    """Pairs from the most alike to the least.

    Attributes:
        first, second: rows of each pair ``[pairs]``.
        score: cosine.
        same: whether both are of one owner.
        last: the last pair of each distinct score: thresholds lie between scores.
    """

    first: np.ndarray
    second: np.ndarray
    score: np.ndarray
    same: np.ndarray
    last: np.ndarray

    def rates(self, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray] | None:
        """Shares of owners and of strangers let in at each distinct score; None where there are none of either.

        A pair weighs as much as the product of its rows' weights ``[n]``.
        """
        pair = np.ones(len(self.score)) if weight is None else weight[self.first] * weight[self.second]
        own, other = np.cumsum(np.where(self.same, pair, 0.0)), np.cumsum(np.where(self.same, 0.0, pair))
        if not len(self.score) or own[-1] <= 0 or other[-1] <= 0:
            return None
        return own[self.last] / own[-1], other[self.last] / other[-1]


def weighted_verification(vectors: np.ndarray | None, labels: np.ndarray) -> Weighted:
    """Verification by the cosine of two rows' vectors, over all pairs, as a function of the rows' weights.

    - ``eer``: the equal error rate, where as many strangers are let in as owners are turned away;
    - ``tar_at_far_0.01``, ``tar_at_far_0.001``: the share of owners let in where at most 1 % (0.1 %) of strangers are;
    - ``threshold``: the cosine from which two rows count as one owner's at the equal error rate;
    - ``rank1``: identification, the share of rows whose nearest other row is of the same owner, among rows that have
      such a one. All rows can be found, whatever their weight; weights count those that are looked for.

    A row drawn twice makes no pair with itself.

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
    unit, owner = _unit(vectors), _owners(labels)
    pairs = _scored(unit, owner)
    right = owner[_nearest(unit)] == owner
    mated = np.bincount(owner)[owner] > 1

    def weighted(weight: np.ndarray | None) -> dict[str, float]:
        weight = np.ones(len(owner)) if weight is None else np.asarray(weight, float)
        rates = pairs.rates(weight)
        if rates is None:
            return dict(CHANCE)
        accepted, admitted = rates
        k = int(np.argmin(np.abs(admitted - (1 - accepted))))
        asked = weight * mated
        return {
            "eer": float(admitted[k] + 1 - accepted[k]) / 2,
            **{f"tar_at_far_{far:g}": float(accepted[admitted <= far].max(initial=0.0)) for far in FARS},
            "threshold": float(pairs.score[pairs.last[k]]),
            "rank1": float(asked @ right / asked.sum()),
        }

    return weighted


def roc(vectors: np.ndarray, labels: np.ndarray) -> dict[str, list[float]]:
    """The curve of verification: ``far`` and ``tar`` (shares of strangers and of owners let in) at ``threshold``.

    At most `POINTS` points, as many for each factor of ten of ``far``: small ones are what one asks about. Empty lists
    where no two rows are of one owner, or all are.
    """
    pairs = _scored(_unit(vectors), _owners(labels))
    rates = pairs.rates()
    if rates is None:
        return {"far": [], "tar": [], "threshold": []}
    accepted, admitted = rates
    floor = 1 / max((~pairs.same).sum(), 1)
    wanted = np.geomspace(floor, 1.0, POINTS - 1)
    places = np.searchsorted(admitted, np.concatenate([[0.0], wanted]), side="right") - 1
    chosen = np.unique(places[places >= 0])
    return {
        "far": admitted[chosen].tolist(),
        "tar": accepted[chosen].tolist(),
        "threshold": pairs.score[pairs.last[chosen]].astype(float).tolist(),
    }


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _owners(labels: np.ndarray) -> np.ndarray:
    return np.unique(np.asarray(labels).astype(str), return_inverse=True)[1]


def _scored(unit: np.ndarray, owner: np.ndarray) -> Scored:
    first, second = _pairs(len(owner))
    scores = np.einsum("nd,nd->n", unit[first], unit[second])
    order = np.argsort(-scores, kind="stable")
    first, second, scores = first[order], second[order], scores[order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True)) if len(scores) else np.zeros(0, int)
    return Scored(first, second, scores, owner[first] == owner[second], last)


def _nearest(unit: np.ndarray) -> np.ndarray:
    """For each row the most alike other one ``[n]``; of one row alone itself."""
    found = []
    for start in range(0, len(unit), BLOCK):
        alike = unit[start : start + BLOCK] @ unit.T
        rows = np.arange(len(alike))
        alike[rows, start + rows] = -np.inf
        found.append(alike.argmax(axis=1))
    return np.concatenate(found)


def _pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Both rows of each pair, all of them or `MOST_PAIRS`."""
    if n * (n - 1) // 2 <= MOST_PAIRS:
        return np.triu_indices(n, 1)
    rng = generator(0, "pairs", n)
    first = rng.integers(n, size=MOST_PAIRS)
    return first, (first + rng.integers(1, n, size=MOST_PAIRS)) % n
