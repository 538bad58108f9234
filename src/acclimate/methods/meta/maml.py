"""MAML: weights from which a few steps of gradient descent learn a new task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.func import functional_call

from acclimate.domains.batch import Batch
from acclimate.methods.meta.base import Learner
from acclimate.methods.meta.inner import Weights, adapt, batch_statistics, gradient
from acclimate.training.model import Model
from acclimate.training.stage import Pass, Update
from acclimate.training.stream import changed


@dataclass(frozen=True)
class MAML(Learner):
    """Model-agnostic meta-learning: the outer loss is that of query rows after ``steps`` inner steps on support rows.

    ``min_w  mean over tasks of Q(w - rate * grad S(w))`` (one step), with the gradient through the inner steps.

    Helps where tasks are many, alike and small, and where plain features do not carry over: regression, control, new
    symbols. **Hurts** where a pretrained backbone is at hand: on mini-ImageNet to CUB plain features beat it by 14
    points (Chen et al., A Closer Look at Few-shot Classification, ICLR 2019). Costs about six forward passes an inner
    step. Batch norm normalises by the batch at hand, in queries too, as in the paper: answers to queries depend on
    the other queries of their batch.

    Related: `FOMAML` (no second derivatives), `ANIL` (only the head adapts), `MetaSGD` (learned rates).

    Finn, Abbeel and Levine, Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, ICML 2017, eq. 1 and
    algorithm 2.

    Attributes:
        steps: inner steps (the paper: 1 on 5-way Omniglot, 5 on 20-way and mini-ImageNet).
        rate: inner learning rate (the paper: 0.4 on 5-way Omniglot, 0.1 on 20-way, 0.01 on mini-ImageNet and
            sinusoids).
        test_steps: inner steps when it answers; None: as in training (the paper: 3 on Omniglot, 10 on mini-ImageNet).
    """

    steps: int = 1
    rate: float = 0.4
    test_steps: int | None = None

    name: ClassVar[str] = "maml"
    about: ClassVar[str] = "weights from which a few gradient steps learn a task (Finn et al. 2017)"
    headed: ClassVar[bool] = True
    first_order: ClassVar[bool] = False
    ranges: ClassVar[Mapping[str, str]] = {"steps": "[1, inf)", "rate": "(0, inf)", "test_steps": "[0, inf)"}

    def rates(self, weights: Mapping[str, Tensor], parts: Mapping[str, nn.Module], steps: int) -> list[Any]:
        """How fast each weight learns in each of ``steps`` inner steps; see `inner.Rates`."""
        return [self.rate] * steps

    def updates(self, step: Pass, tasks: Batch) -> Iterator[Update]:
        """One update of the model, and of the learned rates where there are any."""
        model = step.open(tasks)
        weights = learning(model)
        rates = self.rates(weights, step.parts, self.steps)
        total, sums = torch.zeros((), device=model.device), Sums(weights, rates)
        with batch_statistics(model):
            for support, query in each(tasks):
                loss, (by_weight, by_rate) = gradient(
                    loss_of(model, support), loss_of(model, query), weights, rates, first_order=self.first_order
                )
                total = total + loss
                sums.add(by_weight, by_rate)
        yield Update({"query": sums.known(total, len(tasks))}, ("model", *step.parts))

    def answers(self, model: Model, parts: Mapping[str, nn.Module], support: Batch, query: Any) -> Tensor:
        """Adapt to each task in turn, then answer its queries."""
        weights: Weights = {name: value.detach() for name, value in learning(model, everything=True).items()}
        steps = self.steps if self.test_steps is None else self.test_steps
        rates = [_constant(rate) for rate in self.rates(weights, parts, steps)]
        found = []
        with batch_statistics(model):
            for k in range(len(support)):
                reached = list(adapt(loss_of(model, _task(support, k)), weights, rates, first_order=True))
                with torch.no_grad():
                    outputs = run(model, [weights, *reached][-1], Batch(changed(query, itemgetter(k))))
                found.append(next(iter(outputs.values())).detach())
        return torch.stack(found)


def learning(model: Model, everything: bool = False) -> dict[str, Tensor]:
    """The parameters that learn, by name; all of them if ``everything``, for a model that is no longer trained."""
    return {name: value for name, value in model.named_parameters() if everything or value.requires_grad}


def run(model: Model, weights: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
    """The task's outputs with these weights."""
    return functional_call(model, dict(weights), (batch,)).outputs


def loss_of(model: Model, batch: Batch) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The mean loss of a batch as a function of the weights."""
    assert batch.targets is not None, "episodes have targets"
    targets = batch.targets
    return lambda weights: model.task.loss(run(model, weights, Batch(batch.inputs)), targets).mean()


def each(tasks: Batch) -> Iterator[tuple[Batch, Batch]]:
    """Support and query of one task after the other."""
    for k in range(len(tasks)):
        yield _task(tasks, k), _task(tasks.views["query"], k)


def _task(tasks: Batch, k: int) -> Batch:
    targets = None if tasks.targets is None else tasks.targets[k]
    return Batch(changed(tasks.inputs, itemgetter(k)), targets, tasks.domain)


def _constant(rate: Any) -> Any:
    if isinstance(rate, Mapping):
        return {name: value.detach() if isinstance(value, Tensor) else value for name, value in rate.items()}
    return rate.detach() if isinstance(rate, Tensor) else rate


class Sums:
    """Gradients of weights and of learned rates, summed over tasks."""

    def __init__(self, weights: Mapping[str, Tensor], rates: list[Any]):
        self.rates, self.weights = rates, weights
        self.found = {id(value): torch.zeros_like(value) for value in self._learned()}

    def _learned(self) -> list[Tensor]:
        rated = [value for rate in self.rates if isinstance(rate, Mapping) for value in rate.values()]
        return [*self.weights.values(), *{id(r): r for r in rated if isinstance(r, Tensor)}.values()]

    def add(self, by_weight: Mapping[str, Tensor], by_rate: list[dict[str, Tensor]]) -> None:
        """Add what `gradient` found for one task."""
        for name, slope in by_weight.items():
            self.found[id(self.weights[name])] += slope
        for rate, slopes in zip(self.rates, by_rate, strict=True):
            if isinstance(rate, Mapping):
                for name, slope in slopes.items():
                    if isinstance(rate[name], Tensor):
                        self.found[id(rate[name])] += slope if rate[name].ndim else slope.sum()

    def known(self, total: Tensor, tasks: int) -> Tensor:
        """The mean loss of the tasks, whose backward pass hands these gradients on."""
        learned = self._learned()
        return _Known.apply(total / tasks, [self.found[id(value)] / tasks for value in learned], *learned)


class _Known(torch.autograd.Function):
    """A loss whose gradients were found otherwise."""

    @staticmethod
    def forward(ctx: FunctionCtx, value: Tensor, slopes: list[Tensor], *learned: Tensor) -> Tensor:
        ctx.slopes = slopes  # type: ignore[attr-defined]
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(upstream * slope for slope in ctx.slopes)  # type: ignore[attr-defined]
