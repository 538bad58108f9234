"""A one-dimensional convolutional network with a wide first kernel, from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from acclimate.backbones.base import Spec
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.series import Normalize, SeriesBackbone
from acclimate.domains.domain import Modality
from acclimate.errors import SettingsError
from acclimate.settings import build

_WIDTHS = (1, 2, 4, 4, 4)
_KERNEL, _STRIDE = 64, 16


@dataclass(frozen=True)
class Settings:
    """The wide kernel and the network's width.

    Attributes:
        kernel: steps of the first kernel (WDCNN: 64); on short windows a quarter of the window at most.
        stride: of the first kernel (WDCNN: 16); on short windows a 64th of the window, at least 1.
        width: channels of the first block (WDCNN: 16); later ones have twice and four times as many.
        normalize: "channel": by mean and deviation in the source; "window": each window by its own.
    """

    kernel: int = _KERNEL
    stride: int = _STRIDE
    width: int = 16
    normalize: Normalize = "channel"


class SeriesCNN(SeriesBackbone):
    """Five blocks of convolution, batch normalisation and ReLU, the first with a wide kernel: WDCNN.

    The wide kernel acts on vibration like a bank of band filters and is less easily misled by noise (Zhang et al., A
    new deep learning model for fault diagnosis with good anti-noise and domain adaptation ability, Sensors 2017, table
    2). Blocks halve the steps while there are more than four; in the place of WDCNN's dense layer stand mean and
    maximum over time, so that windows of any length can be read. Layers: ``block_1`` ... ``block_5``.

    **Helps** on signals whose shape counts wherever it stands: vibration, sensors of machines. **Hurts** with few
    hundred windows, or where levels alone tell: compare `statistics`.
    """

    kind = "series_cnn"

    def __init__(self, settings: Settings, seed: int):
        super().__init__(settings, seed)
        if min(settings.kernel, settings.stride, settings.width) < 1:
            raise SettingsError(f"backbone: kernel, stride and width must be positive, found {settings}")
        names = [f"block_{k}" for k in range(1, len(_WIDTHS) + 1)]
        self.places = {name: name for name in names}
        layers = {name: 2 * settings.width * wide for name, wide in zip(names, _WIDTHS, strict=True)}
        self.spec = Spec("series_cnn", "series", layers, names[-1], pretrained=False)
        self.sketch()

    def build(self, channels: int, length: int) -> nn.Module:
        """Blocks for windows ``[n, channels, length]``."""
        kernel = min(self.settings.kernel, max(3, length // 4))
        stride = min(self.settings.stride, max(1, length // 64))
        network, steps, wide = nn.Sequential(), length, channels
        for k, factor in enumerate(_WIDTHS):
            size, step = (kernel, stride) if k == 0 else (3, 1)
            narrow = self.settings.width * factor
            convolution = nn.Conv1d(wide, narrow, size, stride=step, padding=size // 2, bias=False)
            block = nn.Sequential(convolution, nn.BatchNorm1d(narrow), nn.ReLU())
            steps = (steps + 2 * (size // 2) - size) // step + 1
            if steps > 4:
                block.append(nn.MaxPool1d(2))
                steps //= 2
            network.add_module(f"block_{k + 1}", block)
            wide = narrow
        return network

    def pool(self, output: Tensor, inputs: Any) -> Tensor:
        """Mean and maximum over time: ``[n, d, t] -> [n, 2 d]``."""
        output = output.float()
        return torch.cat([output.mean(2), output.amax(2)], dim=1)

    def lora_targets(self) -> list[str]:
        """None: every layer is a small convolution that trains as a whole."""
        return []

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, list(self.places))


def create(name: str, modality: Modality, settings: Settings, seed: int) -> SeriesCNN:
    """Without weights: `SeriesBackbone.fit` learns the channels and builds the network."""
    return SeriesCNN(settings, seed)


def restore(config: Mapping[str, Any], folder: Path) -> SeriesCNN:
    """From `SeriesBackbone.config`; weights are loaded by the caller."""
    backbone = SeriesCNN(build(Settings, config["settings"], "backbone"), seed=0)
    backbone.restored(config)
    return backbone
