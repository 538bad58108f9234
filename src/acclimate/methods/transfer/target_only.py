"""Target only: learn on the labelled target rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from acclimate.methods.base import Supervised
from acclimate.methods.data import Data, Need
from acclimate.training.stage import Stage


@dataclass(frozen=True)
class TargetOnly(Supervised):
    """Training on target labels, without the source: what the pretrained backbone alone gives.

    With a frozen backbone this is the linear probe of the target.
    """

    name: ClassVar[str] = "target_only"
    about: ClassVar[str] = "train on labelled target rows alone (needs --target-label)"
    needs: ClassVar[tuple[Need, ...]] = ("target_labels",)
    rowwise: ClassVar[bool] = True
    same_labels: ClassVar[bool] = False

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One stage on the labelled target rows."""
        assert data.labelled_target is not None
        task = None if data.same_task else data.target_task
        return [self.learn("target", data.labelled_target, data.labelled_target_validation, convex, task)]
