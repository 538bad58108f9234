"""The outer gradient of all tasks of a step at once: for accelerators, whose time goes into launching kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from acclimate.domains.batch import Batch
from acclimate.methods.meta.inner import Weights, batched_gradient, mappable
from acclimate.training.device import out_of_memory
from acclimate.training.model import Model

Outer = Callable[[Batch, Batch, Weights, list[Any]], Tensor]
"""The outer loss of one task: of its support, its query, the weights, and the rates of the inner steps."""
Gradients = tuple[Tensor, dict[str, Tensor], dict[int, Tensor]]
"""Mean loss over the tasks, and its gradients by weights, and by rates (by the id of each)."""

_chunks: WeakKeyDictionary[Model, int] = WeakKeyDictionary()
"""How many tasks of a model fit into memory together, where not all of a step do."""


def gradients(model: Model, outer: Outer, tasks: Batch, weights: Weights, rates: list[Any]) -> Gradients:
    """Map the outer loss over tasks; fewer at a time when memory runs out, which is remembered.

    Args:
        model: batch norms inside normalise by the rows of each task.
        outer: see `Outer`; runs ``model``.
        tasks: support rows, and in the view "query" the query rows.
        weights: those that learn, by name.
        rates: see `inner.Rates`; tensors among them learn.
    """
    query = tasks.views["query"]
    tensors = {id(r): r for rate in rates if isinstance(rate, Mapping) for r in rate.values() if isinstance(r, Tensor)}
    learned = {str(key): value for key, value in tensors.items()}

    def loss(moved: Weights, rated: Mapping[str, Tensor], x: Any, y: Tensor, z: Any, t: Tensor) -> Tensor:
        those = [
            {name: rated[str(id(r))] if isinstance(r, Tensor) else r for name, r in rate.items()}
            if isinstance(rate, Mapping)
            else rate
            for rate in rates
        ]
        return outer(Batch(x, y), Batch(z, t), moved, those)

    each = tasks.inputs, tasks.targets, query.inputs, query.targets
    chunk = min(_chunks.get(model, len(tasks)), len(tasks))
    while True:
        try:
            with mappable(model):
                mean, (by_weight, by_rate) = batched_gradient(loss, weights, learned, *each, chunk=chunk)
            return mean, by_weight, {key: by_rate[str(key)] for key in tensors}
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or chunk == 1:
                raise
            chunk = _chunks[model] = chunk // 2
