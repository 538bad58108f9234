"""MAML: weights from which a few steps of gradient descent learn a new task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.func import functional_call

from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.methods.meta.base import Learner
from acclimate.methods.meta.inner import Both, Loss, Weights, adapt, batch_statistics, gradient, task_loss
from acclimate.methods.meta.together import gradients
from acclimate.methods.source_free.pieces import diversity, entropy
from acclimate.tasks.sites import Width
from acclimate.training.model import Model
from acclimate.training.spread import spread
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

    With ``inner="infomax"`` the inner loss is that the answers to the support rows be sure and varied, ``mean entropy -
    entropy of the mean``, which needs no labels: the model learns to adapt to a new domain from a handful of unlabelled
    rows. Its training episodes are domains (`Episodes` with ``groups="tasks"``), whose query rows have labels. It helps
    where domains differ and classes keep their meaning; it **hurts** where a handful of rows is mostly of one class.

    Related: `FOMAML` (no second derivatives), `ANIL` (only the head adapts), `MetaSGD` and `MAMLPP` (learned rates),
    `ProtoMAML` (begins from prototypes), `Reptile`.

    Finn, Abbeel and Levine, Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, ICML 2017, eq. 1 and
    algorithm 2. The label-free inner loss is that of Krause, Perona and Gomes, Discriminative Clustering by Regularized
    Information Maximization, NeurIPS 2010, section 2; learning through a label-free inner loss, another one: Bartler et
    al., MT3: Meta Test-Time Training, AISTATS 2022.

    Attributes:
        steps: inner steps (the paper: 1 on 5-way Omniglot, 5 on 20-way and mini-ImageNet).
        rate: inner learning rate (the paper: 0.4 on 5-way Omniglot, 0.1 on 20-way, 0.01 on mini-ImageNet and
            sinusoids).
        test_steps: inner steps when it answers; None: as in training (the paper: 3 on Omniglot, 10 on mini-ImageNet).
        inner: what the inner steps go by: "labels" of the support rows, or "infomax", without any.
        mapped: whether the tasks of a step go through the network at once (`torch.func.vmap`), as many as fit into
            memory; otherwise one after the other, spread over the threads. None: on accelerators.
    """

    steps: int = 1
    rate: float = 0.4
    test_steps: int | None = None
    inner: Literal["labels", "infomax"] = "labels"
    mapped: bool | None = None

    name: ClassVar[str] = "maml"
    about: ClassVar[str] = "weights from which a few gradient steps learn a task (Finn et al. 2017)"
    headed: ClassVar[bool] = True
    regresses: ClassVar[bool] = True
    moves: ClassVar[str] = "model"
    """The player whose weights learn in the outer loop."""
    labelled: ClassVar[str] = ""
    """Why the inner loss needs labels, if it always does."""
    ranges: ClassVar[Mapping[str, str]] = {"steps": "[1, inf)", "rate": "(0, inf)", "test_steps": "[0, inf)"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner != "labels" and self.labelled:
            raise SettingsError(f"{self.name}: inner={self.inner} is not possible, {self.labelled}; use maml or fomaml")

    def check(self, sites: Mapping[str, Width]) -> None:
        """As in `Learner`; and answers that are numbers have no entropy."""
        super().check(sites)
        if self.inner == "infomax" and not next(iter(sites.values())).probs:
            raise SettingsError(f"{self.name}: inner=infomax goes by class probabilities, and the labels are numbers")

    def rates(self, weights: Mapping[str, Tensor], parts: Mapping[str, nn.Module], steps: int) -> list[Any]:
        """How fast each weight learns in each of ``steps`` inner steps; see `inner.Rates`."""
        return [self.rate] * steps

    def form(self, progress: float) -> dict[str, Any]:
        """What `inner.gradient` is told beside losses, weights and rates, at this share of the training."""
        return {}

    def begin(self, model: Model, weights: Weights, support: Batch, ways: int = -1) -> Weights:
        """The weights that a task's inner loop begins with, as a function of those that are learned.

        ``ways`` is said where targets are those of many tasks at once; by default it is what they show.
        """
        return weights

    def support_loss(self, model: Model, support: Batch) -> Loss:
        """The inner loss as a function of the weights; a label-free one never reads the targets."""
        return loss_of(model, support) if self.inner == "labels" else infomax_of(model, support)

    def task_gradient(
        self, model: Model, support: Batch, query: Batch, weights: Weights, rates: list[Any], progress: float
    ) -> tuple[Tensor, Both]:
        """The outer loss of one task and its gradients by weights and rates; query targets are in that loss alone."""
        losses = self.support_loss(model, support), loss_of(model, query)
        return gradient(*losses, weights, rates, **self.form(progress))

    def updates(self, step: Pass, tasks: Batch) -> Iterator[Update]:
        """One update of the model, and of the learned rates where there are any."""
        model = step.open(tasks)
        weights = learning(model)
        rates = self.rates(weights, step.parts, self.steps)
        together = model.device.type != "cpu" if self.mapped is None else self.mapped
        find = self._together if together else self._spread
        loss = find(model, tasks, weights, rates, step.progress)
        yield Update({"query": loss}, (self.moves, *step.parts))

    def _spread(self, model: Model, tasks: Batch, weights: Weights, rates: list[Any], progress: float) -> Tensor:
        """The mean outer loss, by Hessian-vector products, one task in memory a thread."""

        def one(own: Model, task: tuple[Batch, Batch]) -> tuple[Tensor, Both]:
            with batch_statistics(own):
                return self.task_gradient(own, *task, weights, rates, progress)

        total, sums = torch.zeros((), device=model.device), Sums(weights, rates)
        for loss, (by_weight, by_rate) in spread(one, model, list(each(tasks))):
            total = total + loss
            sums.add(by_weight, by_rate)
        return sums.known(total, len(tasks))

    def _together(self, model: Model, tasks: Batch, weights: Weights, rates: list[Any], progress: float) -> Tensor:
        """The mean outer loss, all tasks at once."""
        targets = tasks.targets
        ways = -1 if targets is None or targets.is_floating_point() else int(targets.max()) + 1

        def outer(support: Batch, query: Batch, here: Weights, those: list[Any]) -> Tensor:
            losses = self.support_loss(model, support), loss_of(model, query)
            return task_loss(*losses, self.begin(model, here, support, ways), those, **self.form(progress))

        mean, by_weight, by_rate = gradients(model, outer, tasks, weights, rates)
        sums = Sums(weights, rates)
        sums.found |= {id(weights[name]): slope for name, slope in by_weight.items()} | by_rate
        return sums.known(mean, 1)

    def answers(self, model: Model, parts: Mapping[str, nn.Module], support: Batch, query: Any) -> Tensor:
        """Adapt to each task in turn, then answer its queries."""
        found = []
        with batch_statistics(model):
            for k in range(len(support)):
                reached = self.adapted(model, parts, _task(support, k))
                with torch.no_grad():
                    outputs = run(model, reached, Batch(changed(query, itemgetter(k))))
                found.append(next(iter(outputs.values())).detach())
        return torch.stack(found)

    def adapted(self, model: Model, parts: Mapping[str, nn.Module], support: Batch) -> Weights:
        """The weights of a trained model after the inner steps on one task, without graph; the model stays as it is.

        Args:
            model: in evaluation mode.
            parts: the learner's own networks, trained.
            support: inputs ``[support, ...]`` and targets ``[support, ...]`` of the task.
        """
        weights: Weights = {name: value.detach() for name, value in learning(model, everything=True).items()}
        steps = self.steps if self.test_steps is None else self.test_steps
        rates = [_constant(rate) for rate in self.rates(weights, parts, steps)]
        with torch.no_grad():
            first = self.begin(model, weights, support)
        return [first, *adapt(self.support_loss(model, support), first, rates, first_order=True)][-1]


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


def infomax_of(model: Model, batch: Batch) -> Loss:
    """How unsure and how alike the answers to a batch are, as a function of the weights; without its targets."""

    def loss(weights: Weights) -> Tensor:
        probs = next(iter(functional_call(model, dict(weights), (Batch(batch.inputs),)).sites.values())).probs
        assert probs is not None, "classes have probabilities"
        return entropy(probs) - diversity(probs)

    return loss


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
