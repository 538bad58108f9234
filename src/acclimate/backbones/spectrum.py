"""Mean and deviation of log-mel bands: the plain sound baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones.base import Identity, Spec
from acclimate.backbones.mels import HOP, WINDOW, log_mel
from acclimate.backbones.parts import Parts
from acclimate.backbones.sound import LONGEST
from acclimate.backbones.stretches import of_samples
from acclimate.domains.domain import Modality
from acclimate.domains.sounds import Sound, resample
from acclimate.errors import SettingsError
from acclimate.settings import as_dict, build


@dataclass(frozen=True)
class Settings:
    """``rate`` in Hz to which sounds are brought, and the ``bands`` of the mel scale."""

    rate: int = 16_000
    bands: int = 40


class Spectrum(Identity):
    """How strong each band is on average and how much it changes: layer ``spectrum``, ``2 * bands`` numbers.

    Of each clip the first 30 s. What is said when is not in it: that is what a better backbone has to add.
    """

    kind = "spectrum"

    def __init__(self, settings: Settings):
        super().__init__()
        if settings.bands < 2 or not 4000 <= settings.rate <= 48_000:
            raise SettingsError(f"backbone: bands must be at least 2 and rate 4000 to 48000, found {settings}")
        self.settings = settings
        self.spec = Spec(
            "spectrum", "audio", {"spectrum": 2 * settings.bands}, "spectrum", pretrained=True, trainable=False
        )

    def collate(
        self, raw: Sequence[Sound], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> Tensor:
        return torch.stack([self._row(*sound) for sound in raw])

    def parts(self, raw: Sequence[Sound]) -> Parts:
        """Stretches of time."""
        return of_samples(raw[0], LONGEST, self.collate)

    def _row(self, samples: np.ndarray, rate: int) -> Tensor:
        own = self.settings.rate
        read = resample(samples[: int(LONGEST * rate)], rate, own)
        least = round(WINDOW * own) + round(HOP * own)
        whole = np.pad(read, (0, max(0, least - len(read))))
        mels = log_mel(torch.from_numpy(whole).unsqueeze(0), own, self.settings.bands)[0]
        deviation, mean = torch.std_mean(mels, dim=1, correction=0)
        return torch.cat([mean, deviation])

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Spectrum:
    """Nothing to load."""
    return Spectrum(settings)


def restore(config: Mapping[str, Any], folder: Path) -> Spectrum:
    """From `Spectrum.config`."""
    return Spectrum(build(Settings, config["settings"], "backbone"))
