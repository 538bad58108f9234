"""The features of a frozen backbone, for every domain of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from acclimate.backbones.base import Backbone
from acclimate.backbones.cache import as_domain, embed, gather
from acclimate.backbones.passthrough import PassThrough
from acclimate.domains.domain import Domain
from acclimate.training.device import Place

Reading = Callable[[str, int, int], None]
"""Called with the domain's name, rows read, and rows in all."""


def unseen(name: str, rows: int, total: int) -> None:
    """Show nothing."""


class Features:
    """Frozen features of one backbone, read once through the cache.

    Attributes:
        layers: which ones are read.
        wholes: the domains as they were before any split: the cache knows those, whatever the seed of the split.
        best: the layer whose linear probe is best, by what it was trained and judged on.
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
        self.best: dict[tuple[object, ...], str] = {}
        self._known: dict[int, tuple[Domain, Mapping[str, Any]]] = {}

    def of(self, domain: Domain) -> dict[str, Domain]:
        """The same rows with features as inputs, by layer; they stay where they are stored until they are taken."""
        return {layer: as_domain(domain, array) for layer, array in self._arrays(domain).items()}

    def reader(self, layer: str) -> PassThrough:
        """What reads the rows of `of` in the place of the backbone."""
        return PassThrough(self.backbone, layer)

    def _arrays(self, domain: Domain) -> Mapping[str, Any]:
        if id(domain) not in self._known:
            whole = next((w for w in self.wholes if np.isin(domain.ids, w.ids).all()), domain)
            found = self._read(domain) if whole is domain else self._part(whole, domain.ids)
            self._known[id(domain)] = (domain, found)  # the domain is kept so that its id stays its own
        return self._known[id(domain)][1]

    def _part(self, whole: Domain, ids: np.ndarray) -> Mapping[str, Any]:
        order = np.argsort(whole.ids, kind="stable")
        rows = order[np.searchsorted(whole.ids, ids, sorter=order)]
        return {layer: gather(array, rows) for layer, array in self._arrays(whole).items()}

    def _read(self, domain: Domain) -> Mapping[str, Any]:
        return embed(
            self.backbone,
            domain,
            self.layers,
            device=str(self.place.device),
            precision=self.place.precision,
            progress=partial(self.show, domain.name),
        )
