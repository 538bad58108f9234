"""Fine-tuning: learn on the source first, then on the labelled target rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from acclimate.methods.base import Supervised
from acclimate.methods.data import Data, Need
from acclimate.training.stage import Loop, Stage


@dataclass(frozen=True)
class Finetune(Supervised):
    """Sequential transfer: source, then target. Where the labels differ the second stage has a fresh head.

    Both stages take gradient steps, so that the second starts from where the first ended; with a
    frozen backbone only bottleneck and head move.
    """

    name: ClassVar[str] = "finetune"
    about: ClassVar[str] = "train on the source, then on labelled target rows (needs --target-label)"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_labels")
    rowwise: ClassVar[bool] = True
    same_labels: ClassVar[bool] = False

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """A loop on the source, then one on the target."""
        assert data.source is not None and data.labelled_target is not None
        task = None if data.same_task else data.target_task
        return [
            Loop("source", {"source": data.source}, self, validation=data.source_validation),
            Loop("target", {"source": data.labelled_target}, self, task, data.labelled_target_validation),
        ]
