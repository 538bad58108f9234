"""Prototypical networks: a query belongs to the class whose mean it is nearest to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.methods.meta.base import Learner
from acclimate.training.model import Model
from acclimate.training.stage import Pass, Update
from acclimate.training.stream import changed


@dataclass(frozen=True)
class ProtoNet(Learner):
    """Features in which the classes of an episode lie around their means.

    ``p(class k of x) = softmax_k(-scale * |f(x) - c_k|^2)``, with c_k the mean feature of the support rows of class k.

    Helps nearly everywhere as a first answer: no inner loop, any number of ways and shots when it is used. **Hurts**
    where a class is several clusters, and where support rows are far from typical: one shot is all that a mean has.
    Batch norm mixes the episodes of a step while training, and uses running statistics afterwards: an answer then
    depends on its own row and the support alone.

    Snell, Swersky and Zemel, Prototypical Networks for Few-shot Learning, NeurIPS 2017, eq. 1 and 2.

    Attributes:
        scale: of the squared distances (the paper: 1).
    """

    scale: float = 1.0

    name: ClassVar[str] = "protonet"
    about: ClassVar[str] = "the nearest mean of a class, in learned features (Snell et al. 2017)"
    headed: ClassVar[bool] = False
    ranges: ClassVar[Mapping[str, str]] = {"scale": "(0, inf)"}

    def updates(self, step: Pass, tasks: Batch) -> Iterator[Update]:
        """One update: all rows of all episodes pass through the backbone together."""
        query = tasks.views["query"]
        assert tasks.targets is not None and query.targets is not None
        count = tasks.targets.shape[1]
        rows = Batch(_together(tasks.inputs, query.inputs), None, tasks.domain)
        features = next(iter(step.run(rows).sites.values())).values.unflatten(0, (len(tasks), -1))
        logits = self.logits(features[:, :count], tasks.targets, features[:, count:])
        loss = F.cross_entropy(logits.flatten(0, 1), query.targets.flatten())
        yield Update({"query": loss}, ("features",))

    def logits(self, support: Tensor, targets: Tensor, query: Tensor) -> Tensor:
        """From features ``[tasks, n, d]`` with targets ``[tasks, n]``, and ``[tasks, q, d]``: ``[tasks, q, ways]``."""
        member = F.one_hot(targets).to(support.dtype)
        means = member.mT @ support / member.sum(1).unsqueeze(-1)
        return -self.scale * torch.cdist(query, means).square()

    def answers(self, model: Model, parts: Mapping[str, nn.Module], support: Batch, query: Any) -> Tensor:
        """From features of the model as it is."""
        assert support.targets is not None
        with torch.no_grad():
            known, asked = (_features(model, inputs, len(support)) for inputs in (support.inputs, query))
        return self.logits(known, support.targets, asked)


def _together(support: Any, query: Any) -> Any:
    """``[tasks, n, ...]`` and ``[tasks, q, ...]`` to ``[tasks * (n + q), ...]``."""
    if isinstance(support, Mapping):
        return {name: _together(value, query[name]) for name, value in support.items()}
    return torch.cat([support, query], dim=1).flatten(0, 1)


def _features(model: Model, inputs: Any, tasks: int) -> Tensor:
    return model.features(changed(inputs, lambda value: value.flatten(0, 1))).unflatten(0, (tasks, -1))
