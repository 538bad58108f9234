"""Batches of episodes, for the training loop: a pure function of seed and step, like those of a `Stream`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones.base import Backbone
from acclimate.domains.batch import Batch
from acclimate.domains.episodes import Draw, Episodes
from acclimate.seeds import generator
from acclimate.tasks.base import Task
from acclimate.training.stream import HELD, changed


class EpisodeStream:
    """Endless episodes; one batch holds ``size`` of them.

    A batch's inputs are the support rows ``[size, support, ...]`` and its view "query" the query rows ``[size, query,
    ...]``, class after class; targets are ``[size, support]`` and ``[size, query]``. ``origin`` says
    of each row which of all training classes it is of.

    Attributes:
        batches: steps after which as many rows were read as the domain has.
    """

    def __init__(self, name: str, episodes: Episodes, backbone: Backbone, task: Task, *, size: int, seed: int):
        self.name, self.backbone, self.size, self.seed = name, backbone, size, seed
        # The tasks of a step are of one shape.
        self.episodes = replace(episodes, block=size) if episodes.varies else episodes
        ways, rows = episodes.fewest
        self.batches = max(1, len(episodes.pools.rows) // (size * ways * rows))
        labels = None if episodes.labelled_by_place else episodes.domain.labels
        self.targets = None if labels is None else task.encode(labels)
        self.held = self._hold()

    def _hold(self) -> Tensor | None:
        """All rows collated once where they are small and no augmentation changes them: a batch is then an index.

        ``[turns, n, ...]``, with every turn of an image.
        """
        domain, turns = self.episodes.domain, self.episodes.factor
        if getattr(self.backbone.settings, "augment", "none") != "none":
            return None
        one = self.backbone.collate(domain.rows.take(np.arange(1)))
        if not isinstance(one, Tensor) or one.layout != torch.strided:
            return None
        if math.prod(one.shape[1:]) * one.element_size() * len(domain) * turns > HELD:
            return None
        raw = domain.rows.take(np.arange(len(domain)))
        return torch.stack([self.backbone.collate(_turned(raw, np.full(len(domain), k))) for k in range(turns)])

    def batch(self, step: int, part: slice = slice(None)) -> Batch:
        """The episodes of a step on the CPU; ``part`` cuts out one process' share."""
        drawn = self.episodes.draw(step * self.size, self.size)
        query = self._side(drawn, drawn.query[part], drawn.query_way[part], step, part, "query")
        support = self._side(drawn, drawn.support[part], drawn.support_way[part], step, part, "support")
        return Batch(support.inputs, support.targets, self.name, views={"query": query}, origin=support.origin)

    def _side(self, drawn: Draw, rows: np.ndarray, way: np.ndarray, step: int, part: slice, side: str) -> Batch:
        turns = np.take_along_axis(drawn.turns[part], way, axis=1)
        origin = np.take_along_axis(drawn.pools[part], way, axis=1) * self.episodes.factor + turns
        inputs = self._read(rows.reshape(-1), turns.reshape(-1), side, step)
        inputs = changed(inputs, lambda value: value.unflatten(0, rows.shape))
        targets = torch.from_numpy(way) if self.targets is None else self.targets[torch.from_numpy(rows)]
        return Batch(inputs, targets, self.name, origin=torch.from_numpy(origin))

    def _read(self, index: np.ndarray, turns: np.ndarray, side: str, step: int) -> Any:
        if self.held is not None:
            return self.held[torch.from_numpy(turns), torch.from_numpy(index)]
        raw = _turned(self.episodes.domain.rows.take(index), turns)
        return self.backbone.collate(raw, training=True, rng=generator(self.seed, side, self.name, step))


def _turned(raw: Any, turns: np.ndarray) -> Any:
    """Each image turned by so many quarters; anything else as it is."""
    if not turns.any():
        return raw
    return [np.rot90(image, quarters) for image, quarters in zip(raw, turns, strict=True)]
