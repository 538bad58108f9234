"""A small transformer on patches of series, from scratch."""

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


@dataclass(frozen=True)
class Settings:
    """Patches and the encoder.

    Attributes:
        patch: steps of a patch (PatchTST: 16), a half of the window at most; patches overlap by half.
        width: of the encoder.
        depth: its layers.
        heads: of its attention; ``width`` is a multiple.
        dropout: in its layers.
        normalize: "channel": by mean and deviation in the source; "window": each window by its own (PatchTST).
    """

    patch: int = 16
    width: int = 64
    depth: int = 2
    heads: int = 4
    dropout: float = 0.1
    normalize: Normalize = "channel"


class Patches(nn.Module):
    """Each channel by itself through one encoder, then all channels through one layer: ``[n, c, t] -> [n, width]``."""

    def __init__(self, settings: Settings, channels: int, length: int):
        super().__init__()
        self.patch = min(settings.patch, max(2, length // 2)) if length > 1 else 1
        self.step = max(1, self.patch // 2)
        self.tail = -(length - self.patch) % self.step
        count = (length + self.tail - self.patch) // self.step + 1
        wide = settings.width
        self.embed = nn.Linear(self.patch, wide)
        self.position = nn.Parameter(0.02 * torch.randn(count, wide))
        for k in range(settings.depth):
            layer = nn.TransformerEncoderLayer(
                wide, settings.heads, 2 * wide, settings.dropout, "gelu", batch_first=True, norm_first=True
            )
            self.add_module(f"layer_{k + 1}", layer)
        self.depth = settings.depth
        self.mix = nn.Sequential(nn.LayerNorm(channels * wide), nn.Linear(channels * wide, wide), nn.GELU())

    def forward(self, windows: Tensor) -> Tensor:
        n, channels, _ = windows.shape
        ended = nn.functional.pad(windows, (0, self.tail), mode="replicate") if self.tail else windows
        tokens = self.embed(ended.unfold(2, self.patch, self.step).flatten(0, 1)) + self.position
        for k in range(self.depth):
            tokens = self.get_submodule(f"layer_{k + 1}")(tokens)
        return self.mix(tokens.mean(1).reshape(n, channels * tokens.shape[2]))


class SeriesTransformer(SeriesBackbone):
    """Patches are tokens, channels share one encoder: PatchTST (Nie et al., A time series is worth 64 words, ICLR 2023,
    section 3.1), with a layer over the means of all channels in the place of its flattened head. Layer: ``mixed``.

    **Helps** on many channels and long windows, where what is far apart belongs together. **Hurts** with few windows,
    and on vibration, where a convolution knows from the start that it does not matter when something happens.
    """

    kind = "series_transformer"

    def __init__(self, settings: Settings, seed: int):
        super().__init__(settings, seed)
        least = min(settings.patch, settings.width, settings.depth, settings.heads)
        if least < 1 or settings.width % settings.heads or not 0 <= settings.dropout < 1:
            raise SettingsError(
                "backbone: patch, depth and heads must be positive, width a multiple of heads and dropout in [0, 1), "
                f"found {settings}"
            )
        self.places = {"mixed": ""}
        self.spec = Spec("series_transformer", "series", {"mixed": settings.width}, "mixed", pretrained=False)
        self.sketch()

    def build(self, channels: int, length: int) -> nn.Module:
        """The encoder of windows ``[n, channels, length]``."""
        return Patches(self.settings, channels, length)

    def lora_targets(self) -> list[str]:
        """The feed-forward layers, which are there whatever the channels are."""
        return [f"network.layer_{k + 1}.linear{j}" for k in range(self.settings.depth) for j in (1, 2)]

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, ["embed", *(f"layer_{k + 1}" for k in range(self.settings.depth)), "mix"])


def create(name: str, modality: Modality, settings: Settings, seed: int) -> SeriesTransformer:
    """Without weights: `SeriesBackbone.fit` learns the channels and builds the network."""
    return SeriesTransformer(settings, seed)


def restore(config: Mapping[str, Any], folder: Path) -> SeriesTransformer:
    """From `SeriesBackbone.config`; weights are loaded by the caller."""
    backbone = SeriesTransformer(build(Settings, config["settings"], "backbone"), seed=0)
    backbone.restored(config)
    return backbone
