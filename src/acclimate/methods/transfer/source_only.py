"""Source only: learn on the source, use on the target as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from acclimate.methods.base import Supervised
from acclimate.methods.data import Data, Need
from acclimate.training.stage import Stage


@dataclass(frozen=True)
class SourceOnly(Supervised):
    """Empirical risk minimisation on the source; every other method is read beside it.

    With a frozen backbone this is the linear probe: a convex head whose layer and penalty are chosen
    on source validation.
    """

    name: ClassVar[str] = "source_only"
    about: ClassVar[str] = "train on the source, use on the target as it is"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels",)
    rowwise: ClassVar[bool] = True

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One stage on the source."""
        assert data.source is not None
        return [self.learn("source", data.source, data.source_validation, convex, None)]
