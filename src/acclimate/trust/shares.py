"""Intervals of shares."""

from __future__ import annotations


def clopper_pearson(hits: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share (Clopper & Pearson, Biometrika 1934).

    Args:
        hits: how many.
        of: of how many, at least 1.
        level: with which the interval holds the share.
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, of - hits + 1))
    high = 1.0 if hits == of else float(beta.ppf(1 - tail, hits + 1, of - hits))
    return low, high
