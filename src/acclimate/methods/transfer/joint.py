"""Joint training: source and labelled target rows together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from acclimate.domains.domain import join
from acclimate.methods.base import Supervised
from acclimate.methods.data import Data, Need
from acclimate.training.stage import Loop, Stage


@dataclass(frozen=True)
class Joint(Supervised):
    """Both losses in each step, half the rows from each domain (Daumé 2007 calls it "all", balanced).

    With a frozen backbone the convex head is fitted to all rows at once.
    """

    name: ClassVar[str] = "joint"
    about: ClassVar[str] = "train on source and labelled target rows together (needs --target-label)"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_labels")
    rowwise: ClassVar[bool] = True

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One stage on both."""
        assert data.source is not None and data.labelled_target is not None
        if convex:
            both = join([data.source, data.labelled_target])
            return [self.learn("joint", both, data.labelled_target_validation, convex, None)]
        streams = {"source": data.source, "target": data.labelled_target}
        return [Loop("joint", streams, self, validation=data.labelled_target_validation)]
