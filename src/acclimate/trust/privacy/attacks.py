"""Membership inference: can an attacker tell which rows a model was trained on? Scores, and how good they are.

A score is higher for rows that look like members. What counts is not the mean but the true-positive rate where hardly
anybody is accused wrongly (Carlini et al., Membership Inference Attacks From First Principles, S&P 2022, section III).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from acclimate.trust.shares import clopper_pearson

SURE = 1e-7
"""Probabilities are kept this far from 0 and 1."""
RATES = (0.01, 0.001)
"""False-positive rates at which attacks are compared."""
LEAST = 2.0
"""Expected wrong accusations without which a rate cannot be measured."""


def logit(confidence: np.ndarray) -> np.ndarray:
    """``log p / (1 - p)`` of the probability of the right class, which is nearly normal (Carlini et al. 2022, eq. 4).

    By itself it is the attack by loss (Yeom et al. 2018): a small loss accuses.
    """
    p = np.clip(np.asarray(confidence, dtype=np.float64), SURE, 1 - SURE)
    return np.log(p) - np.log1p(-p)


def lira(scores: np.ndarray, shadows: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The likelihood ratio attack (Carlini et al. 2022, algorithm 1), with one variance for all rows.

    Args:
        scores: `logit` of n rows by the audited model.
        shadows: ``[k, n]`` of the same by models that were trained alike on other rows.
        inside: ``[k, n]`` bool, whether a shadow was trained on the row.

    Returns:
        ``[n]`` log-likelihood ratios of "was trained on" against "was not". Rows that all or no shadows have seen are
        held against the mean of the other rows' shift.
    """
    there, gone = (_means(shadows, where) for where in (inside, ~inside))
    shift = np.nanmean(there - gone)
    there, gone = np.where(np.isnan(there), gone + shift, there), np.where(np.isnan(gone), there - shift, gone)
    residual = shadows - np.where(inside, there, gone)
    variance = np.array([residual[where].var() for where in (inside, ~inside)]) + 1e-6
    far = [(scores - mean) ** 2 / (2 * v) + 0.5 * math.log(v) for mean, v in zip((there, gone), variance, strict=True)]
    return far[1] - far[0]


def rmia(confidence: np.ndarray, shadows: np.ndarray, inside: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The relative attack (Zarifzadeh, Liu & Shokri, ICML 2024, eq. 2 and 3), which needs few shadow models.

    Args:
        confidence: probability of the right class by the audited model ``[n]``.
        shadows: ``[k, n]`` of the same by shadow models.
        inside: ``[k, n]`` bool, whether a shadow was trained on the row.
        others: ``[n]`` bool, rows of the population that rows are compared with; members are none.

    Returns:
        ``[n]`` the share of the population over which a row dominates: its probability rose by more through training.
    """
    p, shadow = np.maximum(confidence, SURE), np.maximum(shadows, SURE)
    usual = np.stack([_means(shadow, inside), _means(shadow, ~inside)])
    usual = np.nanmean(np.where(np.isnan(usual), np.nanmean(shadow, axis=0), usual), axis=0)
    ratio = p / usual
    population = np.sort(ratio[others])
    return np.searchsorted(population, ratio, side="right") / len(population)


def _means(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    count = where.sum(0)
    total = np.where(where, values, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def measured(scores: np.ndarray, members: np.ndarray) -> dict[str, Any]:
    """How well scores tell members ``[n]`` bool from others.

    Returns:
        ``auc`` with its interval (Hanley & McNeil 1982), and for each of `RATES` the true-positive rate ``value``,
        ``low``, ``high`` (Clopper-Pearson) at the threshold that so many of the others pass at most, or null where
        there are too few of these to tell.
    """
    inside, outside = scores[members], np.sort(scores[~members])
    below = np.searchsorted(outside, inside, side="left") + np.searchsorted(outside, inside, side="right")
    auc = float(below.mean() / (2 * len(outside)))
    found: dict[str, Any] = {"auc": auc, "auc_interval": _hanley(auc, len(inside), len(outside)), "tpr": {}}
    for rate in RATES:
        if rate * len(outside) < LEAST:
            found["tpr"][f"{rate:g}"] = None
            continue
        threshold = outside[len(outside) - 1 - int(rate * len(outside))]
        hits = int((inside > threshold).sum())
        low, high = clopper_pearson(hits, len(inside))
        found["tpr"][f"{rate:g}"] = {"value": hits / len(inside), "low": low, "high": high}
    return found


def _hanley(auc: float, members: int, others: int) -> list[float]:
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (members - 1) * (first - auc**2) + (others - 1) * (second - auc**2)
    error = 1.96 * math.sqrt(max(0.0, variance) / (members * others))
    return [max(0.0, auc - error), min(1.0, auc + error)]


def least_epsilon(scores: np.ndarray, members: np.ndarray, delta: float, level: float = 0.95) -> float:
    """The largest epsilon that the attack proves to be exceeded, from below; 0 if it proves nothing.

    A private model has ``TPR <= exp(epsilon) FPR + delta`` for every attack (Kairouz, Oh & Viswanath 2015). The
    threshold is chosen on one half of the rows and judged on the other by Clopper-Pearson bounds (Jagielski, Ullman &
    Oprea, NeurIPS 2020, algorithm 1).
    """
    first, second = np.arange(len(scores)) % 2 == 0, np.arange(len(scores)) % 2 == 1
    order = np.argsort(-scores[first], kind="stable")
    hits, wrong = np.cumsum(members[first][order]), np.cumsum(~members[first][order])
    share = (hits + 0.5) / (hits[-1] + 1) / ((wrong + 0.5) / (wrong[-1] + 1))
    threshold = scores[first][order][int(share.argmax())]
    accused, inside = scores[second] >= threshold, members[second]
    each = 1 - (1 - level) / 2
    low = clopper_pearson(int((accused & inside).sum()), int(inside.sum()), 2 * each - 1)[0]
    high = clopper_pearson(int((accused & ~inside).sum()), int((~inside).sum()), 2 * each - 1)[1]
    return max(0.0, math.log((low - delta) / high)) if low > delta else 0.0
