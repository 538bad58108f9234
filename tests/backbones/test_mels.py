"""Mel spectrograms against transformers' own, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.backbones.mels import log_mel, mel_filters, mel_power


@pytest.mark.parametrize(("rate", "window", "bands"), [(16_000, 400, 80), (16_000, 400, 40), (8000, 200, 64)])
def test_filters_are_slaneys(rate, window, bands):
    from transformers.audio_utils import mel_filter_bank

    theirs = mel_filter_bank(
        1 + window // 2, bands, 0.0, rate / 2, sampling_rate=rate, norm="slaney", mel_scale="slaney"
    )
    assert np.abs(mel_filters(rate, window, bands).numpy() - theirs.T).max() < 1e-7


def test_the_spectrogram_is_whispers():
    from transformers import WhisperFeatureExtractor

    sound = np.random.default_rng(0).normal(size=48_000).astype(np.float32)
    whole = torch.from_numpy(np.pad(sound, (0, 480_000 - len(sound)))).unsqueeze(0)
    theirs = WhisperFeatureExtractor(feature_size=80)(sound, sampling_rate=16_000, return_tensors="np").input_features
    assert np.abs(log_mel(whole, 16_000, 80).numpy() - theirs).max() < 1e-5


def test_power_is_in_the_band_of_the_tone_and_grows_with_its_square():
    time = torch.arange(16_000) / 16_000
    tone = torch.sin(2 * torch.pi * 1000 * time).unsqueeze(0)
    one, two = (mel_power(gain * tone, 16_000, 40)[0, :, 50] for gain in (1.0, 2.0))
    assert int(one.argmax()) == int(mel_filters(16_000, 400, 40)[:, 25].argmax()), "bin 25 of 40 Hz each is 1 kHz"
    torch.testing.assert_close(two, 4 * one)


def test_silence_is_the_floor():
    assert log_mel(torch.zeros(1, 3200), 16_000, 80).tolist() == torch.full((1, 80, 20), -1.5).tolist()
