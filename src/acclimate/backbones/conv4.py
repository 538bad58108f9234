"""The four-block convolutional network of few-shot papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.backbones.base import Spec
from acclimate.backbones.image import ImageBackbone
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.preprocess import Augment, Crop, ImagePreprocess
from acclimate.domains.domain import Modality
from acclimate.errors import SettingsError
from acclimate.settings import as_dict, build

_BLOCKS = ("conv1", "conv2", "conv3", "conv4")
_LEAST = 2 ** len(_BLOCKS)


@dataclass(frozen=True)
class Settings:
    """``size`` of the square image in pixels (28 for Omniglot, 84 for mini-ImageNet), ``width`` channels a block."""

    size: int = 28
    channels: Literal[1, 3] = 1
    width: int = 64
    crop: Crop = "none"
    augment: Augment = "none"


class Conv4(ImageBackbone):
    """Four times: 3 x 3 convolution, batch normalisation, ReLU, 2 x 2 max-pooling; then the last map, flattened.

    Values go in from 0 to 1, and an image of ``size`` pixels as it is: Omniglot's strokes are to be bright on black.
    Layers: ``conv1``, ``conv2``, ``conv3`` (pooled over places), ``flat`` (the default; ``width`` at 28 pixels).

    Helps where tasks are many and images small: it is what few-shot results are compared on. **Hurts** where a
    pretrained backbone can be had. While training, batch normalisation mixes the rows of a batch.

    Vinyals et al., Matching Networks, NeurIPS 2016, section 4.1; Snell, Swersky and Zemel, NeurIPS 2017, section 3.1;
    Finn, Abbeel and Levine, ICML 2017, section 5.2.
    """

    kind = "conv4"

    def __init__(self, settings: Settings, seed: int):
        super().__init__()
        if settings.size < _LEAST or settings.width < 1:
            raise SettingsError(f"backbone: size must be at least {_LEAST} and width positive, found {settings}")
        self.settings = settings
        self.preprocess = ImagePreprocess(
            settings.size, settings.channels, square="stretch", crop=settings.crop, augment=settings.augment
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = nn.Sequential()
            for name in _BLOCKS:
                wide = settings.channels if name == _BLOCKS[0] else settings.width
                network.add_module(name, Block(wide, settings.width))
        network.add_module("flat", nn.Flatten())
        self.use(network)
        self.places = {**{name: name for name in _BLOCKS[:-1]}, "flat": ""}
        self.spec = Spec("conv4", "image", {}, "flat", pretrained=False)
        self.spec = replace(self.spec, layers=self.measure(list(self.places)))

    def map_places(self) -> list[str]:
        return list(_BLOCKS)

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, _BLOCKS)

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}


class Block(nn.Sequential):
    """Convolution, batch norm, the largest of 2 x 2, ReLU: ``[n, wide, h, w] -> [n, width, h/2, w/2]``.

    No bias before the norm, which would take it off. ReLU commutes with the maximum, and has a quarter to do after it.
    """

    def __init__(self, wide: int, width: int):
        convolution = nn.Conv2d(wide, width, 3, padding=1, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(width), nn.MaxPool2d(2), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        convolution, norm, *rest = self
        if (
            type(convolution) is not nn.Conv2d
            or type(norm) is not nn.BatchNorm2d
            or not _pays(images, convolution, norm)
        ):
            return super().forward(images)
        maps = normalised_convolution(images, convolution.weight, norm.weight, norm.bias, norm.eps)
        for module in rest:
            maps = module(maps)
        return maps


def normalised_convolution(images: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """``batch_norm(conv2d(images, weight, padding=1))`` as one product: the same values and derivatives.

    The mean and variance of a map over the batch are ``w . m`` and ``w . C w``, with m and C the mean and covariance of
    the 3 x 3 patches. They are read from images, and not from maps, which have ``width`` times as many numbers: a
    second derivative takes a sixth of the time. **Hurts** where a patch has more numbers than there are maps: C then
    costs more than it saves.

    Args:
        images: ``[n, wide, h, w]``.
        weight: ``[width, wide, 3, 3]``.
        scale: ``[width]``, the norm's weight.
        shift: ``[width]``, the norm's bias.
        eps: the norm's.

    Returns:
        ``[n, width, h, w]`` in channels_last memory.
    """
    patches = F.unfold(images, 3, padding=1)
    patches = patches - patches.mean(2, keepdim=True).double().mean(0, keepdim=True).to(patches.dtype)
    # Sums over all patches are in float64: a filter of edges cancels most of the covariance.
    covariance = (patches @ patches.mT).double().sum(0) / (len(patches) * patches.shape[2])
    rows = weight.flatten(1).double()
    rows = rows * (scale * ((rows @ covariance * rows).sum(1) + eps).rsqrt()).unsqueeze(1)
    # One product an image: that of all patches at once has a slow backward pass.
    filters = rows.to(weight.dtype).mT.expand(len(images), -1, -1)
    maps = torch.baddbmm(shift.expand(len(images), 1, -1), patches.mT, filters)
    return maps.unflatten(1, images.shape[2:]).permute(0, 3, 1, 2)


def _pays(images: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether a norm takes the batch's own statistics and keeps none, as in inner loops, and patches are small."""
    of_the_batch = norm.training and not norm.track_running_stats
    return of_the_batch and images.device.type == "cpu" and convolution.weight[0].numel() <= convolution.out_channels


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Conv4:
    """With initial weights that are a function of the seed alone."""
    return Conv4(settings, seed)


def restore(config: Mapping[str, Any], folder: Path) -> Conv4:
    """From `Conv4.config`; weights are loaded by the caller."""
    return Conv4(build(Settings, config["settings"], "backbone"), seed=0)
