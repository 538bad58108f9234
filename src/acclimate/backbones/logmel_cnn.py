"""A convolutional network on log-mel spectrograms, from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from acclimate.backbones import sound
from acclimate.backbones.base import Spec
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.mels import HOP, log_mel
from acclimate.backbones.sound import SoundBackbone, max_over_time, mean_over_time
from acclimate.domains.domain import Modality
from acclimate.errors import SettingsError
from acclimate.settings import as_dict, build

_DEPTH = 4


@dataclass(frozen=True)
class Settings(sound.Settings):
    """Beside those of every sound backbone, the spectrogram's and the network's.

    Attributes:
        rate: to which sounds are brought, in Hz: 8000 where one of the domains comes over a telephone.
        bands: of the mel scale.
        width: channels of the first block; each block has twice as many as the one before.
    """

    rate: int = 16_000
    bands: int = 64
    width: int = 32


class LogMelCNN(SoundBackbone):
    """Four blocks of convolution 3 x 3, batch normalisation, ReLU and pooling; mean plus maximum over time.

    The pooling is that of PANNs: the mean over bands, then maximum and mean over time, added (Kong et al., PANNs,
    TASLP 2020, section III). Loudness plays no part: the spectrogram of each clip is centred. Layers: ``block_1`` ...
    ``block_4``; the last is the default.

    **Helps** with thousands of clips, or where sounds are no speech. **Hurts** with few: a pretrained encoder knows
    more, and this one learns the voices that it was shown.
    """

    kind = "logmel_cnn"

    def __init__(self, settings: Settings, seed: int):
        super().__init__()
        if settings.bands < 2**_DEPTH or settings.width < 1 or not 4000 <= settings.rate <= 48_000:
            raise SettingsError(
                f"backbone: bands must be at least {2**_DEPTH}, width positive and rate 4000 to 48000, found {settings}"
            )
        self.rate, self.bands = settings.rate, settings.bands
        self.use(settings)
        widths = [1, *(settings.width * 2**k for k in range(_DEPTH))]
        self.network = nn.Sequential()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for k in range(_DEPTH):
                convolution = nn.Conv2d(widths[k], widths[k + 1], 3, padding=1, bias=False)
                norm = nn.BatchNorm2d(widths[k + 1])
                self.network.add_module(f"block_{k + 1}", nn.Sequential(convolution, norm, nn.ReLU(), nn.MaxPool2d(2)))
        self.places = {f"block_{k + 1}": f"block_{k + 1}" for k in range(_DEPTH)}
        layers = dict(zip(self.places, widths[1:], strict=True))
        self.spec = Spec("logmel_cnn", "audio", layers, f"block_{_DEPTH}", pretrained=False)

    def whole(self, samples: int) -> int:
        """Whole positions of the last block."""
        step = round(HOP * self.rate) * 2**_DEPTH
        return -(-samples // step) * step

    def inputs(self, sound: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        frames = -(-lengths // round(HOP * self.rate))
        mels = log_mel(sound, self.rate, self.bands)
        own = (torch.arange(mels.shape[2]) < frames.unsqueeze(1)).unsqueeze(1)
        level = (mels * own).sum((1, 2), keepdim=True) / (frames * mels.shape[1])[:, None, None]
        return {"mels": ((mels - level) * own).unsqueeze(1), "positions": frames}

    def run(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.network(inputs["mels"])

    def read_units(self) -> None:
        """Positions of 20 ms: speech has up to twenty letters a second. Only the first block pools over time."""
        super().read_units()
        for k in range(1, _DEPTH):
            self.network.get_submodule(f"block_{k + 1}.3").kernel_size = (2, 1)
            self.network.get_submodule(f"block_{k + 1}.3").stride = (2, 1)

    def over_time(self, output: Tensor) -> Tensor:
        return output.float().mean(2).transpose(1, 2)

    def own(self, inputs: Mapping[str, Tensor], steps: int) -> Tensor:
        every = inputs["mels"].shape[3] // steps
        return -(-inputs["positions"] // every)

    def summary(self, values: Tensor, positions: Tensor) -> Tensor:
        return mean_over_time(values, positions) + max_over_time(values, positions)

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, list(self.places))

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> LogMelCNN:
    """With initial weights that are a function of the seed alone."""
    backbone = LogMelCNN(settings, seed)
    backbone.preprocess.check()
    return backbone


def restore(config: Mapping[str, Any], folder: Path) -> LogMelCNN:
    """From `LogMelCNN.config`; weights are loaded by the caller."""
    return LogMelCNN(build(Settings, config["settings"], "backbone"), seed=0)
