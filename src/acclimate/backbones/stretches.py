"""Series and sounds as parts (`acclimate.backbones.parts`): stretches of time, of channels or of bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones.parts import Parts, of_numbers

COUNT = 16
"""Pieces that time is cut into."""
BANDS = 4
"""Pieces that the bands of a spectrogram are cut into."""
MOST = 128
"""Parts of a series, where its channels allow."""


@dataclass(frozen=True)
class Stretches:
    """Equal stretches of a sound's own time.

    Attributes:
        of: the stretch of each step, -1 of those that only fill the sound up.
        names, places: see `Parts`.
        spans: of each, channel 0 and from which share of the time to which.
    """

    of: Tensor
    names: tuple[str, ...]
    places: tuple[list[float], ...]
    spans: list[list[float]]


def stretches(own: int, every: int, seconds: float) -> Stretches:
    """The first ``own`` of ``every`` steps, which last so many seconds, in at most `COUNT` pieces."""
    own = max(1, min(own, every))
    count, steps = min(own, COUNT), torch.arange(every)
    shares = [(k / count, (k + 1) / count) for k in range(count)]
    places = tuple([round(a * seconds, 3), round(b * seconds, 3)] for a, b in shares)
    names = tuple(f"{a:.2f} to {b:.2f} s" for a, b in places)
    return Stretches(torch.where(steps < own, steps * count // own, -1), names, places, [[0, a, b] for a, b in shares])


def of_channels(
    values: Tensor, inputs: Callable[[Tensor], Any] = lambda values: values, *, smooth: bool = True
) -> Parts:
    """Stretches of each channel of a standardised series ``[1, channels, steps]``; without one, it is at its mean.

    Args:
        values: on the scale on which 0 is the mean.
        inputs: see `acclimate.backbones.parts.Smooth`.
        smooth: whether the network has gradients with respect to them.
    """
    channels, steps = values.shape[1:]
    count = min(steps, COUNT, max(BANDS, MOST // channels))
    owner = torch.arange(channels)[:, None] * count + torch.arange(steps) * count // steps
    ends = [-(-k * steps // count) for k in range(count + 1)]
    each = [(c, a, b) for c in range(channels) for a, b in pairwise(ends)]
    names = [f"channel {c + 1}, steps {a} to {b - 1}" for c, a, b in each]
    places = [[a, b - 1, c] for c, a, b in each]
    shown = {"curves": values[0].numpy(), "spans": [[c, a / steps, b / steps] for c, a, b in each]}
    blank = torch.zeros_like(values)
    return of_numbers("curves", names, places, values, blank, owner, inputs=inputs, smooth=smooth, shown=shown)


def of_samples(sound: tuple[np.ndarray, int], longest: float, collate: Callable[[Sequence[Any]], Any]) -> Parts:
    """Stretches of a sound, each put to silence: for networks that give no gradients.

    Args:
        sound: samples and their rate.
        longest: seconds that are read.
        collate: of the network.
    """
    samples, rate = sound
    own = min(len(samples), int(longest * rate))
    found = stretches(own, len(samples), own / rate)

    def without(kept: np.ndarray) -> Any:
        stays = np.hstack([kept, np.ones((len(kept), 1), dtype=bool)])[:, found.of.numpy()]  # -1: the last
        shape = (-1, *([1] * (samples.ndim - 1)))
        return collate([(np.where(row.reshape(shape), samples, 0).astype(samples.dtype), rate) for row in stays])

    mono = samples.reshape(len(samples), -1).mean(axis=1)[:own]
    return Parts("curves", found.names, found.places, without, None, {"curves": mono[None], "spans": found.spans})


def of_heard(
    name: str, inputs: Mapping[str, Tensor], silence: Tensor, own: float, seconds: float, *, bands: int | None = None
) -> Parts:
    """Stretches of time of a sound as the network hears it, those of a spectrogram also by bands.

    Args:
        name: of the inputs that hold it: ``[1, ..., steps]``, of a spectrogram ``[1, ..., bands, steps]``.
        inputs: of one row.
        silence: the same of a silent sound of this length.
        own: share of the steps that are the sound's own, and not what fills it up.
        seconds: that these last.
        bands: pieces of the bands; None: of a waveform.
    """
    values = inputs[name]
    steps = max(1, round(own * values.shape[-1]))
    found = stretches(steps, values.shape[-1], seconds)
    rest = {key: value for key, value in inputs.items() if key != name}

    def whole(heard: Tensor) -> dict[str, Tensor]:
        others = {key: value.to(heard.device).expand(len(heard), *value.shape[1:]) for key, value in rest.items()}
        return {name: heard, **others}

    if bands is None:
        shown: dict[str, Any] = {"curves": values.reshape(1, -1)[:, :steps].numpy(), "spans": found.spans}
        return of_numbers(
            "curves", found.names, found.places, values, silence, found.of, inputs=whole, shown=shown
        )  # fmt: skip
    tall, count = values.shape[-2], len(found.names)
    rows = torch.arange(tall)[:, None] * bands // tall
    owner = torch.where(found.of >= 0, rows * count + found.of, -1).expand(values.shape[1:])
    names = [f"{name}, band {k + 1} of {bands}" for k in range(bands) for name in found.names]
    places = [[*place, k] for k in range(bands) for place in found.places]
    picture = values.reshape(-1, tall, values.shape[-1])[0, :, :steps].numpy()
    shown = {"picture": picture, "grid": (bands, count)}
    return of_numbers("spectrogram", names, places, values, silence, owner, inputs=whole, shown=shown)
