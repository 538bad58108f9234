"""EMCDR: a mapping from the vectors of the source's users to those of the target's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from acclimate.methods.base import Supervised
from acclimate.methods.data import Data, Need
from acclimate.methods.recommend.pieces import Memory, apart, fitted, towers
from acclimate.training.model import Model, seeded
from acclimate.training.stage import Adjust, Reader, Stage


@dataclass(frozen=True)
class EMCDR(Supervised):
    """Embedding and mapping: factorise both domains apart, then learn to translate vectors on the shared users.

    1. Train on the source, keep its users' vectors ``U_s``. 2. Train on the target anew, ``U_t``. 3. Minimise
    ``||f(U_s) - U_t||^2`` over the users of both, and give ``f(U_s)`` to those that only the source knows.
    Vectors that follow from features or history stay as the target taught them.

    Helps where shared users are many (hundreds), and both domains give them good vectors. Hurts where they are few: a
    mapping of d x d numbers is then fitted to noise, and it aims at vectors and not at what is to be predicted.

    Man et al., Cross-domain recommendation: an embedding and mapping approach, IJCAI 2017, eq. 3 to 5.

    Attributes:
        hidden: width of the mapping's hidden layer (paper: twice the vectors', tanh); 0 is a linear mapping, solved
            as a ridge regression.
        penalty: of the ridge regression, on the mapping's squared weights.
    """

    hidden: int = 0
    penalty: float = 1.0

    name: ClassVar[str] = "emcdr"
    about: ClassVar[str] = "maps users' vectors from source to target (Man et al. 2017)"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_labels", "users")
    ranges: ClassVar[Mapping[str, str]] = {"hidden": "[0, inf)", "penalty": "(0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"hidden": (0, 64)}

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Source, target, mapping."""
        memory = Memory()

        def carry(model: Model, reader: Reader) -> dict[str, Any]:
            weight = towers(model).users.embedding.weight
            given, wanted = memory.users[memory.shared], weight[memory.shared].detach()
            if not len(given):
                return {"shared_users": 0}
            with torch.no_grad():
                weight[memory.cold] = self.mapped(given, wanted, memory.users[memory.cold], model.seed)
            return {"shared_users": len(given), "mapped_users": len(memory.cold)}

        return [*apart(data, self, memory), Adjust("map", carry)]

    def mapped(self, given: Tensor, wanted: Tensor, asked: Tensor, seed: int = 0) -> Tensor:
        """The mapping fitted to pairs ``[s, d]``, ``[s, d]``, applied to vectors ``[c, d]``."""
        if self.hidden == 0:
            square = given.T @ given + self.penalty * torch.eye(given.shape[1], device=given.device)
            return asked @ torch.linalg.solve(square, given.T @ wanted)
        with seeded(seed, "emcdr"), torch.inference_mode(False):
            size = given.shape[1]
            net = nn.Sequential(nn.Linear(size, self.hidden), nn.Tanh(), nn.Linear(self.hidden, size)).to(given.device)
            fitted(net, lambda: (net(given) - wanted).square().sum(1).mean())
        with torch.no_grad():
            return net(asked)
