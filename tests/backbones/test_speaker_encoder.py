"""The speaker encoder: voices, on generated vowels and on real clips."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from acclimate.backbones import packaged, registry
from acclimate.domains.audio import decode_audio
from acclimate.errors import MissingAssetError

if packaged.in_package("resemblyzer") is None:
    pytest.skip("the package resemblyzer is not here", allow_module_level=True)


@pytest.fixture(scope="module")
def encoder():
    return registry.create("speaker_encoder", "audio", {"seconds": 3.0}).eval()


def voices(encoder, sounds):
    with torch.inference_mode():
        return encoder(encoder.collate(sounds))["voice"].numpy()


def test_a_voice_is_a_direction(encoder, spoken):
    found = voices(encoder, [spoken("aiu", seed=k, seconds=1.0 + k) for k in range(3)])
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert (found >= 0).all()


def test_windows_are_those_of_the_sound(encoder, spoken):
    """1.6 s a window, the next one 0.77 s later; one of which a quarter is not there is left out."""
    seconds = [0.3, 1.6, 1.9, 2.1, 2.9, 3.0]
    inputs = encoder.collate([spoken("ai", seconds=s) for s in seconds])
    assert inputs["mels"].shape[1:] == (3, 160, 40)
    assert inputs["positions"].tolist() == [1, 1, 1, 2, 3, 3]


def test_quiet_voices_are_brought_to_one_loudness(encoder, spoken):
    samples, rate = spoken("aiu", seconds=1.5)
    quiet, quieter = voices(encoder, [(0.01 * samples, rate), (0.001 * samples, rate)])
    assert quiet @ quieter > 0.9999


def test_real_voices_are_told_apart(encoder, shared_data):
    """Six digits in a row are enough: every clip is nearest to another one of its own speaker."""
    archive = zipfile.ZipFile(shared_data / "speech" / "fsdd_5speakers_flac.zip")
    sounds, owners = [], []
    for speaker in ("george", "jackson", "lucas", "nicolas", "yweweler"):
        for take in range(3):
            clips = [decode_audio(archive.read(f"{k}_{speaker}_{take}.flac"), "x")[0] for k in range(6)]
            sounds.append((np.concatenate(clips), 8000))
            owners.append(speaker)
    found = voices(encoder, sounds)
    cosine = found @ found.T
    same = np.array(owners)[:, None] == np.array(owners)
    np.fill_diagonal(cosine, -1)
    assert all(same[k, row.argmax()] for k, row in enumerate(cosine))
    np.fill_diagonal(same, False)
    other = cosine[~same & (cosine > -1)]
    assert cosine[same].mean() > 0.75
    assert other.mean() < 0.65


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(packaged, "in_package", lambda *_: None)
    with pytest.raises(MissingAssetError, match="pip install --no-deps resemblyzer"):
        registry.create("speaker_encoder", "audio")
