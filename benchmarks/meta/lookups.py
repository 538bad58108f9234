"""What needs no network: prototypes on cached features, and the drawing of episodes, by everyone who is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, Sampler

import acclimate as ac
from acclimate.domains.domain import Domain
from acclimate.domains.episodes import BLOCK, Episodes
from acclimate.methods.meta.protonet import ProtoNet
from benchmarks.meta import peers
from benchmarks.meta.setup import QUERIES, SHOTS, WAYS

CHARACTERS, DRAWERS = 1200, 20
"""Classes of Omniglot's usual split for training, and images of each."""
WIDTH = 640
"""Of the features of a WideResNet, on which few-shot methods are compared."""
TARGETS = torch.arange(WAYS).repeat_interleave(SHOTS), torch.arange(WAYS).repeat_interleave(QUERIES)


@cache
def rows(width: int) -> Domain:
    """As many rows as Omniglot has, whose classes are told from each other by ``width`` numbers, not without fail."""
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=(CHARACTERS, width)), DRAWERS, axis=0)
    values += rng.normal(scale=4.0, size=values.shape)
    labels = np.repeat([f"class {k}" for k in range(CHARACTERS)], DRAWERS)
    return ac.read((values.astype(np.float32), labels), label=True)


@dataclass(frozen=True)
class Lookup:
    """Accuracies of many tasks on cached features, ``answer(features, support, query)`` of some tasks at a time.

    Attributes:
        answer: from features, and rows ``[tasks, support]`` and ``[tasks, query]``, to predictions ``[tasks, query]``.
        together: tasks at a time.
    """

    answer: Callable[[Tensor, Tensor, Tensor], Tensor]
    together: int = 1

    def prepared(self, count: int) -> Callable[[], list[float]]:
        """What finds the accuracy of so many tasks, whose rows are drawn before."""
        domain = rows(WIDTH)
        features = torch.from_numpy(domain.rows.take(np.arange(len(domain))))
        drawn = Episodes(domain, WAYS, SHOTS, QUERIES).draw(0, count)
        support, query = (torch.from_numpy(part).flatten(1) for part in (drawn.support, drawn.query))
        return lambda: list(self._accuracies(features, support, query))

    @torch.no_grad()
    def _accuracies(self, features: Tensor, support: Tensor, query: Tensor) -> Iterator[float]:
        for some, others in zip(support.split(self.together), query.split(self.together), strict=True):
            yield from (self.answer(features, some, others) == TARGETS[1]).float().mean(1).tolist()


def _ours(features: Tensor, support: Tensor, query: Tensor) -> Tensor:
    targets = TARGETS[0].expand(len(support), -1)
    return ProtoNet().logits(F.embedding(support, features), targets, F.embedding(query, features)).argmax(-1)


def _loop(features: Tensor, support: Tensor, query: Tensor) -> Tensor:
    known = F.embedding(support[0], features)
    means = torch.stack([known[TARGETS[0] == k].mean(0) for k in range(WAYS)])
    return torch.cdist(F.embedding(query[0], features), means).argmin(-1).unsqueeze(0)


def _easyfsl(features: Tensor, support: Tensor, query: Tensor) -> Tensor:
    classifier = peers.load("easyfsl.methods").PrototypicalNetworks()
    classifier.process_support_set(F.embedding(support[0], features), TARGETS[0])
    return classifier(F.embedding(query[0], features)).argmax(-1).unsqueeze(0)


def _learn2learn(features: Tensor, support: Tensor, query: Tensor) -> Tensor:
    classifier = peers.load("learn2learn").nn.PrototypicalClassifier(F.embedding(support[0], features), TARGETS[0])
    return classifier(F.embedding(query[0], features)).argmax(-1).unsqueeze(0)


class Drawing:
    """Draws rows of episodes, and nothing else."""

    def __init__(self, start: Callable[[Domain, int], Callable[[], Any]]):
        self.domain, self.start = rows(2), start

    def prepared(self, count: int) -> Callable[[], Any]:
        """What draws so many episodes."""
        return self.start(self.domain, count)


def _our_draws(domain: Domain, count: int) -> Callable[[], Any]:
    episodes = Episodes(domain, WAYS, SHOTS, QUERIES)
    return lambda: [episodes.draw(first, min(BLOCK, count - first)) for first in range(0, count, BLOCK)]


def _easyfsl_draws(domain: Domain, count: int) -> Callable[[], Any]:
    found: Any = _Labels(domain)
    sampler: Any = type("Sampler", (peers.load("easyfsl.samplers").TaskSampler, _TakesDataSource), {})
    drawn = sampler(found, WAYS, SHOTS, QUERIES, count)
    return lambda: list(drawn)


class _TakesDataSource(Sampler[Any]):
    """easyfsl hands its base class an argument that torch no longer takes."""

    def __init__(self, data_source: None):
        super().__init__()


def _learn2learn_draws(domain: Domain, count: int) -> Callable[[], Any]:
    data = peers.load("learn2learn").data
    known = data.MetaDataset(_Labels(domain))
    pick = data.transforms.FusedNWaysKShots(known, n=WAYS, k=SHOTS + QUERIES)
    tasks = data.TaskDataset(known, [pick], num_tasks=-1)
    return lambda: list(islice(iter(tasks.sample_task_description, None), count))


class _Labels(Dataset[tuple[int, int]]):
    def __init__(self, domain: Domain):
        assert domain.labels is not None
        self.labels = np.unique(domain.labels.astype(str), return_inverse=True)[1].tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[int, int]:
        return row, self.labels[row]

    def get_labels(self) -> list[int]:
        """What easyfsl asks for."""
        return self.labels


LOOKUPS: Mapping[str, Lookup] = {
    "ours": Lookup(_ours, together=BLOCK),
    "loop": Lookup(_loop),
    "easyfsl": Lookup(_easyfsl),
    "learn2learn": Lookup(_learn2learn),
}
SAMPLERS: Mapping[str, Callable[[Domain, int], Callable[[], Any]]] = {
    "ours": _our_draws,
    "easyfsl": _easyfsl_draws,
    "learn2learn": _learn2learn_draws,
}
