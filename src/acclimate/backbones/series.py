"""What backbones of series share: channels on one scale, learned from the source."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.layers import LayeredBackbone
from acclimate.backbones.parts import Parts
from acclimate.backbones.stretches import of_channels
from acclimate.domains.domain import Domain
from acclimate.errors import DataError
from acclimate.settings import as_dict

READ = 2048
"""Windows that are read together."""
LOOKED_AT = 20_000
"""Windows by which the scale of channels is found; ids are hashes, so the first ones are a random sample."""
CLIP = 20.0
"""Standardised values are cut off here."""
Normalize = Literal["channel", "window"]


@dataclass(frozen=True)
class Channels:
    """The scale of each channel in the source.

    A channel that is constant in the source is zero everywhere: nothing can be learned from it, and what the target
    shows there would be noise. A channel that is not there (NaN) is at the source's mean.

    Attributes:
        mean: of each channel.
        scale: its deviation; 0 where it is constant.
        length: steps of a window.
        normalize: "channel": by these; "window": each channel of each window by its own mean and deviation, so that
            level and strength tell nothing.
    """

    mean: list[float]
    scale: list[float]
    length: int
    normalize: Normalize = "channel"

    def encode(self, raw: np.ndarray) -> Tensor:
        """``[n, channels, length]`` to standardised float32.

        Raises:
            DataError: another number of channels or steps than in the source.
        """
        if raw.shape[1:] != (len(self.mean), self.length):
            raise DataError(
                f"series of {raw.shape[1]} channels and {raw.shape[2]} steps, but the source has {len(self.mean)} and "
                f"{self.length}"
            )
        values = np.asarray(raw, dtype=np.float64)
        scale = np.asarray(self.scale)[None, :, None]
        mean, deviation = np.asarray(self.mean)[None, :, None], scale
        if self.normalize == "window":
            mean, deviation = values.mean(axis=2, keepdims=True), values.std(axis=2, keepdims=True)
        usable = (scale > 0) & (deviation > 1e-12)
        scaled = np.where(usable, values - mean, 0.0) / np.where(usable, deviation, 1.0)
        return torch.from_numpy(np.clip(np.nan_to_num(scaled), -CLIP, CLIP).astype(np.float32))


def fit(domain: Domain, normalize: Normalize) -> Channels:
    """Mean and deviation of each channel over the windows of a domain, whatever their order."""
    index = domain.order[:LOOKED_AT]
    total: Any = 0.0
    count: Any = 0
    squares: Any = 0.0
    first = np.nan_to_num(domain.rows.take(index[:1])[0].astype(np.float64))[:, :1]  # near the mean: no cancellation
    for start in range(0, len(index), READ):
        block = domain.rows.take(index[start : start + READ]).astype(np.float64)
        known, moved = ~np.isnan(block), np.nan_to_num(block - first)
        count, total = count + known.sum(axis=(0, 2)), total + moved.sum(axis=(0, 2))
        squares = squares + np.square(moved).sum(axis=(0, 2))
    n = np.maximum(count, 1)
    mean = total / n
    deviation = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    mean = mean + first[:, 0]
    scale = np.where(deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6), deviation, 0.0)
    return Channels(mean.tolist(), scale.tolist(), int(block.shape[2]), normalize)


class SeriesBackbone(LayeredBackbone):
    """A network on standardised windows, built when channels and length are known."""

    settings: Any
    channels: Channels | None = None

    def __init__(self, settings: Any, seed: int):
        super().__init__()
        self.settings, self._seed = settings, seed

    def fit(self, domain: Domain) -> None:
        if not self.spec.pretrained:
            self.use(fit(domain, self.settings.normalize))

    def use(self, channels: Channels) -> None:
        """Take the channels, and a fresh network for them."""
        self.channels = channels
        self._made(len(channels.mean), channels.length)

    def _made(self, channels: int, length: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self.network = self.build(channels, length)

    def sketch(self) -> None:
        """A network for one channel, by which methods see what kind of layers there will be."""
        self._made(1, 64)

    @abstractmethod
    def build(self, channels: int, length: int) -> nn.Module:
        """A fresh network for windows ``[n, channels, length]``."""

    def collate(self, raw: np.ndarray, *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        return self._known().encode(raw)

    def parts(self, raw: np.ndarray) -> Parts:
        """Stretches of each channel."""
        return of_channels(self.collate(raw))

    def example(self) -> Tensor:
        known = self._known()
        return torch.zeros(1, len(known.mean), known.length)

    def config(self) -> dict[str, Any]:
        channels = None if self.channels is None else asdict(self.channels)
        return {"kind": self.kind, "settings": as_dict(self.settings), "channels": channels}

    def restored(self, config: Mapping[str, Any]) -> None:
        """Take the channels of a `config`."""
        if config["channels"] is not None:
            self.use(Channels(**config["channels"]))

    def _known(self) -> Channels:
        if self.channels is None:
            raise DataError(f"{self.spec.name} does not know its channels yet: call fit(domain) first")
        return self.channels
