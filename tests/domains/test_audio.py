"""Sound files: what is read, what is refused, and what is remarked."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from acclimate.domains.audio import check_audio, decode_audio, remarks, sample
from acclimate.domains.read import read
from acclimate.errors import DataError

soundfile = pytest.importorskip("soundfile")
TONE = 0.3 * np.sin(np.arange(8000) / 3)


def packed(samples, rate=8000, kind="WAV", **options):
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_formats(kind):
    samples, rate = decode_audio(packed(TONE, kind=kind), "x")
    assert (rate, samples.dtype, len(samples)) == (8000, np.float32, 8000)
    assert np.corrcoef(samples, TONE)[0, 1] > 0.99


def test_eight_channels_are_averaged():
    channels = np.stack([TONE * k for k in range(8)], axis=1) / 8
    samples, _ = decode_audio(packed(channels), "x")
    assert np.abs(samples - TONE * 3.5 / 8).max() < 1e-4


def test_one_sample_is_a_sound():
    samples, _ = decode_audio(packed(np.array([0.5])), "x")
    assert samples == pytest.approx([0.5])


@pytest.mark.parametrize("rate", [1, 999, 10_000_000])
def test_a_rate_that_cannot_be_is_refused_before_anything_is_decoded(tmp_path, rate):
    (tmp_path / "lies.wav").write_bytes(packed(TONE, rate))
    with pytest.raises(DataError, match=rf"lies.wav: its header says {rate:,} samples a second"):
        read(tmp_path)


@pytest.mark.parametrize("rate", [0, 0xFFFFFFF0])
def test_a_rate_that_no_header_can_have(rate):
    data = bytearray(packed(TONE))
    data[24:28] = struct.pack("<I", rate)
    with pytest.raises(DataError, match="x: broken or truncated sound"):
        check_audio(bytes(data), "x")


def test_a_rate_that_lies_shows_as_duration_and_pitch_only():
    """Nothing in the file contradicts a plausible rate: it is read as it says."""
    samples, rate = decode_audio(packed(TONE, 16_000), "x")
    assert (len(samples), rate) == (8000, 16_000)


def test_too_long_a_sound_says_what_to_do():
    with pytest.raises(DataError, match=r"x: the sound lasts 121 s, and a row may last 120 s; cut it into pieces"):
        check_audio(packed(np.zeros(121 * 1000), 1000), "x")
    check_audio(packed(np.zeros(120 * 1000), 1000), "x")


def test_damage_is_an_error_that_names_the_file():
    noise = np.random.default_rng(0).normal(size=16_000) * 0.1
    flac, mp3 = packed(noise, kind="FLAC"), packed(noise, kind="MP3")
    shot = flac[:4000] + bytes(5000) + flac[9000:]
    for data in (flac[:8000], shot, b"hello", packed(noise)[:30]):
        with pytest.raises(DataError, match="deep/x: broken or truncated sound"):
            decode_audio(data, "deep/x")
    with pytest.raises(DataError, match=r"deep/x: truncated sound: [\d,]+ of 16,000 samples"):
        decode_audio(mp3[: len(mp3) // 2], "deep/x")
    with pytest.raises(DataError, match="deep/x: the sound is empty"):
        decode_audio(packed(np.zeros(0)), "deep/x")
    with pytest.raises(DataError, match="no finite numbers"):
        decode_audio(packed(np.where(np.arange(8000) == 7, np.nan, TONE), subtype="FLOAT"), "x")


def test_remarks_count_what_is_odd(tmp_path):
    sounds = {
        "fine": (TONE, 8000),
        "silent": (np.zeros(8000), 8000),
        "cancelling": (np.stack([TONE, -TONE], axis=1), 8000),
        "clipped": (np.clip(9 * TONE, -1, 1), 8000),
        "short": (TONE[:300], 8000),
        "other": (TONE, 16_000),
    }
    for name, (samples, rate) in sounds.items():
        (tmp_path / f"{name}.wav").write_bytes(packed(samples, rate))
    notes = " | ".join(remarks(read(tmp_path)))
    assert "2 of 6 sounds looked at are silent" in notes
    assert "1 of 6 sounds looked at are clipped" in notes
    assert "1 of 6 sounds looked at are shorter than 0.05 s" in notes
    assert "sounds of several rates (8,000, 16,000 Hz)" in notes
    for name in ("silent", "cancelling", "clipped", "short", "other"):
        (tmp_path / f"{name}.wav").unlink()
    assert remarks(read(tmp_path)) == ()


def test_a_sample_ends_when_enough_was_heard(tmp_path):
    for k in range(8):
        (tmp_path / f"{k}.wav").write_bytes(packed(np.full(110 * 1000, k / 10), 1000))
    assert len(list(sample(read(tmp_path)))) == 6, "six times 110 s are the first above 600 s"
    assert len(list(sample(read(tmp_path), 2))) == 2
