"""Meta-learners whose answers are a function of features, those of the support rows and of the query rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.methods.meta.base import Learner
from acclimate.training.model import Model
from acclimate.training.stage import Pass, Update
from acclimate.training.stream import changed

NONE: Mapping[str, nn.Module] = MappingProxyType({})


class OnFeatures(Learner):
    """Base of learners without an inner loop: all rows of all episodes pass through the backbone together.

    A subclass implements `logits`. Batch norm mixes the episodes of a step while training, and uses running statistics
    afterwards: an answer then depends on its own row and the support alone.
    """

    headed: ClassVar[bool] = False

    @abstractmethod
    def logits(self, support: Tensor, targets: Tensor, query: Tensor, parts: Mapping[str, nn.Module] = NONE) -> Tensor:
        """From features ``[tasks, n, d]`` with targets ``[tasks, n]``, and ``[tasks, q, d]``: ``[tasks, q, ways]``.

        Standardised values ``[tasks, q]`` where targets are numbers.
        """

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The outer loss of the query rows: cross-entropy, or the squared error of numbers."""
        if targets.is_floating_point():
            return (logits - targets).square().mean()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def updates(self, step: Pass, tasks: Batch) -> Iterator[Update]:
        """One update of the features, and of the learner's own networks where it has any."""
        query = tasks.views["query"]
        assert tasks.targets is not None and query.targets is not None, "episodes have targets"
        features, count = all_features(step, tasks), tasks.targets.shape[1]
        logits = self.logits(features[:, :count], tasks.targets, features[:, count:], step.parts)
        yield Update({"query": self.loss(logits, query.targets)}, ("features", *step.parts))

    def answers(self, model: Model, parts: Mapping[str, nn.Module], support: Batch, query: Any) -> Tensor:
        """From features of the model as it is."""
        assert support.targets is not None, "support rows have targets"
        with torch.no_grad():
            known, asked = (task_features(model, inputs, len(support)) for inputs in (support.inputs, query))
            return self.logits(known, support.targets, asked, parts)


def all_features(step: Pass, tasks: Batch) -> Tensor:
    """Features ``[tasks, support + query, d]`` of all rows of a step, in one pass."""
    rows = changed(joined(tasks.inputs, tasks.views["query"].inputs), lambda value: value.flatten(0, 1))
    sites = step.run(Batch(rows, None, tasks.domain)).sites
    return next(iter(sites.values())).values.unflatten(0, (len(tasks), -1))


def task_features(model: Model, inputs: Any, tasks: int) -> Tensor:
    """Features ``[tasks, n, d]`` of inputs ``[tasks, n, ...]``."""
    return model.features(changed(inputs, lambda value: value.flatten(0, 1))).unflatten(0, (tasks, -1))


def joined(support: Any, query: Any) -> Any:
    """Inputs ``[tasks, n, ...]`` and ``[tasks, q, ...]`` as ``[tasks, n + q, ...]``; what is padded, as texts
    and molecules are, with zeros to the longer of both.
    """
    if isinstance(support, Mapping):
        return {name: joined(value, query[name]) for name, value in support.items()}
    if support.ndim > 2 and support.shape[2] != query.shape[2]:
        longest = max(support.shape[2], query.shape[2])
        support, query = (
            F.pad(rows, (*(0, 0) * (rows.ndim - 3), 0, longest - rows.shape[2])) for rows in (support, query)
        )
    return torch.cat([support, query], dim=1)


def members(targets: Tensor, like: Tensor, ways: int = -1) -> Tensor:
    """``[tasks, n, ways]``, 1 where a row is of a class, in the type of ``like``; by default as many as occur."""
    ways = int(targets.max()) + 1 if ways < 0 else ways
    return (targets.unsqueeze(-1) == torch.arange(ways, device=targets.device)).to(like.dtype)  # one_hot does not map


def means(features: Tensor, member: Tensor) -> Tensor:
    """The mean feature of each class ``[tasks, ways, d]``."""
    return member.mT @ features / member.sum(1).unsqueeze(-1)
