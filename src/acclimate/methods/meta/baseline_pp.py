"""Baseline++: a cosine classifier over all training classes, and a new one for each task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.methods.meta.base import Learner
from acclimate.methods.meta.on_features import all_features, means, members, task_features
from acclimate.training.model import Model
from acclimate.training.stage import Pass, Update


@dataclass(frozen=True)
class BaselinePP(Learner):
    """No meta-learning: features that tell all training classes apart by cosine, then a new cosine head on the support.

    ``p(class k of x) = softmax_k(scale * cos(f(x), w_k))``. Training asks of every row, support and query alike, which
    of all training classes it is of; the paper takes plain batches where these are the rows of episodes. To answer, a
    new head learns on the support rows, the backbone as it is; it begins from the classes' mean features and takes
    whole-batch steps (the paper: from random weights, by batches of 4).

    Helps as the baseline that much meta-learning does not beat, the more so across domains. **Hurts** where training
    classes are thousands with few rows each, and where training and new tasks are alike: there episodes teach more.

    Chen, Liu, Kira, Wang and Huang, A Closer Look at Few-shot Classification, ICLR 2019, section 3.2.

    Attributes:
        scale: of the cosine.
        steps: of gradient descent (momentum 0.9) on the support when it answers (the paper: 100).
        rate: their learning rate (the paper: 0.01).
    """

    scale: float = 10.0
    steps: int = 100
    rate: float = 0.01

    name: ClassVar[str] = "baseline++"
    about: ClassVar[str] = "a cosine classifier of all training classes, a new one for each task (Chen et al. 2019)"
    headed: ClassVar[bool] = False
    ranges: ClassVar[Mapping[str, str]] = {"scale": "(0, inf)", "steps": "[0, inf)", "rate": "(0, inf)"}

    def parts(self, model: Model, classes: int) -> dict[str, nn.Module]:
        """A direction for each training class."""
        return {"classes": nn.Linear(model.neck.size, classes, bias=False)}

    def updates(self, step: Pass, tasks: Batch) -> Iterator[Update]:
        """One update of features and classifier, by the classes that rows are of among all."""
        query = tasks.views["query"]
        assert tasks.origin is not None and query.origin is not None, "episodes tell the training class of each row"
        logits = self.logits(all_features(step, tasks), step.parts["classes"].get_parameter("weight"))
        loss = F.cross_entropy(logits.flatten(0, 1), torch.cat([tasks.origin, query.origin], dim=1).flatten())
        yield Update({"classes": loss}, ("features", "classes"))

    def answers(self, model: Model, parts: Mapping[str, nn.Module], support: Batch, query: Any) -> Tensor:
        """From a head of each task's own, all trained at once; their losses are added, so none knows of another."""
        assert support.targets is not None, "support rows have targets"
        with torch.no_grad():
            known, asked = (task_features(model, inputs, len(support)) for inputs in (support.inputs, query))
            member = members(support.targets, known)
            heads = F.normalize(means(known, member), dim=-1)
        heads.requires_grad_()
        descent = torch.optim.SGD([heads], lr=self.rate, momentum=0.9)
        with torch.enable_grad():
            for _ in range(self.steps):
                descent.zero_grad()
                (-self.logits(known, heads).log_softmax(-1) * member).sum(-1).mean(-1).sum().backward()
                descent.step()
        return self.logits(asked, heads.detach())

    def logits(self, features: Tensor, heads: Tensor) -> Tensor:
        """Scaled cosines ``[tasks, n, classes]`` of features ``[tasks, n, d]`` and heads ``[(tasks,) classes, d]``."""
        return self.scale * F.normalize(features, dim=-1) @ F.normalize(heads, dim=-1).mT
