"""The features of a frozen backbone, for every domain of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from acclimate.backbones.base import Backbone
from acclimate.backbones.cache import as_domain, embed
from acclimate.domains.domain import Domain
from acclimate.training.device import Place

IN_MEMORY = 2 << 30
"""Bytes of features that are read into memory; larger ones stay memory-mapped."""


Reading = Callable[[str, int, int], None]
"""Called with the domain's name, rows read, and rows in all."""


def unseen(name: str, rows: int, total: int) -> None:
    """Show nothing."""


class Features:
    """Frozen features of one backbone, read once through the cache.

    Attributes:
        layers: which ones are read.
        wholes: the domains as they were before any split: the cache knows those, whatever the seed of the split.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: tuple[str, ...],
        place: Place,
        wholes: Sequence[Domain] = (),
        show: Reading = unseen,
    ):
        self.backbone, self.layers, self.place, self.wholes, self.show = backbone, layers, place, wholes, show
        self._known: dict[int, tuple[Domain, dict[str, Any]]] = {}

    def of(self, domain: Domain) -> dict[str, Domain]:
        """The same rows with features as inputs, by layer."""
        whole = next((w for w in self.wholes if np.isin(domain.ids, w.ids).all()), domain)
        arrays = self._read(whole)
        if whole is not domain:
            order = np.argsort(whole.ids, kind="stable")
            rows = order[np.searchsorted(whole.ids, domain.ids, sorter=order)]
            arrays = {layer: array[rows] for layer, array in arrays.items()}
        return {layer: as_domain(domain, array) for layer, array in arrays.items()}

    def _read(self, domain: Domain) -> dict[str, Any]:
        if id(domain) not in self._known:
            place = self.place
            arrays = embed(
                self.backbone,
                domain,
                self.layers,
                device=str(place.device),
                precision=place.precision,
                progress=partial(self.show, domain.name),
            )
            resident = {layer: self._resident(array) for layer, array in arrays.items()}
            self._known[id(domain)] = (domain, resident)  # the domain is kept so that its id stays its own
        return self._known[id(domain)][1]

    @staticmethod
    def _resident(array: Any) -> Any:
        size = getattr(array, "nbytes", 4 * array.shape[0] * array.shape[1])
        return array if hasattr(array, "tocsr") or size > IN_MEMORY else np.asarray(array)
