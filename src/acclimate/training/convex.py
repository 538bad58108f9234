"""The convex head: layer and penalty chosen on validation, then solved to the optimum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from acclimate.backbones.passthrough import csr_tensor
from acclimate.domains.domain import Domain
from acclimate.seeds import generator
from acclimate.tasks.base import Task
from acclimate.training.distil import distil
from acclimate.training.model import Model

RIDGE = (1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, 1e5)
PENALTIES: Mapping[str, tuple[float, ...]] = {
    "class": (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3),
    "labels": (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3),
    "vector": (1.0,),
    "number": RIDGE,
    "numbers": RIDGE,
}
"""L2 penalties tried: those of scikit-learn's C and alpha over six decades. Of vectors no weights are fitted."""
Carry = Callable[[Any, np.ndarray, Any], tuple[Any, np.ndarray | None]]
MOST_ROWS = 20_000
"""Rows used for the choice; the final fit uses all."""


@dataclass(frozen=True)
class Chosen:
    """What validation chose, the scores it chose from, and how many rows the weighted ones are worth, if weighted."""

    layer: str
    penalty: float
    scores: Mapping[str, float] = field(default_factory=dict)
    effective_rows: float | None = None


def effective_rows(weights: np.ndarray) -> float:
    """How many equally weighted rows would vary as little as these: ``(sum w)^2 / sum w^2`` (Kish 1965)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def fit_convex(
    model: Model,
    features: Mapping[str, Domain],
    validation: Mapping[str, Domain] | None,
    layers: tuple[str, ...],
    task: Task | None = None,
    target: Mapping[str, Domain] | None = None,
    carry: Carry | None = None,
    soft: np.ndarray | None = None,
) -> Chosen:
    """Give ``model`` the convex head that is best on validation.

    Args:
        model: its layer, neck and head are set.
        features: labelled features by layer, `ArrayRows` ``[n, d]``.
        validation: the same for held-out rows; None or empty takes the middle of the range.
        layers: the layers among which validation chooses; the penalty is chosen for the best one.
        task: the head's task, if it is not the model's.
        target: inputs of the target by layer, for ``carry``.
        carry: see `Convex`; the last fit is on what it makes of the training rows.
        soft: see `Convex`; the head is then fitted to these.
    """
    model.to("cpu")  # where the solvers are
    if task is not None:
        model.new_head(task)
    task = model.task
    penalties = PENALTIES[task.kind]
    middle = penalties[len(penalties) // 2]
    scores: dict[str, tuple[float, float]] = {}
    small = _thin(features, model.seed)

    def score(layer: str, penalty: float) -> tuple[float, float]:
        """The primary metric, and for ties the loss: a separable problem is not won by the strongest penalty."""
        key = f"{layer} {penalty:g}"
        if key not in scores:
            assert validation is not None
            fit_at(model, layer, small[layer], penalty)
            held_out = validation[layer]
            outputs = task.outputs(model.head, model.neck(_tensor(values_of(held_out))))
            answers = task.decode({name: value.numpy() for name, value in outputs.items()})
            assert held_out.labels is not None
            value = task.metrics(answers, held_out.labels)[task.primary.name]
            loss = 0.0  # vectors are judged by people whom the head does not know
            if task.kind != "vector":
                loss = task.loss(outputs, task.encode(held_out.labels)).mean().item()
            scores[key] = (value if task.primary.higher_is_better else -value, -loss)
        return scores[key]

    layer, penalty = layers[-1], middle
    with torch.no_grad():
        if validation and len(next(iter(validation.values()))):
            layer = max(reversed(layers), key=lambda name: score(name, middle))
            penalty = max(sorted(penalties, reverse=True), key=lambda value: score(layer, value))
        towards = None if target is None else values_of(target[layer])
        weight = fit_at(model, layer, features[layer], penalty, carry, towards)
        if soft is not None:
            penalty = _distil(model, towards, soft)
    model.eval()
    worth = None if weight is None else effective_rows(weight)
    return Chosen(layer, penalty, {name: value for name, (value, _) in scores.items()}, worth)


def fit_at(
    model: Model, layer: str, train: Domain, penalty: float, carry: Carry | None = None, target: Any = None
) -> np.ndarray | None:
    """Give ``model``, on the CPU, the convex head of one layer and penalty.

    Args:
        model: its layer, neck and head are set.
        layer: which is read.
        train: labelled features of that layer.
        penalty: see `Task.solve`.
        carry: see `Convex`.
        target: features of the target ``[m, d]`` for ``carry``.

    Returns:
        The rows' weights ``[n]``, or None for ones.
    """
    values, weight = values_of(train), None
    model.use_layer(layer)
    if model.neck.standardize:
        model.neck.fit(torch.from_numpy(values))
        values = model.neck(_tensor(values)).numpy()
        target = None if target is None else model.neck(_tensor(target)).numpy()
    assert train.labels is not None
    if carry is not None:
        values, weight = carry(values, train.labels, target)
    model.head = model.task.solve(values, train.labels, penalty, weight)
    return weight


def _distil(model: Model, values: Any, soft: np.ndarray) -> float:
    """Fit the head to probabilities ``[m, classes]`` of the target's rows; returns the penalty that some rows chose."""
    if model.neck.standardize:
        values = model.neck(_tensor(values)).numpy()
    (weight, bias), penalty = distil(values, soft, PENALTIES[model.task.kind])
    model.new_head(model.task)
    model.head.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return penalty


def values_of(domain: Domain) -> Any:
    """The features of a domain that has such as inputs: an array ``[n, d]``, or a sparse matrix."""
    values = domain.rows.take(np.arange(len(domain)))
    return np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values


def _tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(values) if isinstance(values, np.ndarray) else csr_tensor(values)


def _thin(features: Mapping[str, Domain], seed: int) -> Mapping[str, Domain]:
    n = len(next(iter(features.values())))
    if n <= MOST_ROWS:
        return features
    keep = np.sort(generator(seed, "convex").permutation(n)[:MOST_ROWS])
    return {layer: domain.select(keep) for layer, domain in features.items()}
