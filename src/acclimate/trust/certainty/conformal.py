"""Conformal prediction: p-values of rows, and sets of answers that hold the truth at a stated rate."""

from __future__ import annotations

from math import floor

import numpy as np


def p_values(held_out: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """``(1 + number of held-out scores that are not higher) / (n + 1)`` for each score.

    If a row is exchangeable with the held-out ones and all were scored alike, its p-value is at most e with
    probability at most e, for every e (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005,
    proposition 2.8). So refusing rows of p-value at most e refuses at most that share of the rows that belong.

    Args:
        held_out: ``[n]``; high: conforms.
        scores: ``[m]``.

    Returns:
        ``[m]``, none below ``1 / (n + 1)``.
    """
    lower = np.searchsorted(np.sort(held_out), scores, side="right")
    return (1 + lower) / (len(held_out) + 1)


def supports(rows: int, rate: float) -> bool:
    """Whether so many held-out rows can refuse anything at this rate."""
    return floor(rate * (rows + 1) + 1e-9) >= 1


def thresholds(
    strangeness: np.ndarray, level: float, weights: np.ndarray | None = None, own: np.ndarray | None = None
) -> np.ndarray:
    """The strangeness up to which an answer belongs to the set of a row.

    Split conformal prediction: the ``ceil((n + 1) level)``-th smallest of the held-out rows'; the set then holds the
    truth of a row that is exchangeable with these with a probability of at least ``level`` (Vovk et al. 2005; Lei et
    al., JASA 2018, theorem 2). With weights ``p_target(x) / p_source(x)`` the quantile is a weighted one, in which the
    row itself weighs as strange as can be (Tibshirani, Barber, Candes & Ramdas, Conformal Prediction Under Covariate
    Shift, NeurIPS 2019, theorem 2): that holds where the same input has the same label in both domains, and the
    weights are right.

    Args:
        strangeness: ``[n]`` of the right answers of held-out rows.
        level: above 0 and below 1.
        weights: ``[n]`` of these rows, None for ones.
        own: ``[m]`` weights of the rows that are asked about; None for one row of weight 1.

    Returns:
        ``[m]``; infinity where no answer can be left out.
    """
    weights = np.ones(len(strangeness)) if weights is None else weights
    own = np.ones(1) if own is None else own
    order = np.argsort(strangeness, kind="stable")
    mass = np.concatenate([np.cumsum(weights[order]), [np.inf]])
    needed = level * (weights.sum() + own)
    place = np.searchsorted(mass, needed * (1 - 1e-12), side="left")
    return np.append(strangeness[order], np.inf)[place]


def class_sets(probabilities: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Which classes are in each row's set ``[m, classes]`` bool: those of strangeness ``1 - p`` up to the bound.

    The smallest sets on average among those of the same coverage, if the probabilities are right: Sadinle, Lei &
    Wasserman, Least Ambiguous Set-Valued Classifiers, JASA 2019. The likeliest class is always in, which only adds
    to the coverage.

    Args:
        probabilities: ``[m, classes]``.
        bounds: ``[m]`` or ``[1]`` of `thresholds`.
    """
    inside = 1 - probabilities <= np.broadcast_to(bounds, len(probabilities))[:, None] + 1e-12
    inside[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
    return inside
