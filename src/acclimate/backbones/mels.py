"""Spectrograms on the mel scale, as Whisper, librosa and speaker encoders have them."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

WINDOW, HOP = 0.025, 0.01
"""Seconds of a spectrogram's window, and from one to the next."""


def mel_power(sound: Tensor, rate: int, bands: int, *, reflect: bool = True) -> Tensor:
    """Power in mel bands ``[n, bands, 1 + samples // hop]`` of sounds ``[n, samples]``.

    Periodic Hann windows of 25 ms every 10 ms, centred on their frame; the ends are padded by reflection or with zeros.
    """
    window, hop = round(WINDOW * rate), round(HOP * rate)
    mode = "reflect" if reflect else "constant"
    spectrum = torch.stft(
        sound, window, hop, window=torch.hann_window(window), center=True, pad_mode=mode, return_complex=True
    )
    return mel_filters(rate, window, bands) @ spectrum.abs().square()


def log_mel(sound: Tensor, rate: int, bands: int) -> Tensor:
    """Whisper's log-mel spectrogram ``[n, bands, samples // hop]``.

    ``(max(log10 power, highest - 8) + 4) / 4``, with the highest value of each sound: nothing that is 80 dB below the
    loudest part is seen. Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022, section 2.2.
    """
    values = mel_power(sound, rate, bands)[..., :-1].clamp(min=1e-10).log10()
    return (torch.maximum(values, values.amax((1, 2), keepdim=True) - 8) + 4) / 4


@cache
def mel_filters(rate: int, window: int, bands: int) -> Tensor:
    """Triangles ``[bands, window // 2 + 1]`` of unit area on Slaney's mel scale, from 0 Hz to half of the rate.

    The scale is linear to 1 kHz (200/3 Hz a mel), then logarithmic (27 mels for a factor of 6.4): Slaney, Auditory
    Toolbox, 1998; librosa's default.
    """
    hertz = np.fft.rfftfreq(window, 1 / rate)
    corners = _hertz(np.linspace(0, _mels(rate / 2), bands + 2))
    slopes = corners[:, None] - hertz
    widths = np.diff(corners)[:, None]
    triangles = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    area = 2 / (corners[2:] - corners[:-2])[:, None]
    return torch.from_numpy((triangles * area).astype(np.float32))


_BREAK, _STEP = 1000.0, np.log(6.4) / 27


def _mels(hertz: float) -> float:
    return float(15 + np.log(hertz / _BREAK) / _STEP) if hertz >= _BREAK else hertz * 3 / 200


def _hertz(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < 15, mels * 200 / 3, _BREAK * np.exp((mels - 15) * _STEP))
