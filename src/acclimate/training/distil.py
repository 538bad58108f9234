"""A linear head fitted to probabilities instead of labels, to the optimum."""

from __future__ import annotations

from typing import Any

import numpy as np

Head = tuple[np.ndarray, np.ndarray]
"""Weights ``[classes, d]`` and biases ``[classes]``."""
FOLD = 5
"""One row in so many is held out to choose the penalty."""
LIMITS = {"maxiter": 1000, "maxfun": 10000, "gtol": 1e-4, "ftol": 64 * np.finfo(float).eps}
"""When the mean loss counts as least: as for scikit-learn's logistic regression."""


def distil(values: Any, soft: np.ndarray, penalties: tuple[float, ...]) -> tuple[Head, float]:
    """The head that answers most like a teacher, and the penalty that held-out rows chose.

    Minimises ``sum_i CE(soft_i, softmax(W x_i + b)) + penalty / 2 * ||W||^2`` by L-BFGS (Hinton et al., Distilling
    the Knowledge in a Neural Network, 2015, at temperature 1). Penalties are tried from the largest to the smallest,
    each from the optimum of the one before.

    Args:
        values: ``[n, d]`` features, dense or sparse; rows in an order that says nothing of their labels.
        soft: ``[n, classes]`` probabilities.
        penalties: those tried; the middle one is taken where rows are too few to hold some out.
    """
    ordered = sorted(penalties, reverse=True)
    if len(soft) <= FOLD:
        chosen = ordered[len(ordered) // 2]
        return _fit(values, soft, chosen, None), chosen
    held = np.arange(len(soft)) % FOLD == 0
    tried: dict[float, tuple[float, Head]] = {}
    head: Head | None = None
    for penalty in ordered:
        head = _fit(values[~held], soft[~held], penalty, head)
        tried[penalty] = _cross_entropy(values[held] @ head[0].T + head[1], soft[held])[0], head
    chosen = min(ordered, key=lambda penalty: tried[penalty][0])
    return _fit(values, soft, chosen, tried[chosen][1]), chosen


def _fit(values: Any, soft: np.ndarray, penalty: float, start: Head | None) -> Head:
    """The optimum, looked for from ``start`` on."""
    from scipy.optimize import minimize

    classes, size, kind, rows = soft.shape[1], values.shape[1], values.dtype, len(soft)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat[:-classes].reshape(classes, size), flat[-classes:]
        # The products are taken in the features' own precision: NumPy would copy all of them to float64 each time.
        loss, slope = _cross_entropy(values @ weight.T.astype(kind) + bias, soft)
        pull = np.asarray(values.T @ slope.astype(kind)).T + penalty * weight
        loss += penalty / 2 * float((weight**2).sum())
        return loss / rows, np.concatenate([pull.ravel(), slope.sum(axis=0)]) / rows

    flat = np.zeros(classes * (size + 1)) if start is None else np.concatenate([start[0].ravel(), start[1]])
    flat = minimize(objective, flat, jac=True, method="L-BFGS-B", options=LIMITS).x
    return flat[:-classes].reshape(classes, size), flat[-classes:]


def _cross_entropy(logits: np.ndarray, soft: np.ndarray) -> tuple[float, np.ndarray]:
    """Summed over the rows, and its slope by the logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(soft * log).sum()), np.exp(log) * soft.sum(axis=1, keepdims=True) - soft
