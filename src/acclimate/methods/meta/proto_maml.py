"""Proto-MAML: MAML whose head begins as the classes' prototypes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.func import functional_call

from acclimate.domains.batch import Batch
from acclimate.methods.meta.inner import Both, Loss, Rates, Weights, gradient
from acclimate.methods.meta.maml import MAML, loss_of
from acclimate.methods.meta.on_features import means, members
from acclimate.training.model import Model


def gradient_through(
    begin: Callable[[Weights], Weights], support: Loss, query: Loss, weights: Weights, rates: Rates, **form: Any
) -> tuple[Tensor, Both]:
    """`inner.gradient` of a task whose inner loop begins with ``begin(weights)``: the gradient goes back through it.

    Args:
        begin: the weights of the first step from those that are learned; some may be the same tensors.
        support: loss of the support rows as a function of all of these.
        query: the same of the query rows.
        weights: those that are learned.
        rates: one entry a step.
        form: what else `inner.gradient` takes.
    """
    here = {name: value.detach().requires_grad_() for name, value in weights.items()}
    first = begin(here)
    loss, (back, by_rate) = gradient(support, query, first, rates, **form)
    ends = [(value, back[name]) for name, value in first.items() if value.requires_grad]
    pulled = torch.autograd.grad(
        [value for value, _ in ends], list(here.values()), [slope for _, slope in ends], materialize_grads=True
    )
    return loss, (dict(zip(here, pulled, strict=True)), by_rate)


def prototype_head(features: Tensor, targets: Tensor, ways: int = -1) -> tuple[Tensor, Tensor]:
    """Weight ``[ways, d]`` and bias ``[ways]`` of the linear head that answers as a prototypical network does.

    ``w_k = 2 c_k``, ``b_k = -|c_k|^2``: the squared distance to the mean c_k but for what all classes share.
    """
    centres = means(features[None], members(targets[None], features, ways))[0]
    return 2 * centres, -centres.square().sum(1)


@dataclass(frozen=True)
class ProtoMAML(MAML):
    """MAML without a learned head: a task's begins as `prototype_head` of its support rows, then all weights learn.

    The gradient of the features goes through the inner steps and through that beginning. Any number of ways.

    Helps where ways and shots vary, where MAML's one head for all tasks cannot: 63.4 against 57.0 on Meta-Dataset, and
    60.6 of prototypes alone (its table 1, means over the domains, trained on all). **Hurts** with large features and
    large rates: the head is as long as the features, and so is its gradient. Batch norm is as in MAML.

    Triantafillou et al., Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few Examples, ICLR 2020,
    section 3.

    Attributes:
        first_order: leave the Hessians of the inner steps out, as the paper does; the gradient through the beginning
            stays.
    """

    steps: int = 5
    rate: float = 0.01
    first_order: bool = True

    name: ClassVar[str] = "proto_maml"
    about: ClassVar[str] = "MAML whose head begins as prototypes (Triantafillou et al. 2020)"
    headed: ClassVar[bool] = False
    regresses: ClassVar[bool] = False
    moves: ClassVar[str] = "features"
    labelled: ClassVar[str] = "for prototypes need labels"

    def form(self, progress: float) -> dict[str, Any]:
        """The order that was asked for."""
        return {"first_order": self.first_order}

    def begin(self, model: Model, weights: Weights, support: Batch, ways: int = -1) -> Weights:
        """The same, but for the head."""
        assert support.targets is not None, "support rows have targets"
        sites = functional_call(model, dict(weights), (Batch(support.inputs),)).sites
        weight, bias = prototype_head(next(iter(sites.values())).values, support.targets, ways)
        return {**weights, "head.weight": weight, "head.bias": bias}

    def task_gradient(
        self, model: Model, support: Batch, query: Batch, weights: Weights, rates: list[Any], progress: float
    ) -> tuple[Tensor, Both]:
        """Back through the inner loop, and through its beginning."""
        losses = self.support_loss(model, support), loss_of(model, query)
        body = {name: value for name, value in weights.items() if not name.startswith("head.")}
        return gradient_through(
            lambda here: self.begin(model, here, support), *losses, body, rates, **self.form(progress)
        )
