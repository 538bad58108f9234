"""Sounds and transcripts that are odd or broken, through the command line: an error that names them, or an answer."""

from __future__ import annotations

import csv

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("jiwer")
RATE = 8000
NETWORK = ["--backbone", "logmel_cnn", "--set", "backbone.width=4", "--set", "backbone.rate=8000",
           "--set", "backbone.bands=16", "--set", "backbone.seconds=0.6", "--set", "training.steps=2",
           "--set", "training.batch_size=4"]  # fmt: skip


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture
def teach(tmp_path, spoken, acclimate):
    """Adapt to a folder of eight sounds with these changes of sounds or transcripts, by file name."""

    def adapt(sounds=None, said=None, more=()):
        folder, lines = tmp_path / "source", ["file_name,said"]
        folder.mkdir(exist_ok=True)
        for k in range(8):
            name, word = f"{k}.wav", ("ai", "ia")[k % 2]
            samples, rate = (sounds or {}).get(name, spoken(word, seed=k, seconds=0.4, rate=RATE))
            if isinstance(samples, bytes):
                (folder / name).write_bytes(samples)
            else:
                soundfile.write(folder / name, samples, rate)
            lines.append(f'{name},"{(said or {}).get(name, word)}"')
        (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
        where = ["--source", folder, "--task", "transcribe", "--label", "said", "--method", "source_only"]
        return acclimate("adapt", *where, *NETWORK, *more, "-o", tmp_path / "run")

    return adapt


@pytest.fixture
def heard(teach, tmp_path, acclimate):
    """What is said of odd sounds by a model of good ones: prediction by file name, or the failed command."""

    def predict(**sounds):
        done = teach()
        assert done.code == 0, done.err
        folder = tmp_path / "odd"
        folder.mkdir()
        for name, (samples, rate) in sounds.items():
            soundfile.write(folder / f"{name}.wav", samples, rate)
        done = acclimate("predict", tmp_path / "run", "--data", folder, "-o", tmp_path / "said.csv")
        assert done.code == 0, done.err
        with (tmp_path / "said.csv").open(encoding="utf-8") as file:
            return {row["path"].removesuffix(".wav"): row for row in csv.DictReader(file)}

    return predict


def test_odd_sounds_are_answered_each_by_itself(heard, spoken):
    """Silent, clipped, of eight channels, of one sample, of another rate: each has an answer and a confidence."""
    plain, rate = spoken("ai", seed=3, seconds=0.4, rate=RATE)
    said = heard(
        plain=(plain, rate),
        channels=(np.repeat(plain[:, None], 8, axis=1), rate),
        silent=(np.zeros(4000, np.float32), rate),
        clipped=(np.clip(20 * plain, -1, 1), rate),
        sample=(np.array([0.1], np.float32), rate),
        fast=spoken("ai", seed=3, seconds=0.4, rate=44_100),
    )
    assert set(said) == {"plain", "channels", "silent", "clipped", "sample", "fast"}
    assert all(0 <= float(row["confidence"]) <= 1 for row in said.values())
    assert said["channels"]["prediction"] == said["plain"]["prediction"], "eight times the same"
    assert float(said["channels"]["confidence"]) == pytest.approx(float(said["plain"]["confidence"]), abs=1e-3)
    assert len(said["sample"]["prediction"]) <= 1, "one frame says one letter at most"


def test_a_rate_that_lies_is_heard_slow_and_low(heard, spoken):
    """Nothing in the file tells: what was 8 kHz and says 4 kHz lasts twice as long, and the end is not read."""
    samples, _ = spoken("ai", seed=3, seconds=0.5, rate=RATE)
    said = heard(true=(samples, RATE), lies=(samples, RATE // 2))
    assert said["lies"]["confidence"] != said["true"]["confidence"]


def test_a_corrupt_sound_is_named(teach):
    done = teach({"3.wav": (b"RIFF and nothing else", 0)})
    assert done.code == 3
    assert "3.wav" in done.err
    assert "Traceback" not in done.err


def test_an_empty_transcript_is_named(teach):
    done = teach(said={"2.wav": ""})
    assert done.code == 3
    assert "2.wav" in done.err or "row 3" in done.err
    done = teach(said={"2.wav": "?!"})
    assert done.code == 3
    assert "2.wav: its transcript has no letter or figure; leave the row out" in done.err


def test_more_words_than_a_clip_can_hold(teach):
    done = teach(said={f"{k}.wav": "a i a i a i a i a i a i a i a i a i a i a i a i a i a i a i" for k in range(8)})
    assert done.code == 3
    assert "frames, and its transcript needs" in done.err


def test_unknown_characters_of_the_target(teach, tmp_path, acclimate):
    """Learned they are an error before training; judged by they are mistakes."""
    done = teach()
    assert done.code == 0, done.err
    other = tmp_path / "target"
    other.mkdir()
    soundfile.write(other / "x.wav", np.random.default_rng(0).normal(0, 0.1, 3000), RATE)
    (other / "metadata.csv").write_text("file_name,said\nx.wav,zoo\n", encoding="utf-8")
    done = acclimate("evaluate", tmp_path / "run", "--data", other, "--label", "said", "--json")
    assert done.code == 0, done.err
    assert done.json["metrics"]["wer"] >= 1.0
    where = ["--source", tmp_path / "source", "--target", other, "--target-label", "said", "--method", "finetune"]
    done = acclimate("adapt", *where, "--task", "transcribe", "--label", "said", *NETWORK, "-o", tmp_path / "other")
    assert done.code == 3
    assert "'zoo' has 'o', which no transcript of the source has" in done.err
    assert not (tmp_path / "other").exists()
