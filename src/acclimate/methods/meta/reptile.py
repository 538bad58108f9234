"""Reptile: weights that move towards those that each task's own training reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import ClassVar

import torch
from torch import Tensor

from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.methods.meta.inner import Weights, batch_statistics
from acclimate.methods.meta.maml import MAML, Sums, each, learning, loss_of
from acclimate.methods.meta.on_features import joined
from acclimate.training.model import Model
from acclimate.training.spread import spread
from acclimate.training.stage import Pass, Update
from acclimate.training.stream import changed


@dataclass(frozen=True)
class Reptile(MAML):
    """``w += e * (mean over tasks of w_K - w)``, where w_K is reached by K steps of plain training on a task.

    In training a task is all rows of its episode, support and query together, in minibatches: there is no outer loss.
    ``w - mean w_K`` is handed to the optimizer as the gradient of w: with ``optimizer=sgd`` e is the learning rate
    (and there is momentum), and Adam may take it too, as the paper says in section 3. The inner steps are plain descent
    (in the paper's experiments Adam without momentum). To answer, it takes steps on the whole support and sees no
    other labels.

    Helps where inner steps are many: nothing is differentiated twice, nothing is kept. **Hurts** at few shots and few
    steps: with one whole-batch step it is plain training on all tasks.

    Nichol, Achiam and Schulman, On First-Order Meta-Learning Algorithms, 2018, algorithm 2.

    Attributes:
        batch: rows of an inner step while training (the paper: 10 at 5 ways, 20 at 20 ways on Omniglot).
    """

    steps: int = 5
    rate: float = 0.1
    batch: int = 10

    name: ClassVar[str] = "reptile"
    about: ClassVar[str] = "weights that move towards those of each task (Nichol et al. 2018)"
    labelled: ClassVar[str] = "for it learns from the inner loss alone, and labels would play no part at all"
    ranges: ClassVar[Mapping[str, str]] = {**MAML.ranges, "batch": "[1, inf)"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mapped:
            raise SettingsError("reptile: mapped=true is not possible, its tasks are trained one by one; leave it out")

    def updates(self, step: Pass, tasks: Batch) -> Iterator[Update]:
        """One update of the model; the loss that is shown is that of the inner steps."""
        model = step.open(tasks)
        weights, total = learning(model), torch.zeros((), device=model.device)
        sums = Sums(weights, [])
        rows = [_both(support, query) for support, query in each(tasks)]
        orders = [self._order(len(task), model.device) for task in rows]

        def one(own: Model, task: tuple[Batch, list[Tensor]]) -> tuple[Tensor, Weights]:
            with batch_statistics(own):
                return self._trained(own, weights, *task)

        for loss, reached in spread(one, model, list(zip(rows, orders, strict=True))):
            total = total + loss
            sums.add({name: value.detach() - reached[name] for name, value in weights.items()}, [])
        yield Update({"inner": sums.known(total, len(tasks))})

    def _order(self, rows: int, device: torch.device) -> list[Tensor]:
        """The rows of each inner step: minibatches in random order, pass after pass."""
        size = min(self.batch, rows)
        passes = -(-self.steps * size // rows)
        order = torch.cat([torch.randperm(rows) for _ in range(passes)]).to(device)
        return [order[k * size : (k + 1) * size] for k in range(self.steps)]

    def _trained(self, model: Model, weights: Weights, rows: Batch, order: list[Tensor]) -> tuple[Tensor, Weights]:
        """The mean inner loss, and the weights after the inner steps."""
        assert rows.targets is not None, "episodes have targets"
        total = torch.zeros((), device=model.device)
        for chosen in order:
            batch = Batch(changed(rows.inputs, itemgetter(chosen)), rows.targets[chosen])
            here = {name: value.detach().requires_grad_() for name, value in weights.items()}
            loss = loss_of(model, batch)(here)
            slopes = torch.autograd.grad(loss, list(here.values()), materialize_grads=True)
            total = total + loss.detach()
            weights = {n: v.detach() - self.rate * slope for (n, v), slope in zip(here.items(), slopes, strict=True)}
        return total / self.steps, weights


def _both(support: Batch, query: Batch) -> Batch:
    """All rows of one task."""
    assert support.targets is not None and query.targets is not None, "episodes have targets"
    return Batch(
        changed(joined(*(changed(side.inputs, itemgetter(None)) for side in (support, query))), itemgetter(0)),
        torch.cat([support.targets, query.targets]),
    )
