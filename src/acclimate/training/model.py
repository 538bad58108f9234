"""A model: backbone, optional bottleneck, and the task's head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.backbones.layers import ignore_last
from acclimate.domains.batch import Batch
from acclimate.seeds import derive
from acclimate.tasks.base import Task
from acclimate.tasks.sites import Maps, Site, Units, Width


@dataclass(frozen=True)
class Step:
    """What one forward pass gives to a method.

    Attributes:
        outputs: the task's outputs by name.
        sites: where an alignment may act; the first is the main one.
        loss: ``[n]`` per example, weighted; None without targets.
        batch: what went in.
        criterion: the task's loss per example, for other pairs of outputs and targets than the batch's own.
    """

    outputs: Mapping[str, Tensor]
    sites: Mapping[str, Site]
    loss: Tensor | None
    batch: Batch
    criterion: Callable[[Mapping[str, Tensor], Tensor], Tensor] | None = None


class AtTest(Protocol):
    """A method that answers in the model's place, one row at a time."""

    def answer(self, model: Model, batch: Batch, autocast: AbstractContextManager[object]) -> Step:
        """What is said of a batch of one row; the model is as before afterwards."""
        ...

    def recipe(self) -> dict[str, Any]:
        """Name and settings of the method."""
        ...


class Neck(nn.Module):
    """Between backbone and head: standardisation by fixed statistics, then an optional trainable layer."""

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int, bottleneck: int = 0, standardize: bool = False):
        super().__init__()
        self.standardize = standardize
        if standardize:
            self.register_buffer("mean", torch.zeros(size))
            self.register_buffer("scale", torch.ones(size))
        self.moves = bottleneck > 0
        self.project = nn.Sequential(nn.Linear(size, bottleneck), nn.ReLU()) if bottleneck else nn.Identity()
        self.size = bottleneck or size

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take mean and deviation of features ``[n, size]``; constant columns are left at scale 1."""
        scale, mean = torch.std_mean(features.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(scale > 1e-6, scale, 1.0))

    @torch.no_grad()
    def follow(self, shift: Tensor, scale: Tensor) -> None:
        """Let ``(x - shift) / scale``, each ``[size]``, come before what the neck does."""
        if not self.standardize:
            self.standardize = True
            self.register_buffer("mean", torch.zeros_like(shift))
            self.register_buffer("scale", torch.ones_like(scale))
        self.mean.copy_(shift + scale * self.mean)
        self.scale.copy_(scale * self.scale)

    def forward(self, features: Tensor) -> Tensor:
        """``[n, size] -> [n, self.size]``."""
        if self.standardize:
            features = (features - self.mean) / self.scale
        return self.project(features) if self.moves else features


class Model(nn.Module):
    """Backbone, neck and head; everything that `predict` needs.

    New layers are initialised from ``seed`` alone, so equal seeds give equal models whatever was drawn before.
    """

    def __init__(
        self,
        backbone: Backbone,
        task: Task,
        *,
        layer: str | None = None,
        bottleneck: int = 0,
        standardize: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        self.backbone = backbone
        self.task = task
        self.seed = seed
        self.at_test: AtTest | None = None
        self.shape = (bottleneck, standardize)
        if task.reads in ("pair", "states"):
            backbone.read_units()
        if task.reads == "words":
            backbone.read_words()
        if task.reads == "maps":
            backbone.read_maps()
        self.use_layer(backbone.check_layer(layer))
        self.new_head(task)

    def use_layer(self, layer: str) -> None:
        """Read this layer from now on, through a fresh neck; the head must be made anew too."""
        self.layer = layer
        with seeded(self.seed, "neck"):
            self.neck = Neck(self.backbone.size(layer), *self.shape).to(self.device)
        self.idle = self.backbone.spec.idle.get(layer, 0)
        if self.neck.moves:
            ignore_last(self.neck.project.get_submodule("0"), self.idle)

    def follow(self, shift: np.ndarray, scale: np.ndarray) -> None:
        """Let features be read as ``(x - shift) / scale``, each ``[size]``, from now on."""
        first, last = (torch.from_numpy(side).float().to(self.device) for side in (shift, scale))
        self.neck.follow(first, last)
        self.shape = (self.shape[0], True)

    def new_head(self, task: Task) -> None:
        """A fresh head, for the first or for another task."""
        self.task = task
        with seeded(self.seed, "head"):
            size = self.backbone.spec.maps if task.reads == "maps" else self.neck.size
            self.head = task.own_head(self.backbone) if task.writes else task.head(size).to(self.device)
        ignore_last(self.head, 0 if self.neck.moves else self.idle)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    @property
    def sites(self) -> dict[str, Width]:
        """How wide each site is."""
        with torch.no_grad():
            values: Any = torch.zeros(1, self.neck.size, device=self.device)
            if self.task.reads == "maps":
                inputs = self.backbone.collate([np.zeros((8, 8, 3), dtype=np.uint8)])
                values = self.features({name: value.to(self.device) for name, value in inputs.items()})
            elif self.task.reads != "row":
                one = torch.ones(1, 1, dtype=torch.int64, device=self.device)
                values = Units(values[None], one.bool(), one[..., None].expand(1, 1, 2))
            silent = self.task.writes and self.task.reads != "maps"  # nothing is written for this
            sites = self.task.sites(values, {} if silent else self.task.outputs(self.head, values))
        return {
            name: Width(site.values.shape[1], 0 if site.probs is None else site.probs.shape[1])
            for name, site in sites.items()
        }

    def forward(self, batch: Batch, autocast: AbstractContextManager[object] | None = None) -> Step:
        """One forward pass; ``autocast`` holds for the backbone alone, neck and head stay float32."""
        return self.answer(batch, self.features(batch.inputs, autocast))

    def features(self, inputs: Any, autocast: AbstractContextManager[object] | None = None) -> Any:
        """What the head reads: ``[n, size]``, or `Units` or `Maps` where the task asks for these."""
        if self.task.reads == "maps":
            with autocast or nullcontext():
                maps = self.backbone.maps(inputs)
            return Maps(tuple(value.float() for value in maps), inputs["frame"])
        with autocast or nullcontext():
            features = self.backbone(inputs, [self.layer])[self.layer]
        read = self.neck(features.float())
        if self.task.reads == "row":
            return read
        mask = self.backbone.mask(inputs, read)
        places = inputs.get("places")
        return Units(read, mask, mask.new_full((*mask.shape, 2), -1, dtype=torch.int64) if places is None else places)

    def answer(self, batch: Batch, features: Any) -> Step:
        """The rest of a forward pass, from what the head reads of the batch."""
        if self.task.writes:
            features = replace(features, targets=batch.targets)
        outputs = self.task.outputs(self.head, features)
        loss = None
        if batch.targets is not None:
            loss = self.task.loss(outputs, batch.targets)
            loss = loss if batch.weight is None else loss * batch.weight
        return Step(outputs, self.task.sites(features, outputs), loss, batch, self.task.loss)


class seeded:  # noqa: N801 - reads as a statement
    """Inside the block, torch's generators start from a seed of this purpose; outside they are as before."""

    def __init__(self, seed: int, *purpose: object):
        self.value = derive(seed, *purpose)

    def __enter__(self) -> None:
        self.before = torch.get_rng_state()
        torch.default_generator.manual_seed(self.value)

    def __exit__(self, *failure: object) -> None:
        torch.set_rng_state(self.before)
