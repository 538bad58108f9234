"""Frozen features in which every site has its own shift and scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from acclimate.backbones.passthrough import PassThrough
from acclimate.domains.domain import ArrayRows, Domain
from acclimate.methods.base import Harmony
from acclimate.methods.data import Data
from acclimate.runs.features import Features


class SiteFeatures(Features):
    """`Features` after a `Harmony`: the source's rows as their sites', in training and validation, the target's as its.

    Shifts and scales are learned from the source's training rows and all rows of the target, without labels.
    """

    def __init__(self, features: Features, data: Data, harmony: Harmony):
        super().__init__(features.backbone, features.layers, features.place, features.wholes, features.show)
        assert data.source is not None and data.target is not None
        self.plain, self.data, self.harmony = features, data, harmony
        self.target_ids, self.source_ids = data.target.ids, data.source.ids
        self._fits: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._done: dict[int, tuple[Domain, dict[str, Domain]]] = {}

    def of(self, domain: Domain) -> dict[str, Domain]:
        """The same rows with harmonised features as inputs, by layer."""
        if id(domain) not in self._done:
            plain = self.plain.of(domain)
            found = {layer: self._harmonised(layer, domain, rows) for layer, rows in plain.items()}
            self._done[id(domain)] = (domain, found)
        return self._done[id(domain)][1]

    def reader(self, layer: str) -> PassThrough:
        """As of the plain features."""
        return self.plain.reader(layer)

    def target(self, layer: str) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale of the target ``[d]``, which a model of its own carries."""
        shift, scale = self._fit(layer)
        return shift[-1], scale[-1]

    def _harmonised(self, layer: str, domain: Domain, rows: Domain) -> Domain:
        shift, scale = self._fit(layer)
        site = np.full(len(domain), len(shift) - 1) if self._of_target(domain) else _origin(domain)
        values = (_values(rows) - shift[site]) / scale[site]
        return replace(rows, rows=ArrayRows(values.astype(np.float32)))

    def _of_target(self, domain: Domain) -> bool:
        """Whether these rows are the target's; those that both have count as the source's."""
        there = np.isin(domain.ids, self.target_ids).all()
        return bool(there) and not np.isin(domain.ids, self.source_ids).all()

    def _fit(self, layer: str) -> tuple[np.ndarray, np.ndarray]:
        if layer not in self._fits:
            source, target = self.data.source, self.data.target
            assert source is not None and target is not None
            values = [_values(self.plain.of(side)[layer]) for side in (source, target)]
            origin = _origin(source)
            site = np.concatenate([origin, np.full(len(target), origin.max() + 1)])
            self._fits[layer] = self.harmony(np.concatenate(values), site)
        return self._fits[layer]


def _origin(domain: Domain) -> np.ndarray:
    return np.zeros(len(domain), dtype=np.int64) if domain.origin is None else domain.origin


def _values(domain: Domain) -> np.ndarray:
    return np.asarray(domain.rows.take(np.arange(len(domain))))
