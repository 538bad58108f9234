"""Transcription: the loss and the best path by hand, and toy voices that are learned."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

import acclimate as ac
from acclimate.backbones.registry import create
from acclimate.domains.batch import Batch
from acclimate.errors import DataError, SettingsError
from acclimate.tasks.registry import find, restore
from acclimate.tasks.sites import Units
from acclimate.tasks.transcribe import Transcribe, TranscribeWritten
from acclimate.training.model import Model

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("jiwer")
SMALL = {"name": "logmel_cnn", "width": 8, "rate": 8000, "bands": 32}
OPTIONS = {"task": "transcribe", "label": "said", "device": "cpu", "precision": "fp32", "seed": 0}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture(scope="module")
def voices(tmp_path_factory, spoken):
    """Folders of sounds of two vowels with transcripts: of two voices, of a third one, and others of his."""

    def write(place, speakers, each, seed, first=0):
        place.mkdir()
        rng, lines = np.random.default_rng(seed), ["file_name,said"]
        for name, voice in speakers.items():
            for k in range(first, first + each):
                word = "".join(rng.choice(list("aiu"), 2, replace=False))
                soundfile.write(place / f"{name}_{k}.wav", *spoken(word, *voice, seed=k, seconds=0.4))
                lines.append(f"{name}_{k}.wav,{word}")
        (place / "metadata.csv").write_text("\n".join(lines))
        return str(place)

    folder = tmp_path_factory.mktemp("voices")
    source = write(folder / "source", {"ann": (180, 1.12), "bob": (110, 1.0)}, 48, 0)
    kid = {"kid": (240, 1.25)}
    return source, write(folder / "target", kid, 24, 1), write(folder / "more", kid, 24, 2, first=100)


def labels(*texts):
    return np.array(texts, dtype=object)


def frames(rows, own):
    """Outputs of probabilities ``[n, t, 1 + characters]``."""
    return {"frames": torch.tensor(rows).log(), "own": torch.tensor(own)}


def test_the_loss_is_that_of_all_ways_to_align():
    """The probability of "ab" is the sum over the paths of three frames that collapse to it."""
    rows = [[[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]]]
    task, total = Transcribe("ab"), 0.0
    for path in product(range(3), repeat=3):
        kept = [k for before, k in zip((0, *path), path, strict=False) if k != before and k]
        total += np.prod([rows[0][t][k] for t, k in enumerate(path)]) if kept == [1, 2] else 0.0
    found = task.loss(frames(rows, [3]), task.encode(labels("ab")))
    assert found.tolist() == pytest.approx([-np.log(total) / 2], rel=1e-5)


def test_frames_behind_a_clip_count_for_nothing():
    task = Transcribe("a")
    short, long = ([[0.4, 0.6], [0.7, 0.3]], [[0.4, 0.6], [0.7, 0.3], [0.01, 0.99]])
    alone = task.loss(frames([short], [2]), task.encode(labels("a")))
    torch.testing.assert_close(task.loss(frames([long], [2]), task.encode(labels("a"))), alone)
    assert task.decode({k: v.numpy() for k, v in frames([long], [1]).items()}).confidence.tolist() == pytest.approx(
        [0.6]
    )


def test_the_best_path_joins_repeats_and_drops_blanks():
    path = [[2, 2, 0, 2, 1, 1, 3, 3], [0, 0, 0, 0, 0, 0, 0, 0]]  # "aa ", b ... ; nothing
    chosen = np.full((2, 8, 4), 0.1)
    for row, numbers in enumerate(path):
        chosen[row, np.arange(8), numbers] = 0.7
    answers = Transcribe(" ab").decode({"frames": np.log(chosen), "own": np.array([8, 8])})
    assert answers.prediction.tolist() == ["aa b", ""]
    assert answers.confidence == pytest.approx([0.7, 0.7])


def test_a_clip_that_is_too_short_for_its_transcript():
    task = Transcribe("ab")
    probable = torch.full((1, 2, 3), 1 / 3)
    outputs = {"frames": probable.log(), "own": torch.tensor([2])}
    assert torch.isfinite(task.loss(outputs, task.encode(labels("ab")))).all()
    with pytest.raises(DataError, match=r"a clip has 2 frames, and its transcript needs 3: 'aa'\. Read more"):
        task.loss(outputs, task.encode(labels("aa")))  # the same twice: a blank must part them


def test_unknown_characters_cannot_be_learned_and_are_mistakes(voices):
    domain = ac.read(voices[1], modality="audio").select(np.arange(2))
    task = Transcribe.from_domain(replace(domain, labels=labels("Ab a!", "b")))
    assert task.alphabet == " ab"
    with pytest.raises(DataError, match="'bac' has 'c', which no transcript of the source has"):
        task.check(replace(domain, labels=labels("ab", "Bac")))
    task.check(replace(domain, labels=labels("ab", "Bac")), learned=False)
    said = task.decode({"frames": np.eye(4)[None, [2, 3]], "own": np.array([2])})
    assert task.metrics(said, labels("ab c"))["wer"] == 0.5
    with pytest.raises(DataError, match=r"kid_1\.wav: its transcript is empty"):
        Transcribe.from_domain(replace(domain, labels=labels("a", " ")))
    with pytest.raises(DataError, match=r"kid_0\.wav: its transcript has no letter or figure"):
        Transcribe.from_domain(replace(domain, labels=labels("?!", "a")))


def test_frames_are_sites_with_an_owner_and_probabilities():
    task, head = Transcribe("ab"), torch.nn.Linear(4, 3)
    values, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, True], [True, False, False]])
    features = Units(values, mask, torch.full((2, 3, 2), -1))
    sites = task.sites(features, task.outputs(head, features))
    assert list(sites) == ["features", "frames"]
    assert sites["frames"].owner.tolist() == [0, 0, 0, 1]
    torch.testing.assert_close(sites["frames"].values[3], values[1, 0])
    torch.testing.assert_close(sites["frames"].probs, head(values[mask]).softmax(1))
    torch.testing.assert_close(sites["features"].values[1], values[1, 0])


def test_which_form_a_backbone_takes():
    assert find("transcribe", True) is TranscribeWritten
    assert find("transcribe") is Transcribe
    for task in (Transcribe(" abé"), TranscribeWritten()):
        assert restore(task.config()) == task


def test_a_frame_is_20_ms_and_silence_is_masked(spoken):
    """From scratch only the first block pools over time, and a row knows nothing of the others."""
    backbone = create("logmel_cnn", "audio", {"seconds": 1.0, "width": 4})
    model = Model(backbone, Transcribe("aiu")).eval()
    short, long = spoken("ai", seconds=0.3), spoken("ia", seconds=0.9)
    both, alone = (model(Batch(backbone.collate(rows))).outputs for rows in ([short, long], [short]))
    assert both["frames"].shape == (2, 56, 4)
    assert both["own"].tolist() == [15, 45]
    torch.testing.assert_close(both["frames"][:1], alone["frames"])


def test_spelling_is_learned_from_scratch_and_a_new_voice_is_heard(voices, tmp_path):
    source, target, _ = voices
    training = {"epochs": 30, "batch_size": 16}
    run = ac.adapt(
        source, target, method="source_only", backbone=SMALL, training=training, out=tmp_path / "a", **OPTIONS
    )
    assert [arm["name"] for arm in run.result["arms"]] == ["source_only"]
    assert run.result["arms"][0]["source_validation"]["metrics"]["wer"] <= 0.1
    found = run.evaluate(target, label="said")
    assert found["primary"] == "wer"
    assert found["metrics"]["wer"] <= 0.4
    assert found["interval"][0] <= found["metrics"]["wer"] <= found["interval"][1]
    said = ac.load(tmp_path / "a").predict(target)
    truth = pd.read_csv(f"{target}/metadata.csv").set_index("file_name")["said"]
    wrong = np.mean(said["prediction"].to_numpy() != truth[said["path"]].to_numpy())
    assert wrong == pytest.approx(found["metrics"]["wer"]), "one word each"


def test_dann_acts_on_frames(voices, tmp_path):
    source, target, _ = voices
    training = {"steps": 3, "batch_size": 8}
    run = ac.adapt(source, target, method="dann", backbone=SMALL, training=training, out=tmp_path / "a", **OPTIONS)
    (arm,) = (arm for arm in run.result["arms"] if arm["name"] == "dann")
    assert arm["steps"] > 0


def test_what_it_hears_of_a_new_voice_teaches_it(voices, tmp_path):
    """Self-training on the surest transcripts; the voice is heard no worse."""
    source, target, _ = voices
    training = {"epochs": 30, "batch_size": 16}
    settings = {"backbone": SMALL, "training": training, **OPTIONS}
    run = ac.adapt(source, target, method="self_training", out=tmp_path / "a", **settings)
    (arm,) = (arm for arm in run.result["arms"] if arm["name"] == "self_training")
    assert (arm["stages"][1]["answered"], arm["stages"][1]["kept"]) == (24, 12)
    found = {name: arm["metrics"]["wer"] for name, arm in run.evaluate(target, label="said")["arms"].items()}
    assert found["self_training"] <= found["source_only"] <= 0.4


def test_a_writer_learns_a_new_voice(voices, tiny_whisper, tmp_path):
    source, target, more = voices
    backbone = {"name": str(tiny_whisper), "seconds": 0.6}
    training = {"epochs": 30, "batch_size": 16, "learning_rate": 3e-3}
    settings = {"backbone": backbone, "training": training, **OPTIONS}
    run = ac.adapt(
        source, target, method="finetune", target_label="said", validation=0.3, out=tmp_path / "a", **settings
    )
    found = {name: arm["metrics"]["wer"] for name, arm in run.evaluate(more, label="said")["arms"].items()}
    assert set(found) == {"source_only", "finetune", "plain"}
    assert found["plain"] >= 0.9, "as it is it knows nothing"
    assert found["finetune"] <= 0.6, "two vowels of three: guessing has 0.83"


def test_lora_reaches_the_decoder_and_a_saved_model_needs_no_folder(voices, tiny_whisper, tmp_path):
    source, target, _ = voices
    folder = shutil.copytree(tiny_whisper, tmp_path / "whisper")
    backbone = {"name": str(folder), "seconds": 0.6}
    training = {"steps": 3, "batch_size": 8, "learning_rate": 1e-2}
    run = ac.adapt(source, target, method="source_only", tune={"kind": "lora", "rank": 2}, backbone=backbone,
                   training=training, plain_baseline=False, out=tmp_path / "a", **OPTIONS)  # fmt: skip
    before, after = create(str(folder), "audio", {"seconds": 0.6}), ac.load(run.folder)._model.backbone
    before.read_units()
    moved = [name for name, value in before.state_dict().items() if not torch.equal(value, after.state_dict()[name])]
    assert any("decoder.layers.0.encoder_attn.q_proj" in name for name in moved)
    assert any("network.layers.0.self_attn.q_proj" in name for name in moved)
    assert not any("embed" in name for name in moved)
    first = ac.load(run.folder).predict(target)
    shutil.rmtree(folder)
    pd.testing.assert_frame_equal(ac.load(run.folder).predict(target), first)
    assert create(str(run.folder), "audio").writer() is not None, "a run is a backbone that writes"


def test_who_cannot_transcribe(voices, tmp_path):
    source, target, _ = voices
    with pytest.raises(SettingsError, match="backbone 'spectrum' gives one vector a row"):
        ac.adapt(source, target, method="source_only", backbone="spectrum", out=tmp_path / "a", **OPTIONS)
    with pytest.raises(DataError, match="transcripts are needed"):
        Transcribe.from_domain(ac.read(target, modality="audio"))
    with pytest.raises(DataError, match="is text, and only sounds are transcribed"):
        TranscribeWritten.from_domain(replace(ac.read(["a text", "another"]), labels=labels("a", "b")))
