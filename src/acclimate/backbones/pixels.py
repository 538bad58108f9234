"""The image shrunk to 16 x 16 pixels: the plain image baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from acclimate.backbones.base import Identity, Spec
from acclimate.backbones.parts import Parts, of_pixels
from acclimate.backbones.preprocess import Crop, ImagePreprocess
from acclimate.domains.domain import Domain, Modality
from acclimate.settings import as_dict, build

_LOOK = 64  # images of the source that are looked at to tell grey from colour


@dataclass(frozen=True)
class Settings:
    """``channels`` None is found from the source: 1 where its images are grey, otherwise 3."""

    size: int = 16
    channels: Literal[1, 3] | None = None
    crop: Crop = "none"


class Pixels(Identity):
    """Pixels in 0..1 as one vector, the layer ``pixels``: rows, then columns, channel by channel."""

    kind = "pixels"

    def __init__(self, settings: Settings):
        super().__init__()
        self._set(settings)

    def fit(self, domain: Domain) -> None:
        if self.settings.channels is None:
            images = domain.rows.take(domain.order[:_LOOK])
            grey = all(image.ndim == 2 or image.shape[-1] == 1 for image in images)
            self._set(replace(self.settings, channels=1 if grey else 3))

    def collate(
        self, raw: Sequence[np.ndarray], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> Tensor:
        return self.preprocess(raw).flatten(1)

    def parts(self, raw: Sequence[np.ndarray]) -> Parts:
        """Patches of the small image."""
        look = self.preprocess
        return of_pixels(look(raw), look.mean, look.std, inputs=lambda pixels: pixels.flatten(1))

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}

    def _set(self, settings: Settings) -> None:
        channels = settings.channels or 3
        self.settings = settings
        self.preprocess = ImagePreprocess(settings.size, channels, square="stretch", crop=settings.crop)
        width = channels * settings.size**2
        self.spec = Spec("pixels", "image", {"pixels": width}, "pixels", pretrained=True, trainable=False)


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Pixels:
    """Nothing to load."""
    return Pixels(settings)


def restore(config: Mapping[str, Any], folder: Path) -> Pixels:
    """From `Pixels.config`."""
    return Pixels(build(Settings, config["settings"], "backbone"))
