"""Resampling, noise at a set level, and masks."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.domains.augment import strong
from acclimate.domains.sounds import coloured, cut_noise, masked, mix, read_noise, resample, strong_sound
from acclimate.errors import DataError, SettingsError

soundfile = pytest.importorskip("soundfile")
RATE = 8000
TIME = np.arange(RATE) / RATE
TONE = (0.3 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)


def draw(seed=0):
    return np.random.default_rng(seed)


def power(samples):
    return float(np.mean(np.square(samples, dtype=np.float64)))


def band(samples, low, high):
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(spectrum[(hertz >= low) & (hertz < high)].sum())


def test_resampling_keeps_the_tone_and_filters_what_the_new_rate_cannot_hold():
    up = resample(TONE, RATE, 16_000)
    true = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(up - true)[200:-200].max() < 1e-3
    high = np.sin(2 * np.pi * 3000 * TIME).astype(np.float32)
    assert power(resample(high, RATE, 4000)[50:-50]) < 1e-4, "3 kHz would alias to 1 kHz"
    assert resample(TONE, RATE, RATE) is TONE
    assert resample(np.full(1, 0.5, np.float32), 96_000, 1000).shape == (1,)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 10.0])
def test_noise_is_mixed_at_the_ratio_asked_for(snr):
    noise = 7 * coloured(RATE, draw())
    added = mix(TONE, noise, snr) - TONE
    assert 10 * np.log10(power(TONE) / power(added)) == pytest.approx(snr, abs=1e-3)
    assert np.corrcoef(added, noise)[0, 1] > 0.9999


def test_silence_has_no_ratio():
    silence = np.zeros(50, np.float32)
    assert mix(silence, coloured(50, draw()), 0.0) is silence
    assert mix(TONE[:50], silence, 0.0).tolist() == TONE[:50].tolist()


def test_colours_of_noise():
    """Octaves of pink noise have equal power; of white noise each has twice that of the one below."""
    for slope, ratio in ((0.0, 2.0), (1.0, 1.0)):
        noise = coloured(1 << 17, draw(), slope)
        assert band(noise, 1000, 2000) / band(noise, 500, 1000) == pytest.approx(ratio, rel=0.05)


def test_noise_out_of_a_folder(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    soundfile.write(tmp_path / "b.wav", -TONE[:100], RATE)
    (tmp_path / "readme.txt").write_text("not noise")
    clips = read_noise(str(tmp_path), 16_000)
    assert [len(clip) for clip in clips] == [16_000, 200]
    assert len(read_noise(str(tmp_path / "b.wav"), RATE)) == 1
    ramp = np.arange(1000, dtype=np.float32)
    cuts = [cut_noise([ramp], 10, draw(seed)) for seed in range(50)]
    assert all(np.array_equal(np.diff(cut), np.ones(9)) for cut in cuts), "one stretch"
    assert len({cut[0] for cut in cuts}) > 30, "from anywhere"
    assert cut_noise([ramp[:3]], 7, draw()).tolist() == [0, 1, 2, 0, 1, 2, 0]
    with pytest.raises(SettingsError, match="no folder, zip or sound file 'whitee'; or say white, or pink"):
        read_noise("whitee", RATE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no audio files"):
        read_noise(str(tmp_path / "empty"), RATE)


def test_masks_silence_time_and_bands_and_nothing_else():
    noise = coloured(RATE, draw())
    quiet, lost = [], []
    for seed in range(200):
        view = masked(noise, RATE, draw(seed))
        quiet.append(np.mean(view == 0))
        lost.append(1 - band(view, 0, 4000) / band(noise, 0, 4000))
    assert 0.1 < np.mean(quiet) < 0.25, "two stretches of a tenth each on average, which may overlap"
    assert max(quiet) <= 0.4
    assert 0.15 < np.mean(lost) < 0.6
    assert masked(np.full(1, 0.5, np.float32), RATE, draw()).shape == (1,)


def test_a_strong_view_is_drawn_from_its_generator_alone():
    before = TONE.copy()
    one, same, other = (strong_sound((TONE, RATE), draw(seed))[0] for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.array_equal(TONE, before)
    assert (one.dtype, one.shape) == (np.float32, TONE.shape)
    assert np.array_equal(strong([(TONE, RATE)], "audio", draw(3))[0][0], one)
