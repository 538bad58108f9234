"""What all sound backbones share: one rate, one length, noise and masks while training, pooling over time."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones.layers import LayeredBackbone
from acclimate.backbones.parts import Parts
from acclimate.backbones.stretches import BANDS, of_heard
from acclimate.domains.audio import sample
from acclimate.domains.domain import Domain
from acclimate.domains.sounds import Sound, coloured, cut_noise, masked, mix, read_noise, resample
from acclimate.errors import SettingsError

RATE = 16_000
"""Hz that pretrained speech networks read."""
LONGEST = 30.0
"""Seconds of a clip that are read at most: what Whisper was trained on."""
USUAL = 5.0
"""Seconds that are read before `SoundBackbone.fit` has looked at clips."""
LOOKED_AT = 256
"""Clips of the source that are looked at to find how long clips are."""
COLOURS = {"white": 0.0, "pink": 1.0}
NOISY = 0.5
"""Part of the training clips that noise is added to: the others stay clean."""


@dataclass(frozen=True)
class Settings:
    """How much of a clip is read, and how training clips are changed.

    Attributes:
        seconds: read of each clip from its start; shorter ones are followed by silence. None: half as much again as
            19 of 20 clips of the source last, at most 30; of Whisper at least 2.5, since it expects silence at the end.
        augment: "mask" silences stretches and bands of training clips (SpecAugment).
        noise: added to half of the training clips: "white", "pink", a folder or zip of sounds, or "none".
        snr: lowest and highest signal-to-noise ratio of that, in dB.
    """

    seconds: float | None = None
    augment: Literal["none", "mask"] = "none"
    noise: str = "none"
    snr: tuple[float, float] = (0.0, 20.0)


@dataclass(frozen=True)
class SoundPreprocess:
    """How sounds become one float32 tensor: resampled, changed while training, cut or padded with silence.

    Attributes:
        rate: in Hz.
        samples: how many of each sound.
        augment, noise, snr: see `Settings`.
    """

    rate: int
    samples: int
    augment: str = "none"
    noise: str = "none"
    snr: tuple[float, float] = (0.0, 20.0)

    def __post_init__(self) -> None:
        if self.samples < 1 or self.samples > LONGEST * self.rate:
            raise SettingsError(
                f"backbone.seconds: above 0 and at most {LONGEST:g}, found {self.samples / self.rate:g}"
            )
        if not self.snr[0] <= self.snr[1]:
            raise SettingsError(f"backbone.snr: the lower ratio first, found {list(self.snr)}")

    @cached_property
    def clips(self) -> list[np.ndarray]:
        """The noise of a folder, at the backbone's rate."""
        return read_noise(self.noise, self.rate)

    def check(self) -> None:
        """Raise an error if the noise that is asked for is not there."""
        if self.noise not in ("none", *COLOURS):
            _ = self.clips

    def __call__(
        self, sounds: Sequence[Sound], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Samples ``[n, samples]``, and how many of them are the sound's own ``[n]`` int64; at least one.

        ``rng`` is needed for what changes training sounds.
        """
        values = np.zeros((len(sounds), self.samples), dtype=np.float32)
        lengths = np.empty(len(sounds), dtype=np.int64)
        for k, (samples, rate) in enumerate(sounds):
            read = samples[: math.ceil(self.samples * rate / self.rate)]
            own = resample(read, rate, self.rate)[: self.samples]
            if training and rng is not None:
                own = self._changed(own, rng)
            values[k, : len(own)], lengths[k] = own, len(own)
        return torch.from_numpy(values), torch.from_numpy(lengths)

    def _changed(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.noise != "none" and rng.random() < NOISY:
            n = len(samples)
            slope = COLOURS.get(self.noise)
            noise = cut_noise(self.clips, n, rng) if slope is None else coloured(n, rng, slope)
            samples = mix(samples, noise, float(rng.uniform(*self.snr)))
        return masked(samples, self.rate, rng) if self.augment == "mask" else samples


class SoundBackbone(LayeredBackbone):
    """A backbone that reads the same number of seconds of every clip, so that no row depends on its batch.

    What is pooled over time is the clip's own part: the silence that fills a batch is left out. After `read_units` it
    gives the positions themselves, and its `mask` says which are the clip's own.
    """

    network: Any
    in_units: bool = False
    settings: Settings
    preprocess: SoundPreprocess
    rate: int = RATE
    least: float = 0.5
    """Seconds that `fit` sets at least."""

    def use(self, settings: Settings) -> None:
        """Take settings; ``seconds`` None stands for `USUAL` until `fit`."""
        self.settings = settings
        seconds = USUAL if settings.seconds is None else settings.seconds
        samples = self.whole(math.ceil(seconds * self.rate - 1e-6))
        self.preprocess = SoundPreprocess(self.rate, samples, settings.augment, settings.noise, settings.snr)

    def whole(self, samples: int) -> int:
        """The next number of samples that the network can read."""
        return samples

    def fit(self, domain: Domain) -> None:
        if self.settings.seconds is None:
            self.use(replace(self.settings, seconds=max(usual_seconds(domain), self.least)))

    def collate(
        self, raw: Sequence[Sound], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        return self.inputs(*self.preprocess(raw, training=training, rng=rng))

    @abstractmethod
    def inputs(self, sound: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What the network reads of sounds ``[n, samples]``, and ``positions`` ``[n]``: how many outputs in time are of
        the sound's own ``lengths`` samples.
        """

    @property
    def heard(self) -> tuple[str, int | None]:
        """The input that the network hears, and into how many pieces its bands are cut; None of a waveform."""
        return "mels", BANDS

    def parts(self, raw: Sequence[Sound]) -> Parts:
        """Stretches of the sound's own time, of a spectrogram by bands."""
        (name, bands), (sound, lengths) = self.heard, self.preprocess(raw)
        silence = self.inputs(torch.zeros_like(sound), lengths)[name]
        own, seconds = float(lengths[0]) / sound.shape[1], float(lengths[0]) / self.rate
        return of_heard(name, self.inputs(sound, lengths), silence, own, seconds, bands=bands)

    def read_units(self) -> None:
        self.in_units = True

    def pool(self, output: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        values = self.over_time(output)
        return values.float() if self.in_units else self.summary(values, self.own(inputs, values.shape[1]))

    def over_time(self, output: Tensor) -> Tensor:
        """A layer's output as ``[n, t, d]``."""
        return output

    def own(self, inputs: Mapping[str, Tensor], steps: int) -> Tensor:
        """How many of so many positions in time are the clip's own ``[n]``."""
        return inputs["positions"]

    def summary(self, values: Tensor, positions: Tensor) -> Tensor:
        """One vector ``[n, d]`` for the first ``positions`` ``[n]`` of ``[n, t, d]``."""
        return mean_over_time(values, positions)

    def mask(self, inputs: Mapping[str, Tensor], values: Tensor) -> Tensor:
        return own_part(values, self.own(inputs, values.shape[1])).squeeze(2)

    def example(self) -> dict[str, Tensor]:
        return self.collate([(np.zeros(self.preprocess.samples, dtype=np.float32), self.rate)])


def usual_seconds(domain: Domain) -> float:
    """Half as much again as 19 of 20 clips last, in tenths of a second, at most `LONGEST`."""
    usual = 1.5 * float(np.quantile([len(samples) / rate for samples, rate in sample(domain, LOOKED_AT)], 0.95))
    return min(math.ceil(round(10 * usual, 6)) / 10, LONGEST)


def own_part(values: Tensor, positions: Tensor) -> Tensor:
    """Mask ``[n, t, 1]`` of the first positions of each row of ``[n, t, d]``."""
    return (torch.arange(values.shape[1], device=values.device) < positions.unsqueeze(1)).unsqueeze(2)


def mean_over_time(values: Tensor, positions: Tensor) -> Tensor:
    """Mean ``[n, d]`` float32 of ``[n, t, d]`` over the first ``positions`` ``[n]`` of each row."""
    values = values.float()
    return (values * own_part(values, positions)).sum(1) / positions.unsqueeze(1).to(values.dtype)


def max_over_time(values: Tensor, positions: Tensor) -> Tensor:
    """Maximum ``[n, d]`` float32 of ``[n, t, d]`` over the first ``positions`` ``[n]`` of each row."""
    return values.float().masked_fill(~own_part(values, positions), -torch.inf).amax(1)


def inside(network: torch.nn.Module, stack: str) -> Iterable[str]:
    """Names of the modules in the stack of blocks: what is before it has another number of positions in time."""
    return (name for name, _ in network.named_modules() if name.startswith(f"{stack}."))
