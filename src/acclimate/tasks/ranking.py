"""Metrics of ranked lists against the items that were hit, with a weight per user."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from acclimate.errors import DataError
from acclimate.tasks.metrics import Weighted

TOP = 10
"""Items of a list that NDCG, recall and coverage look at."""


def weighted_ranking(lists: Sequence[Sequence[str]], hits: Sequence[Sequence[str]], catalogue: int) -> Weighted:
    """Means over users of NDCG@10, Recall@10 and the reciprocal rank, and coverage, as a function of their weights.

    - NDCG@10: gain 1 for a hit, discount ``1 / log2(rank + 1)``, divided by that of the best list
      (Järvelin & Kekäläinen, TOIS 2002, eq. 4; binary).
    - Recall@10: hits among the first ten, as a share of all hits, or of ten where there are more.
    - MRR: one over the rank of the first hit, 0 where the list holds none.
    - Coverage: the share of the catalogue that is among the first ten of anybody.

    Args:
        lists: of each user, the items that are offered, best first.
        hits: of each user, the items that were hit.
        catalogue: how many items could be offered.

    Raises:
        DataError: nobody to evaluate.
    """
    if not len(hits):
        raise DataError("no rows to evaluate: metrics need at least one user with a hit")
    gains = 1 / np.log2(np.arange(2, TOP + 2))
    best = np.cumsum(gains)
    scores = np.zeros((3, len(hits)))
    places: dict[str, int] = {}
    shown = np.full((len(hits), TOP), -1)
    for row, (offered, right) in enumerate(zip(lists, hits, strict=True)):
        wanted = set(right)
        found = [place for place, item in enumerate(offered) if item in wanted]
        early = [place for place in found if place < TOP]
        most = min(len(wanted), TOP)
        if most:
            scores[:, row] = gains[early].sum() / best[most - 1], len(early) / most, 1 / (found[0] + 1) if found else 0
        for place, item in enumerate(offered[:TOP]):
            shown[row, place] = places.setdefault(item, len(places))

    def metrics(weight: np.ndarray | None) -> dict[str, float]:
        weight = np.ones(len(hits)) if weight is None else np.asarray(weight, dtype=float)
        ndcg, recall, mrr = scores @ weight / weight.sum()
        offered = shown[weight > 0]
        coverage = len(np.unique(offered[offered >= 0])) / max(catalogue, 1)
        return {"ndcg_at_10": float(ndcg), "recall_at_10": float(recall), "mrr": float(mrr), "coverage": coverage}

    return metrics


def parsed(text: str) -> list[str]:
    """The items of a label or an answer."""
    return [] if text == "" else [str(item) for item in json.loads(text)]
