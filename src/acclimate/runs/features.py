"""The features of a frozen backbone, for every domain of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from acclimate.backbones.base import Backbone
from acclimate.backbones.cache import as_domain, embed
from acclimate.domains.domain import Domain
from acclimate.training.device import Place

IN_MEMORY = 2 << 30
"""Bytes of features that are read into memory; larger ones stay memory-mapped."""


class Features:
    """Frozen features of one backbone, read once through the cache.

    Attributes:
        layers: which ones are read.
    """

    def __init__(self, backbone: Backbone, layers: tuple[str, ...], place: Place):
        self.backbone, self.layers, self.place = backbone, layers, place
        self._known: dict[int, tuple[Domain, dict[str, Domain]]] = {}

    def of(self, domain: Domain) -> dict[str, Domain]:
        """The same rows with features as inputs, by layer."""
        if id(domain) not in self._known:
            arrays = embed(
                self.backbone, domain, self.layers, device=str(self.place.device), precision=self.place.precision
            )
            small = {name: self._resident(array) for name, array in arrays.items()}
            self._known[id(domain)] = (domain, {name: as_domain(domain, array) for name, array in small.items()})
        return self._known[id(domain)][1]

    @staticmethod
    def _resident(array: Any) -> Any:
        size = getattr(array, "nbytes", 4 * array.shape[0] * array.shape[1])
        return array if hasattr(array, "tocsr") or size > IN_MEMORY else np.asarray(array)
