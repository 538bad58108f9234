"""Batches of one domain as a pure function of seed and step: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones.base import Backbone
from acclimate.backbones.passthrough import PassThrough, csr_matrix, csr_tensor
from acclimate.domains.augment import View, strong
from acclimate.domains.batch import Batch
from acclimate.domains.domain import ArrayRows, Domain
from acclimate.seeds import generator
from acclimate.tasks.base import Task

HELD = 2**30
"""Bytes of inputs up to which a stream keeps them in memory."""
AT_ONCE = 65_536
"""Rows that are made into inputs at a time, to be kept."""
POOL = 32
"""Batches that are sorted by length together: enough to bucket well, few enough to stay random."""


class Stream:
    """Endless shuffled batches of a domain.

    Rows are first put into an order that depends on content alone, so neither the order of a file nor
    what it tells about labels matters. Each epoch has its own permutation; the incomplete last batch
    is left out; a domain smaller than a batch is repeated to fill it.
    """

    def __init__(
        self,
        name: str,
        domain: Domain,
        backbone: Backbone,
        task: Task,
        *,
        size: int,
        seed: int,
        views: Sequence[View] = (),
        soft: np.ndarray | None = None,
    ):
        self.views, self.ranks = views, np.argsort(domain.order)
        self.name, self.domain, self.backbone, self.size, self.seed = name, domain, backbone, size, seed
        self.task, self.still = task, task.reads == "maps"
        learned = domain.labels is not None and not self.still
        self.targets = task.encode(domain.labels, domain.rows) if learned and domain.labels is not None else None
        if soft is not None:
            self.targets = torch.from_numpy(np.asarray(soft, dtype=np.float32))
        self.lengths = backbone.lengths(domain.rows)
        self.batches = max(1, len(domain) // size)
        self.together = 1 if self.targets is None or soft is not None else task.together
        self.held = self._hold()
        self._epoch = -1
        self._plan = np.empty((0, 0), dtype=np.int64)

    def _hold(self) -> Tensor | None:
        """Inputs that stay the same, all in memory unless they are large: a batch is then one index away."""
        rows = self.domain.rows
        if self.views or not self.backbone.steady:
            return None
        if isinstance(rows, ArrayRows) and isinstance(self.backbone, PassThrough):
            return None if 4 * math.prod(rows.values.shape) > HELD else self.backbone.collate(rows.values[:])
        one = self.backbone.collate(rows.take(np.arange(1)))
        if not isinstance(one, Tensor) or len(rows) * one.nbytes > HELD:  # a text has several sentences
            return None
        starts = range(0, len(rows), AT_ONCE)
        return torch.cat([self.backbone.collate(rows.take(np.arange(len(rows))[k : k + AT_ONCE])) for k in starts])

    def indices(self, step: int) -> np.ndarray:
        """The rows of the batch of a step, counted from 0."""
        epoch, position = divmod(step, self.batches)
        if epoch != self._epoch:
            self._plan, self._epoch = self._shuffle(epoch), epoch
        return self._plan[position]

    def _shuffle(self, epoch: int) -> np.ndarray:
        rng = generator(self.seed, "stream", self.name, epoch)
        order = self.domain.order[rng.permutation(len(self.domain))]
        if self.together > 1 and self.targets is not None:
            order = _side_by_side(order, self.targets.numpy(), self.together, rng)
        order = np.resize(order, (self.batches, self.size)) if len(order) < self.size else order
        flat = order.reshape(-1)[: self.batches * self.size]
        if self.lengths is not None and self.together == 1:
            for start in range(0, len(flat), POOL * self.size):
                pool = flat[start : start + POOL * self.size]
                flat[start : start + POOL * self.size] = pool[np.argsort(self.lengths[pool], kind="stable")]
            return flat.reshape(self.batches, self.size)[rng.permutation(self.batches)]
        return flat.reshape(self.batches, self.size)

    def batch(self, step: int, part: slice = slice(None)) -> Batch:
        """The batch of a step on the CPU; ``part`` cuts out one process' share."""
        index = self.indices(step)[part]
        raw = None if self.held is not None else self.domain.rows.take(index)
        inputs = self._collate(raw, "augment", step) if self.held is None else self.held[torch.from_numpy(index)]
        targets = None if self.targets is None else self.targets[torch.from_numpy(index)]
        if self.still and self.domain.labels is not None:
            targets = self.task.placed(self.domain.labels[index], inputs)
        views: dict[str, Batch] = {
            view: Batch(self._collate(raw, view, step), targets, self.name) for view in self.views
        }
        rows = torch.from_numpy(self.ranks[index])
        origin = None if self.domain.origin is None else torch.from_numpy(self.domain.origin[index])
        return Batch(inputs, targets, self.name, rows=rows, views=views, origin=origin)

    def _collate(self, raw: Any, view: str, step: int) -> Any:
        rng = generator(self.seed, view, self.name, step)
        if view != "augment":
            raw = strong(raw, self.backbone.spec.modality, rng, still=self.still)
            if self.still:  # all views of an image lie on the canvas alike
                rng = generator(self.seed, "augment", self.name, step)
        return self.backbone.collate(raw, training=True, rng=rng)


def _side_by_side(order: np.ndarray, targets: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The rows in shuffled pieces of ``count`` of one target; a piece that is not full repeats its target's rows.

    Hermans, Beyer & Leibe, In Defense of the Triplet Loss, 2017, section 2, draw P people and K rows of each.
    """
    pieces: list[np.ndarray] = []
    for target in np.unique(targets):
        mine = order[targets[order] == target]
        mine = np.resize(mine, -(-len(mine) // count) * count)
        pieces += list(mine.reshape(-1, count))
    return np.concatenate([pieces[k] for k in rng.permutation(len(pieces))])


def move(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    return batch if device.type == "cpu" else _each(batch, lambda value: value.to(device, non_blocking=True))


def cut(batch: Batch, parts: int) -> list[Batch]:
    """The batch in at most ``parts`` pieces of nearly equal size."""
    if parts == 1:
        return [batch]
    bounds = np.linspace(0, len(batch), min(parts, len(batch)) + 1).astype(int)
    return [_each(batch, partial(_piece, low=low, high=high)) for low, high in pairwise(bounds)]


def _piece(value: Tensor, low: int, high: int) -> Tensor:
    if value.layout == torch.sparse_csr:  # has no slices
        return csr_tensor(csr_matrix(value)[low:high])
    return value[low:high]


def changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tensor, or every tensor in a mapping, changed; anything else as it is."""
    if isinstance(value, Mapping):
        return {key: changed(item, change) for key, item in value.items()}
    return change(value) if isinstance(value, Tensor) else value


def _each(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with every tensor in it changed, those of its views too."""

    def of(value: Any) -> Any:
        return changed(value, change)

    views = {name: _each(view, change) for name, view in batch.views.items()}
    return Batch(
        of(batch.inputs), of(batch.targets), batch.domain, of(batch.weight), of(batch.rows), views, of(batch.origin)
    )
