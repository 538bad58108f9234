"""Changes of sounds: another rate, noise at a set level, stretches and bands left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from acclimate.domains import filesets
from acclimate.domains.audio import decode_audio
from acclimate.errors import MissingAssetError, SettingsError

Sound = tuple[np.ndarray, int]
"""Samples ``[n]`` float32, and their rate in Hz."""

MASKED_TIME = 0.2
"""Longest part of a clip that one mask of time covers; SpecAugment bounds masks by p = 0.2 to 1.0 of the clip."""
MASKED_BAND = 27 / 80
"""Widest part of the mel scale that one mask of frequency covers: SpecAugment's F = 27 of 80 bands."""
MASKS = 2
"""Masks of either kind."""


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Samples ``[n]`` at another rate, float32, filtered against aliases; at least one sample.

    Raises:
        MissingAssetError: the extra 'audio' is not installed.
    """
    samples = np.asarray(samples, dtype=np.float32)
    if rate == wanted:
        return samples
    try:
        import soxr
    except (ImportError, OSError):
        raise MissingAssetError("resampling needs the extra 'audio': pip install 'acclimate[audio]'") from None
    changed = soxr.resample(samples, rate, wanted, quality="HQ")
    return changed if len(changed) else samples[:1]


def mix(samples: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Sound plus noise at a signal-to-noise ratio.

    Args:
        samples: ``[n]``; silence is returned as it is, since no noise has a ratio to it.
        noise: ``[n]``.
        snr: mean power of the sound over mean power of the noise, in dB.
    """
    power, disturbing = float(np.mean(np.square(samples))), float(np.mean(np.square(noise)))
    if power <= 0 or disturbing <= 0:
        return samples
    return (samples + noise * math.sqrt(power / disturbing / 10 ** (snr / 10))).astype(np.float32)


def coloured(n: int, rng: np.random.Generator, slope: float = 0.0) -> np.ndarray:
    """Gaussian noise ``[n]`` of power ``f ** -slope``: 0 is white, 1 is pink."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** (-slope / 2)
    return np.fft.irfft(spectrum, n).astype(np.float32)


def read_noise(place: str, rate: int) -> list[np.ndarray]:
    """The sounds of a folder or zip, or of one file, at a rate.

    Raises:
        SettingsError: there is no such place.
        DataError: no sounds are there, or they cannot be read.
    """
    path = Path(place).expanduser()
    if not path.exists():
        raise SettingsError(f"backbone.noise: no folder, zip or sound file '{place}'; or say white, or pink")
    alone = path.suffix.lower() in filesets.AUDIO
    files = filesets.FolderFiles(path.parent, [path.name]) if alone else filesets.open_files(path)
    _, names = filesets.kind_of(filesets.visible(files.names), "audio", files.where)
    return [resample(*decode_audio(files.read(name), f"{files.where}/{name}"), rate) for name in names]


def cut_noise(clips: Sequence[np.ndarray], n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` samples of one of the clips from anywhere in it; a shorter clip is repeated."""
    clip = clips[int(rng.integers(len(clips)))]
    start = int(rng.integers(max(len(clip) - n, 0) + 1))
    return np.resize(clip[start : start + n], n)


def masked(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Two stretches of time and two bands of frequency silenced: SpecAugment's masks, made in the waveform.

    So they serve what reads waveforms and what reads spectra. Widths are drawn uniformly from 0 to a fifth of the time
    and to 27/80 of the mel scale. Park et al., SpecAugment, Interspeech 2019, section 2.
    """
    n = len(samples)
    mels = _mel(np.fft.rfftfreq(n, 1 / rate)) / _mel(np.array(rate / 2))
    spectrum = np.fft.rfft(samples)
    for _ in range(MASKS):
        width = rng.uniform(0, MASKED_BAND)
        low = rng.uniform(0, 1 - width)
        spectrum[(mels >= low) & (mels < low + width)] = 0
    changed = np.fft.irfft(spectrum, n).astype(np.float32)
    for _ in range(MASKS):
        width = int(rng.uniform(0, MASKED_TIME) * n)
        low = int(rng.integers(n - width + 1))
        changed[low : low + width] = 0
    return changed


def strong_sound(sound: Sound, rng: np.random.Generator) -> Sound:
    """Another look of a sound that keeps its words: noise of a random colour at 0 to 20 dB, `masked`, up to 6 dB louder
    or quieter.
    """
    samples, rate = sound
    noisy = mix(samples, coloured(len(samples), rng, float(rng.uniform(0, 2))), float(rng.uniform(0, 20)))
    gain = 10 ** (rng.uniform(-6, 6) / 20)
    return (masked(noisy, rate, rng) * np.float32(gain)).astype(np.float32), rate


def _mel(hertz: np.ndarray) -> np.ndarray:
    """The mel scale of O'Shaughnessy: linear below about 1 kHz, logarithmic above."""
    return 2595 * np.log10(1 + hertz / 700)
