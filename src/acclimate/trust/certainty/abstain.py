"""Answering only what is sure enough that errors stay below a stated rate."""

from __future__ import annotations

from math import ceil, log2

import numpy as np

from acclimate.trust.certainty.overlap import effective

DELTA = 0.05
"""How often the bound may fail."""


def confidence_bar(
    confidence: np.ndarray, wrong: np.ndarray, rate: float, weights: np.ndarray | None = None, delta: float = DELTA
) -> float | None:
    """The confidence from which on answers are given, so that at most ``rate`` of them are wrong.

    Selection with guaranteed risk: a binary search over the held-out rows, most confident first, for the largest part
    whose error has an upper bound (Clopper-Pearson at ``delta / ceil(log2 n)``) of at most ``rate``. For rows that are
    exchangeable with these the bound fails with a probability of at most ``delta``: Geifman & El-Yaniv, Selective
    Classification for Deep Neural Networks, NeurIPS 2017, algorithm 1. With weights of a covariate shift the error is
    the weighted one and the rows are as many as they are worth (`effective`), which is an approximation.

    Args:
        confidence: ``[n]`` of held-out rows.
        wrong: ``[n]`` bool, whether the answer was wrong.
        rate: above 0 and below 1.
        weights: ``[n]``, None for ones.
        delta: see above.

    Returns:
        None where no part is known to be that good.
    """
    n = len(confidence)
    if n == 0:
        return None
    weights = np.ones(n) if weights is None else weights
    order = np.argsort(-confidence, kind="stable")
    # Rows of one confidence are answered together.
    ends = np.append(np.flatnonzero(np.diff(confidence[order])), n - 1)
    each = delta / max(1, ceil(log2(max(len(ends), 2))))
    low, high, found = 0, len(ends) - 1, None
    while low <= high:
        middle = (low + high) // 2
        part = order[: ends[middle] + 1]
        if _upper(wrong[part], weights[part], each) <= rate:
            found, low = float(confidence[order[ends[middle]]]), middle + 1
        else:
            high = middle - 1
    return found


def least_rate(confidence: np.ndarray, wrong: np.ndarray, weights: np.ndarray) -> float:
    """The lowest rate for which `confidence_bar` can find a bar: the least bound of any part of the held-out rows."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)
    each = DELTA / max(1, ceil(log2(max(len(ends), 2))))
    return min(_upper(wrong[part], weights[part], each) for end in ends if len(part := order[: end + 1]))


def _upper(wrong: np.ndarray, weights: np.ndarray, delta: float) -> float:
    """The upper Clopper-Pearson bound of the error."""
    from scipy.stats import beta

    rows = effective(weights)
    errors = rows * float(weights @ wrong) / float(weights.sum())
    return 1.0 if errors >= rows else float(beta.ppf(1 - delta, errors + 1, rows - errors))
