"""What the methods share that act on the vectors of users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.towers import Tower
from acclimate.backbones.two_tower import TwoTower
from acclimate.domains.domain import Domain
from acclimate.methods.data import Data
from acclimate.training.model import Model
from acclimate.training.stage import Adjust, Loop, Reader, Stage, Updates


def _none() -> Tensor:
    return torch.zeros(0, dtype=torch.int64)


@dataclass
class Memory:
    """What is kept of the source's model while the target's is trained.

    Attributes:
        users: the vectors of all users after training on the source ``[users + 1, size]``.
        items: the same of the items ``[items + 1, size]``.
        shared: numbers of users that both domains have rows of ``[s]``.
        cold: of those that only the source has ``[c]``.
        liked: of each user ``[users + 1]``, the numbers of the source's items that he hit.
    """

    users: Tensor = field(default_factory=_none)
    items: Tensor = field(default_factory=_none)
    shared: Tensor = field(default_factory=_none)
    cold: Tensor = field(default_factory=_none)
    liked: Sequence[Tensor] = ()


def apart(data: Data, method: Updates, memory: Memory) -> list[Stage]:
    """Train on the source; put its vectors into the memory, and begin those of users anew; train on the target."""
    assert data.source is not None and data.labelled_target is not None
    source, target = data.source, data.labelled_target

    def keep(model: Model, reader: Reader) -> dict[str, Any]:
        network = towers(model)
        known, wanted = (numbers(network, domain) for domain in (source, target))
        starts, places = network.by_user()
        memory.shared = torch.from_numpy(np.intersect1d(known, wanted)).to(model.device)
        memory.cold = torch.from_numpy(np.setdiff1d(known, wanted)).to(model.device)
        memory.users = network.users.embedding.weight.detach().clone()
        memory.items = items(model).embedding.weight.detach().clone()
        memory.liked = [(places[low:high] + 1).to(model.device) for low, high in pairwise(starts.tolist())]
        with torch.no_grad():
            network.users.embedding.weight.zero_()
        return {"shared_users": len(memory.shared), "cold_users": len(memory.cold)}

    return [
        Loop("source", {"source": source}, method),
        Adjust("keep", keep),
        Loop("target", {"source": target}, method, validation=data.labelled_target_validation),
    ]


def towers(model: Model) -> TwoTower:
    """The network whose users' vectors are acted on."""
    assert isinstance(model.backbone, TwoTower)
    return model.backbone


def items(model: Model) -> Tower:
    """The items' tower: of the head that scores all of them, or of the network."""
    tower = getattr(model.head, "tower", None)
    return tower if isinstance(tower, Tower) else towers(model).items


def numbers(network: TwoTower, domain: Domain) -> np.ndarray:
    """Of the users that a domain has rows of, sorted."""
    found = network.collate(domain.rows.take(np.arange(len(domain))))
    return np.unique((found if found.ndim == 1 else found[:, 0]).numpy())


def fitted(
    network: nn.Module, loss: Callable[[], Tensor], *, steps: int = 500, rate: float = 0.01, decay: float = 0.01
) -> None:
    """Minimise a loss of the whole data by AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
