"""PTUPCDR: a mapping of its own for each user, from what the user liked in the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from acclimate.domains.batch import Batch
from acclimate.methods.base import Supervised
from acclimate.methods.data import Data, Need
from acclimate.methods.recommend.pieces import Memory, apart, towers
from acclimate.tasks.sites import Width
from acclimate.training.stage import Loop, Pass, Stage, Update


class Bridge(nn.Module):
    """Items that a user liked -> a matrix that carries his vector over.

    ``p = sum_j softmax(a(v_j)) v_j`` over the items ``v_j``, then ``W = g(p)`` reshaped to ``d x d`` (eq. 2 to 5 of the
    paper).
    """

    def __init__(self, size: int, hidden: int):
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.mapping = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, size * size))

    def forward(self, users: Tensor, liked: Tensor, there: Tensor) -> Tensor:
        """Vectors ``[n, d]``, items ``[n, m, d]`` and which of them are there ``[n, m]`` -> vectors ``[n, d]``."""
        score = self.attention(liked).squeeze(-1).masked_fill(~there, -1e9)
        profile = (score.softmax(-1)[..., None] * liked * there[..., None]).sum(1)
        size = users.shape[1]
        matrix = self.mapping(profile).reshape(len(users), size, size)
        return torch.einsum("nij,nj->ni", matrix, users)


@dataclass(frozen=True)
class PTUPCDR(Supervised):
    """Personalised transfer of user preferences: a network writes each user's mapping, trained on the task itself.

    Both domains are factorised apart, as in EMCDR. A network then reads the items that a user liked in the source and
    gives the matrix that carries the user's vector over; it alone learns, by the task's loss on the target's rows of
    shared users. Users that only the source knows get what it gives them.

    Helps where tastes carry over in different ways for different users, and shared users are many. Hurts with few: the
    network has ``hidden * d * d`` weights.

    Zhu et al., Personalized transfer of user preferences for cross-domain recommendation, WSDM 2022, eq. 2 to 8.

    Attributes:
        hidden: width of the hidden layers (paper: 50).
    """

    hidden: int = 50

    name: ClassVar[str] = "ptupcdr"
    about: ClassVar[str] = "maps each user's vector in its own way (Zhu et al. 2022)"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_labels", "users")
    ranges: ClassVar[Mapping[str, str]] = {"hidden": "[1, inf)"}

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Source, target, bridge."""
        assert data.labelled_target is not None
        memory = Memory()
        bridging = _Bridging(self.hidden, memory)
        return [*apart(data, self, memory), Loop("bridge", {"source": data.labelled_target}, bridging)]


class _Bridging:
    """The last stage's side of the method: the bridge alone learns, and cold users' vectors follow it."""

    def __init__(self, hidden: int, memory: Memory):
        self.hidden, self.memory = hidden, memory

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The bridge."""
        return {"bridge": Bridge(sites["user"].values, self.hidden)}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The task's loss with carried vectors in the place of the users' own, on users whose history is known."""
        batch = batches["source"]
        model = step.open(batch)
        users = batch.inputs if batch.inputs.ndim == 1 else batch.inputs[:, 0]
        carried, told = self._carry(step, users)
        with torch.no_grad():
            plain = model.features(batch.inputs)
            own = towers(model).users.embedding.weight[users]
        size = carried.shape[1]
        features = torch.cat([plain[:, :size] - own + carried, plain[:, size:]], dim=1)
        loss = model.answer(batch, features).loss
        assert loss is not None
        yield Update({"task": (loss * told).sum() / told.sum().clamp(min=1)}, ("bridge",))
        with torch.no_grad():
            cold, _ = self._carry(step, self.memory.cold)
            towers(model).users.embedding.weight[self.memory.cold] = cold

    def _carry(self, step: Pass, users: Tensor) -> tuple[Tensor, Tensor]:
        """Carried vectors ``[n, d]``, and whether the source tells anything of each user ``[n]``."""
        memory = self.memory
        liked = [memory.items[memory.liked[user]] for user in users.tolist()]
        there = pad_sequence([torch.ones(len(items), dtype=torch.bool) for items in liked], batch_first=True)
        there = there.to(users.device)
        padded = pad_sequence(liked, batch_first=True)
        return step.parts["bridge"](memory.users[users], padded, there), there.any(1)
