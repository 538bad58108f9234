"""Several validators in one, several arms in one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from acclimate.errors import SettingsError

STEPS = 500
"""Most steps of EM in `stack`."""
TINY = 1e-9
"""The least probability that an arm is taken to give a label."""


def combine(*scores: Mapping[str, float]) -> dict[str, float]:
    """Mean rank of each arm over several validators, 1 for an arm that is best by all; higher is better.

    ``1/V sum_v rank_v(a) / A``, ties share their mean rank. Ranks need no common unit; a validator that is far
    off on one arm costs no more than a place. Misleads where all validators do: they share the fear of
    uneven classes.

    Args:
        scores: by arm, higher is better, of at least one validator; arms that one of them lacks are left out.
    """
    from scipy.stats import rankdata

    names = [name for name in scores[0] if all(name in found for found in scores)]
    ranks = [rankdata([found[name] for name in names]) for found in scores]
    return {name: float(np.mean([rank[k] for rank in ranks]) / len(names)) for k, name in enumerate(names)}


def best(scores: Mapping[str, float], top: int = 5) -> list[str]:
    """The names of the ``top`` arms with the highest scores, best first; equal ones in the order of their names."""
    if top < 1:
        raise SettingsError(f"top must be at least 1, not {top}")
    return sorted(scores, key=lambda name: (-scores[name], name))[:top]


def stack(likelihood: np.ndarray, prior: np.ndarray, strength: float = 3.0) -> np.ndarray:
    """Weights of arms whose mixture explains a few labels, held by what was believed before.

    Maximises ``sum_i log sum_a w_a p_a(y_i | x_i) + strength * sum_a prior_a log w_a`` over the simplex by EM. Ten
    labels move the weights a little, a hundred decide them: stacking of predictive distributions (Yao et al., Using
    Stacking to Average Bayesian Predictive Distributions, Bayesian Analysis 2018) with a Dirichlet prior.

    Misleads when the labelled rows were not drawn at random from the target.

    Args:
        likelihood: ``[n, arms]``, the probability that each arm gives the label of each row.
        prior: ``[arms]``, adds up to 1.
        strength: how many labels the prior is worth.

    Returns:
        Weights ``[arms]`` that add up to 1.
    """
    weights = prior
    for _ in range(STEPS):
        shares = weights * np.maximum(likelihood, TINY)
        counts = (shares / shares.sum(axis=1, keepdims=True)).sum(axis=0) + strength * prior
        before, weights = weights, counts / counts.sum()
        if np.abs(weights - before).max() < 1e-6:
            break
    return weights


def average(arms: Mapping[str, np.ndarray], scores: Mapping[str, float], top: int = 5) -> np.ndarray:
    """Mean probabilities of the ``top`` arms with the highest scores.

    Averaging beats picking: the errors of different arms cancel, and a single bad pick costs one part in
    ``top``. Caruana et al., Ensemble Selection from Libraries of Models, ICML 2004, without their labels.
    Misleads when the best few err alike, or when one arm is far better than the next ones.

    Args:
        arms: calibrated probabilities ``[n, classes]`` by arm, on any rows.
        scores: by arm, higher is better, for instance `infomax`.
        top: how many are averaged; all if there are fewer.

    Returns:
        Probabilities ``[n, classes]``.
    """
    return np.mean([arms[name] for name in best(scores, top)], axis=0)
