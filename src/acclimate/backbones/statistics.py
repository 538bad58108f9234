"""Statistics and band energies of series: the plain baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones.base import Identity, Spec
from acclimate.backbones.parts import Parts
from acclimate.backbones.series import Channels, fit
from acclimate.backbones.stretches import of_channels
from acclimate.domains.domain import Domain, Modality
from acclimate.errors import DataError, SettingsError
from acclimate.settings import as_dict, build

_MOMENTS = 8


@dataclass(frozen=True)
class Settings:
    """``bands``: of the spectrum of each channel, equally wide."""

    bands: int = 16


class Statistics(Identity):
    """Of each channel: mean, deviation, lowest, highest and last value, slope, skewness and kurtosis; and the logarithm
    of the energy of each band of its spectrum. Layer ``statistics``, ``channels * (8 + bands)`` numbers.

    The time-domain figures are those of vibration analysis (Lei et al., Mechanical Systems and Signal Processing 2020,
    section 3.2). Channels are on the source's scale first.
    """

    kind = "statistics"

    def __init__(self, settings: Settings):
        super().__init__()
        if settings.bands < 1:
            raise SettingsError(f"backbone.bands: at least 1, found {settings.bands}")
        self.settings = settings
        self.channels: Channels | None = None
        self.spec = Spec("statistics", "series", {"statistics": 0}, "statistics", pretrained=True, trainable=False)

    def fit(self, domain: Domain) -> None:
        self.use(fit(domain, "channel"))

    def use(self, channels: Channels) -> None:
        """Take the scale of the channels."""
        self.channels = channels
        size = len(channels.mean) * (_MOMENTS + self.settings.bands)
        self.spec = replace(self.spec, layers={"statistics": size})

    def collate(self, raw: np.ndarray, *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        if self.channels is None:
            raise DataError("statistics does not know its channels yet: call fit(domain) first")
        return self._features(self.channels.encode(raw))

    def parts(self, raw: np.ndarray) -> Parts:
        """Stretches of each channel."""
        if self.channels is None:
            raise DataError("statistics does not know its channels yet: call fit(domain) first")
        return of_channels(self.channels.encode(raw), self._features, smooth=False)

    def _features(self, scaled: Tensor) -> Tensor:
        """Of standardised series."""
        values = scaled.double()
        n, _, length = values.shape
        deviation, mean = torch.std_mean(values, dim=2, correction=0)
        centred = values - mean.unsqueeze(2)
        shaped = centred / deviation.clamp(min=1e-6).unsqueeze(2)
        time = torch.linspace(-1, 1, length, dtype=torch.float64)
        slope = (centred * time).sum(2) / time.square().sum().clamp(min=1e-12)
        moments = [mean, deviation, values.amin(2), values.amax(2), values[:, :, -1], slope]
        moments += [shaped.pow(3).mean(2), shaped.pow(4).mean(2)]
        features = torch.cat([*moments, self._bands(centred).flatten(1)], dim=1)
        return features.reshape(n, -1).float()

    def _bands(self, centred: Tensor) -> Tensor:
        """Log energy ``[n, channels, bands]``; a band narrower than the steps of the spectrum has its neighbour's."""
        power = torch.fft.rfft(centred, dim=2).abs().square() / centred.shape[2]
        edges = np.linspace(0, power.shape[2], self.settings.bands + 1)
        parts = [power[:, :, int(a) : max(int(a) + 1, int(b))] for a, b in pairwise(edges)]
        return torch.stack([part.mean(2) for part in parts], dim=2).clamp(min=1e-8).log()

    def config(self) -> dict[str, Any]:
        channels = None if self.channels is None else self.channels.__dict__
        return {"kind": self.kind, "settings": as_dict(self.settings), "channels": channels}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Statistics:
    """Without scales: `Statistics.fit` learns them."""
    return Statistics(settings)


def restore(config: Mapping[str, Any], folder: Path) -> Statistics:
    """From `Statistics.config`."""
    backbone = Statistics(build(Settings, config["settings"], "backbone"))
    if config["channels"] is not None:
        backbone.use(Channels(**config["channels"]))
    return backbone
