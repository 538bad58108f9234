"""Validators that weigh the source's validation rows until they look like the target: covariate shift only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from acclimate.selection.validators.sampling import shuffled
from acclimate.trust.certainty.overlap import PENALTY, Overlap, fit


def tell_apart(
    source_features: np.ndarray, target_features: np.ndarray, seed: int = 0, penalty: float = PENALTY
) -> Overlap | None:
    """What a domain classifier says of every row, out of fold (`trust.certainty.overlap.fit`); the order of the rows
    changes nothing. None where a side has fewer than 10.
    """
    source, target = (shuffled(side, seed, "importance") for side in (source_features, target_features))
    found = fit(source_features[source], target_features[target], penalty)
    if found is None:
        return None
    return replace(found, source=found.source[np.argsort(source)], target=found.target[np.argsort(target)])


def importance_weights(
    source_features: np.ndarray, target_features: np.ndarray, seed: int = 0, cap: float | None = None
) -> np.ndarray:
    """How much likelier each source row is in the target than in the source (`trust.certainty.overlap.fit`).

    Args:
        source_features: ``[m, d]``.
        target_features: ``[n, d]``.
        seed: of the folds.
        cap: largest weight; None for ``sqrt(m)``, ``math.inf`` for no limit.

    Returns:
        Weights ``[m]``; 1 where a side has too few rows to learn from.
    """
    found = tell_apart(source_features, target_features, seed)
    return np.ones(len(source_features)) if found is None else found.weights(cap)


def iwv(losses: np.ndarray, weights: np.ndarray) -> float:
    """Importance-weighted validation, minus the weighted mean loss on the source; higher is better.

    ``-sum_i w_i l_i / sum_i w_i``. Sugiyama et al., Covariate Shift Adaptation by Importance Weighted Cross
    Validation, JMLR 2007, there divided by m: dividing by the weights keeps arms with other features,
    and so other weights, comparable.

    Misleads when more than the inputs' distribution differs (labels mean something else, class shares differ),
    when the domains hardly overlap, and for arms that align features: a loss on source rows cannot see
    whether target rows were aligned with the wrong class. Arms of different methods come out at chance.

    Args:
        losses: ``[m]`` on source validation rows, for instance 1 where the answer is wrong and 0 elsewhere.
        weights: ``[m]`` of `importance_weights`.
    """
    return -float(weights @ losses / weights.sum())


def dev(losses: np.ndarray, weights: np.ndarray) -> float:
    """Deep embedded validation, minus the weighted loss with a control variate; higher is better.

    ``-(mean(w l) + eta mean(w) - eta)`` with ``eta = -cov(w l, w) / var(w)``: weights are 1 on average in truth,
    so what their mean is off by tells what the loss is off by. You et al., Towards Accurate Model Selection
    in Deep Unsupervised Domain Adaptation, ICML 2019, algorithm 1.

    Misleads where `iwv` does. With weights that are not cut the control variate explodes.

    Args:
        losses: ``[m]`` on source validation rows, for instance 1 where the answer is wrong and 0 elsewhere.
        weights: ``[m]`` of `importance_weights`, from features of the arm itself.
    """
    weighted = weights * losses
    spread = ((weights - weights.mean()) ** 2).mean()
    together = ((weighted - weighted.mean()) * (weights - weights.mean())).mean()
    eta = -together / spread if spread > 0 else 0.0
    return -float(weighted.mean() + eta * (weights.mean() - 1))
