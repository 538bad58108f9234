"""What methods have in common that harmonise features before anything is trained on them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from acclimate.backbones.base import Backbone
from acclimate.methods.base import Harmony, Method
from acclimate.methods.data import Data, Need
from acclimate.training.stage import Stage


class Harmonize(Method):
    """Base of the methods that shift and scale the frozen features of every site; alone, they precede source_only.

    Each of several sources is a site, and so is the target. Source rows are always read as their own site's. A saved
    model has the target's shift and scale: it is the target's alone.
    """

    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs")

    @property
    def harmony(self) -> Harmony:
        """See `sites`."""
        return self.sites

    @property
    def joins(self) -> bool:
        """Never: the columns that only one domain has say nothing of the other."""
        return False

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """Dense features that stay as they are."""
        if frozen and not backbone.spec.sparse:
            return ""
        return (
            f"method '{self.name}' shifts and scales frozen, dense features; use --tune frozen (of tables and arrays "
            "with --backbone columns)"
        )

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Training on the source."""
        from acclimate.methods.transfer.source_only import SourceOnly

        return SourceOnly().stages(data, convex)

    @abstractmethod
    def sites(self, values: np.ndarray, site: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale ``[sites, d]`` of features ``[n, d]``; harmonised is ``(x - shift[site]) / scale[site]``.

        Args:
            values: of all sites.
            site: ``[n]`` int64, 0 to the number of sites - 1.
        """
