"""A small convolutional network from scratch, for digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from acclimate.backbones.base import Spec
from acclimate.backbones.image import ImageBackbone
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.preprocess import Augment, Crop, ImagePreprocess
from acclimate.domains.domain import Modality
from acclimate.errors import SettingsError
from acclimate.settings import as_dict, build

_STAGES = ("conv1", "conv2", "fc")


@dataclass(frozen=True)
class Settings:
    """``crop="ink"`` centres what stands out from the background: digits of two styles need it."""

    size: int = 28
    channels: Literal[1, 3] = 1
    crop: Crop = "none"
    augment: Augment = "none"
    width: int = 100


class SmallCNN(ImageBackbone):
    """The feature extractor of Ganin et al., JMLR 2016, figure 4a: two 5 x 5 convolutions, then ``width`` units.

    No batch normalisation, so source and target batches do not mix. Layers: ``conv1``, ``conv2`` (pooled
    over places), ``fc`` (the default).
    """

    kind = "small_cnn"

    def __init__(self, settings: Settings, seed: int):
        super().__init__()
        if settings.size < 16 or settings.width < 1:
            raise SettingsError(f"backbone: size must be at least 16 and width positive, found {settings}")
        self.settings = settings
        self.preprocess = ImagePreprocess(
            settings.size, settings.channels, (0.5,), (0.5,), "stretch", crop=settings.crop, augment=settings.augment
        )
        side = ((settings.size - 4) // 2 - 4) // 2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = nn.Sequential()
            stages = (
                nn.Sequential(nn.Conv2d(settings.channels, 32, 5), nn.ReLU(), nn.MaxPool2d(2)),
                nn.Sequential(nn.Conv2d(32, 48, 5), nn.ReLU(), nn.MaxPool2d(2)),
                nn.Sequential(nn.Flatten(), nn.Linear(48 * side * side, settings.width), nn.ReLU()),
            )
        for name, stage in zip(_STAGES, stages, strict=True):
            self.network.add_module(name, stage)
        self.use(self.network)
        self.places = {name: name for name in _STAGES}
        self.spec = Spec("small_cnn", "image", {}, "fc", pretrained=False)
        self.spec = replace(self.spec, layers=self.measure(_STAGES))

    def read_maps(self) -> None:
        """The convolutions' maps, which then keep the image's border: a place lies where its pixels do."""
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d):
                module.padding = (2, 2)
        self.places = {name: name for name in _STAGES[:2]}
        super().read_maps()

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, _STAGES)

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> SmallCNN:
    """With initial weights that are a function of the seed alone."""
    return SmallCNN(settings, seed)


def restore(config: Mapping[str, Any], folder: Path) -> SmallCNN:
    """From `SmallCNN.config`; weights are loaded by the caller."""
    return SmallCNN(build(Settings, config["settings"], "backbone"), seed=0)
