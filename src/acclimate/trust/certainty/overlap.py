"""Whether rows of two domains are exchangeable, and how much more likely a row is in the target where they are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acclimate.trust.certainty.logistic import logistic

FOLDS = 5
LARGEST = 2000
"""Rows of each side that one domain classifier learns from."""
PENALTY = 0.01
"""scikit-learn's C of a domain classifier: so strong that it overfits no features, and shrinks ratios towards 1."""
PENALTIES = (PENALTY, 0.1, 1.0)
"""Tried where ratios are to be right and not only safe."""

CONSTANT = 1e-12
"""Relative deviation up to which a feature is constant but for rounding."""


@dataclass(frozen=True)
class Overlap:
    """What a linear domain classifier says of rows; ``log p_target(x) / p_source(x)`` is a row's log ratio.

    Attributes:
        source: log ratios ``[n]`` of the source's rows, each by a classifier that has not seen the row.
        target: the same ``[m]`` of the target's.
        coefficients: ``[d]``, mean over the folds' classifiers, for new rows.
        intercept: likewise.
        auc: how often a target row has a higher ratio than a source row of its fold; 0.5 is chance.
        p_value: of the hypothesis that the rows are exchangeable, see `fit`.
    """

    source: np.ndarray
    target: np.ndarray
    coefficients: np.ndarray
    intercept: float
    auc: float
    p_value: float

    def log_ratio(self, features: np.ndarray) -> np.ndarray:
        """Log ratios of new rows ``[n, d]``."""
        return features.astype(np.float64) @ self.coefficients + self.intercept

    @property
    def loss(self) -> float:
        """Log loss of telling the domains apart, out of fold, both sides weighing the same; log 2 is chance."""
        return float(np.logaddexp(0, self.source).mean() + np.logaddexp(0, -self.target).mean()) / 2

    def weights(self, cap: float | None = None) -> np.ndarray:
        """Ratios of the source's rows ``[n]``, cut at ``cap``: by default the root of their number.

        Where the domains hardly overlap a handful of rows would outweigh all others; with this cap the bias vanishes
        as rows grow (Ionides, Truncated Importance Sampling, JCGS 2008).
        """
        return np.exp(np.minimum(self.source, np.log(np.sqrt(len(self.source)) if cap is None else cap)))


def fit(source: np.ndarray, target: np.ndarray, penalty: float = PENALTY) -> Overlap | None:
    """Logistic regression on standardised features in five folds, and the classifier two-sample test.

    Ratios: ``w(x) = n_S p(T | x) / (n_T p(S | x))``, Bickel et al., Discriminative Learning Under Covariate Shift,
    JMLR 2009. Test: if the rows are exchangeable, a classifier that has not seen them orders them at random, so the
    Mann-Whitney statistics of the folds, summed, are normal about chance; one-sided. Lopez-Paz & Oquab, Revisiting
    Classifier Two-Sample Tests, ICLR 2017, with ranks in the place of the accuracy. Folds share training rows, which
    makes the p-value approximate. It sees what a linear classifier on these features can see and no more: a change
    of labels alone leaves no trace.

    Args:
        source: ``[n, d]``, in an order that tells nothing (every fifth row is a fold).
        target: ``[m, d]`` likewise.
        penalty: scikit-learn's C.

    Returns:
        None where a side has fewer than 10 rows.
    """
    if min(len(source), len(target)) < 2 * FOLDS:
        return None
    said = [np.empty(len(source)), np.empty(len(target))]
    every = [np.arange(len(source)), np.arange(len(target))]
    coefficients, intercepts = [], []
    for fold in range(FOLDS):
        sides = [np.delete(rows, np.s_[fold::FOLDS])[:LARGEST] for rows in every]
        rows = np.concatenate([source[sides[0]], target[sides[1]]]).astype(np.float64)
        is_target = np.repeat([False, True], [len(side) for side in sides])
        middle, scale = rows.mean(axis=0), rows.std(axis=0)
        scale[scale < CONSTANT * np.maximum(np.abs(middle), 1)] = 1.0
        slope, odds = logistic((rows - middle) / scale, is_target, penalty)
        slope = slope / scale
        shift = float(odds - slope @ middle + np.log(len(sides[0]) / len(sides[1])))
        for values, side in zip(said, (source, target), strict=True):
            values[fold::FOLDS] = side[fold::FOLDS].astype(np.float64) @ slope + shift
        coefficients.append(slope)
        intercepts.append(shift)
    auc, p_value = _ranked(said[0], said[1])
    return Overlap(said[0], said[1], np.mean(coefficients, axis=0), float(np.mean(intercepts)), auc, p_value)


def effective(weights: np.ndarray) -> float:
    """How many equally weighted rows would vary as little: ``(sum w)^2 / sum w^2`` (Kish 1965)."""
    return float(weights.sum() ** 2 / max(float((weights**2).sum()), 1e-300))


def _ranked(source: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """AUC within the folds, and the p-value of so high a one by chance (van Elteren's sum of rank statistics)."""
    from scipy.stats import norm, rankdata

    wins = pairs = variance = 0.0
    for fold in range(FOLDS):
        n, m = len(source[fold::FOLDS]), len(target[fold::FOLDS])
        scores = np.concatenate([source[fold::FOLDS], target[fold::FOLDS]])
        ties = np.unique(scores, return_counts=True)[1].astype(float)
        wins += rankdata(scores)[n:].sum() - m * (m + 1) / 2
        pairs += n * m
        variance += n * m / 12 * (n + m + 1 - (ties**3 - ties).sum() / ((n + m) * (n + m - 1)))
    p_value = norm.sf((wins - pairs / 2) / np.sqrt(variance)) if variance > 0 else 1.0
    return wins / pairs, float(p_value)
