"""What answers the same episodes without any meta-training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones import registry as backbones
from acclimate.backbones.base import Backbone
from acclimate.backbones.passthrough import PassThrough
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Rows
from acclimate.domains.episodes import Episodes
from acclimate.methods.few_shot.prototypes import Prototypes
from acclimate.methods.meta.base import Learner
from acclimate.runs.features import Features
from acclimate.runs.meta.assess import Sheet, assess
from acclimate.runs.meta.learned import Learned
from acclimate.runs.recipe import Recipe
from acclimate.tasks.base import Task
from acclimate.tasks.regress import Regress
from acclimate.training.device import Place
from acclimate.training.model import Model
from acclimate.training.stage import Pass, Update
from acclimate.training.stream import changed


def baselines(taught: Learned, recipe: Recipe, drawn: Episodes, count: int, where: Place) -> dict[str, Sheet]:
    """The same episodes, answered without any meta-training."""
    task, modality = taught.model.task, drawn.domain.schema.modality
    if isinstance(task, Regress):
        plain = backbones.create(backbones.PLAIN[modality], modality)
        plain.fit(drawn.domain)
        return {"support mean": assess(SupportMean(), Model(plain, task), {}, drawn, count, where)}
    name = recipe.backbone["name"]
    settings = {key: value for key, value in recipe.backbone.items() if key != "name"}
    known = {
        backbones.PLAIN[modality]: backbones.create(backbones.PLAIN[modality], modality),
        name: backbones.create(name, modality, settings, recipe.seed),
    }
    found = {}
    for title, backbone in known.items():
        backbone.fit(drawn.domain)
        if backbone.spec.pretrained or not backbone.spec.trainable:
            found[f"prototypes on {title}"] = _nearest(backbone, task, drawn, count, where)
    return found


def _nearest(backbone: Backbone, task: Task, drawn: Episodes, count: int, where: Place) -> Sheet:
    """Prototypes on frozen features; of turned images, which are not in the cache, on features read now."""
    if drawn.turns:
        return assess(Nearest(), Model(backbone, task), {}, drawn, count, where)
    layer = backbone.spec.default
    domain = Features(backbone, (layer,), where).of(drawn.domain)[layer]
    if backbone.spec.sparse:
        domain = replace(domain, rows=Dense(domain.rows))
    read = replace(drawn, domain=domain)
    return assess(Nearest(), Model(PassThrough(backbone, layer), task), {}, read, count, where)


@dataclass(frozen=True)
class Dense:
    """Rows of sparse features, as arrays."""

    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: np.ndarray) -> np.ndarray:
        return self.rows.take(index).toarray()


class _Untaught(Learner):
    """Answers without having learned."""

    headed = False

    def updates(self, step: Pass, tasks: Batch) -> Iterator[Update]:
        yield from ()


@dataclass(frozen=True)
class Nearest(_Untaught):
    """The nearest class mean by cosine."""

    name = "nearest"
    about = "the nearest class mean by cosine"

    def answers(self, model: Model, parts: Mapping[str, nn.Module], support: Batch, query: Any) -> Tensor:
        assert support.targets is not None
        with torch.no_grad():
            known, asked = (
                model.features(changed(part, lambda v: v.flatten(0, 1))).unflatten(0, (len(support), -1))
                for part in (support.inputs, query)
            )
        return Prototypes().logits(known, support.targets, asked, int(support.targets.max()) + 1)


@dataclass(frozen=True)
class SupportMean(_Untaught):
    """The mean of the numbers of the support rows."""

    name = "support mean"
    about = "the mean of the support rows"
    regresses = True

    def answers(self, model: Model, parts: Mapping[str, nn.Module], support: Batch, query: Any) -> Tensor:
        assert support.targets is not None
        rows = len(Batch(changed(query, itemgetter(0))))
        return support.targets.mean(1, keepdim=True).expand(-1, rows)
