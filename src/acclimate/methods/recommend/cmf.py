"""Collective matrix factorisation: one vector of each user for both domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from acclimate.domains.batch import Batch
from acclimate.methods.data import Need
from acclimate.methods.transfer.joint import Joint
from acclimate.training.stage import Pass


@dataclass(frozen=True)
class CMF(Joint):
    """Both domains are factorised at once, and users that both know share their vector.

    ``share * L_target + (1 - share) * L_source``, whose users' vectors are the same parameters. With
    ``backbone.history=false`` and without tables this is the model of the paper; with them, a shared two-tower network.

    Helps where many users are in both domains, cold ones above all. Hurts where likes in one domain say nothing of the
    other: the vectors then serve two masters.

    Singh & Gordon, Relational learning via collective matrix factorization, KDD 2008, eq. 8 (alpha is the share).

    Attributes:
        share: weight of the target's loss; 0.5 weighs both domains alike.
    """

    share: float = 0.5

    name: ClassVar[str] = "cmf"
    about: ClassVar[str] = "collective matrix factorisation: shared vectors of users (Singh & Gordon 2008)"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_labels", "users")
    ranges: ClassVar[Mapping[str, str]] = {"share": "[0, 1]"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"share": (0.5, 0.8, 0.2)}

    def objective(self, step: Pass, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """The weighted losses of both streams."""
        weights = {"source": 1 - self.share, "target": self.share}
        return {
            name: 2 * weights[name.removeprefix("task_")] * loss
            for name, loss in super().objective(step, batches).items()
        }
