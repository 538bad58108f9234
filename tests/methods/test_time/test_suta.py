"""SUTA: by hand, without a trace, and against noise that training never heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import acclimate as ac
from acclimate.backbones.registry import create
from acclimate.domains.batch import Batch
from acclimate.domains.sounds import coloured, mix
from acclimate.errors import SettingsError
from acclimate.methods.compose import compose
from acclimate.methods.test_time.suta import SUTA
from acclimate.tasks.transcribe import Transcribe, TranscribeWritten
from acclimate.tasks.word_errors import error_rates
from acclimate.training.device import place
from acclimate.training.infer import infer
from acclimate.training.model import Model

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("jiwer")
CPU = place("cpu", "fp32")


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture
def model(spoken):
    backbone = create("logmel_cnn", "audio", {"seconds": 0.6, "width": 4, "rate": 8000, "bands": 16}, seed=1)
    return Model(backbone, Transcribe("aiu"), seed=1).eval()


@pytest.fixture(scope="module")
def vowels(tmp_path_factory, spoken):
    """A folder of sounds of two vowels in two voices, and other ones in white noise at 5 dB."""

    def write(place, first, each, snr=None):
        place.mkdir()
        rng, lines = np.random.default_rng(first), ["file_name,said"]
        for name, voice in {"ann": (180, 1.12), "bob": (110, 1.0)}.items():
            for k in range(first, first + each):
                word = "".join(rng.choice(list("aiu"), 2, replace=False))
                sound, rate = spoken(word, *voice, seed=k, seconds=0.4)
                heard = sound if snr is None else mix(sound, coloured(len(sound), rng), snr)
                soundfile.write(place / f"{name}_{k}.wav", heard, rate)
                lines.append(f"{name}_{k}.wav,{word}")
        (place / "metadata.csv").write_text("\n".join(lines))
        return str(place)

    folder = tmp_path_factory.mktemp("vowels")
    return write(folder / "clean", 0, 48), write(folder / "noisy", 100, 16, snr=5)


OPTIONS = {"task": "transcribe", "label": "said", "device": "cpu", "precision": "fp32", "seed": 0}
SMALL = {"name": "logmel_cnn", "width": 8, "rate": 8000, "bands": 32}


@pytest.fixture(scope="module")
def run(vowels, tmp_path_factory):
    clean, noisy = vowels
    method = {"name": "suta", "rate": 1e-3}
    training = {"epochs": 20, "batch_size": 16}
    out = tmp_path_factory.mktemp("suta") / "run"
    return ac.adapt(clean, noisy, method=method, backbone=SMALL, training=training, out=out, **OPTIONS)


def test_the_loss_is_entropy_of_what_speaks_and_confusion_of_all(model, spoken):
    batch = Batch(model.backbone.collate([spoken("ai")]))
    with torch.no_grad():
        frames = model(batch).outputs["frames"][0, :20].double().numpy() / 2.5
        found = float(SUTA(entropy=0.3).loss(model, batch, CPU.autocast()))
    probs = np.exp(frames) / np.exp(frames).sum(1, keepdims=True)
    entropy = -(probs * np.log(probs)).sum(1)
    speaks = probs.argmax(1) > 0
    assert 0 < speaks.sum() < 20, "both kinds of frames are there"
    weight = 1 + np.exp(-entropy)
    confusion = probs.T @ (probs * (20 * weight / weight.sum())[:, None])
    confusion /= confusion.sum(1, keepdims=True)
    off = (confusion.sum() - np.trace(confusion)) / 4
    assert found == pytest.approx(0.3 * entropy[speaks].mean() + 0.7 * off, rel=1e-4)


def test_weights_are_as_before_and_no_row_knows_of_another(model, spoken):
    domain = ac.read(pd.DataFrame({"x": [1.0, 2, 3]}), input="x").select(np.arange(3))
    sounds = [spoken("ai"), spoken("iu", pitch=200), spoken("ua", seconds=0.3)]
    domain = replace(domain, rows=Sounds(sounds))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.requires_grad_(False)
    plain = infer(model, domain, CPU)
    model.at_test = SUTA(steps=3, rate=1e-2)
    found = infer(model, domain, CPU)
    assert not np.allclose(found["frames"], plain["frames"], atol=1e-3), "something moves"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    back = infer(model, replace(domain, rows=Sounds(sounds[::-1])), CPU)
    assert np.array_equal(back["frames"][::-1], found["frames"])
    assert np.array_equal(infer(model, domain, CPU)["frames"], found["frames"])


class Sounds:
    """Rows of sounds in memory."""

    def __init__(self, sounds):
        self.sounds = sounds

    def __len__(self):
        return len(self.sounds)

    def take(self, index):
        return [self.sounds[k] for k in index]


def test_no_steps_are_no_adaptation(vowels, tmp_path):
    clean, noisy = vowels
    training = {"steps": 4, "batch_size": 16}
    run = ac.adapt(clean, noisy, method={"name": "suta", "steps": 0}, backbone=SMALL, training=training,
                   out=tmp_path / "run", **OPTIONS)  # fmt: skip
    arms = [ac.load(run.folder / "arms" / name / "model") for name in ("source_only", "suta")]
    pd.testing.assert_frame_equal(*(arm.predict(noisy) for arm in arms), check_exact=True)


def test_noise_that_training_never_heard(run, vowels):
    """Clean vowels were learned; in noise at 5 dB steps on each sound by itself mend most of what was misheard."""
    found = run.evaluate(vowels[1], label="said")["arms"]
    before, after = (found[name]["metrics"]["wer"] for name in ("source_only", "suta"))
    assert before >= 0.5
    assert after <= before - 0.2
    assert run.verdict == "helped"


def test_a_saved_model_adapts_too(run, vowels):
    truth = pd.read_csv(f"{vowels[1]}/metadata.csv").set_index("file_name")["said"]
    model = ac.load(run.folder / "arms" / "suta" / "model")
    assert model._model.at_test == SUTA(rate=1e-3)
    said = model.predict(vowels[1])
    rate = error_rates(list(said["prediction"]), list(truth[said["path"]]))(None)["wer"]
    (arm,) = (arm for arm in run.result["arms"] if arm["name"] == "suta")
    assert rate == pytest.approx(arm["target"]["metrics"]["wer"])


def test_a_writer_grows_surer_of_what_it_wrote(tiny_whisper, spoken):
    model = Model(create(str(tiny_whisper), "audio", {"seconds": 0.6}), TranscribeWritten()).eval()
    with torch.no_grad():
        model.backbone.decoder.embed_tokens.weight[0] *= 1.2  # without training, texts would hardly end
    batch, method = Batch(model.backbone.collate([spoken("ai")])), SUTA(steps=5, rate=1e-3, temperature=1.0)
    before = model(batch).outputs
    after = method.answer(model, batch, CPU.autocast()).outputs
    assert float(after["sure"]) > float(before["sure"])
    given = model(Batch(batch.inputs, before["text"].long())).outputs
    probs = given["logits"][0].softmax(-1)
    by_hand = -(probs * probs.log()).sum(-1).mean()
    torch.testing.assert_close(method.loss(model, batch, CPU.autocast()), by_hand)


def test_answers_without_tokens_are_refused(write_csv, reviews, tmp_path):
    source = write_csv(tmp_path / "a.csv", "text,label", reviews())
    with pytest.raises(SettingsError, match="needs tokens, and answers of task 'classify' are not made of such"):
        ac.adapt(source, None, input="text", label="label", method="suta", backbone="ngrams", out=tmp_path / "run")
    with pytest.raises(SettingsError, match="both change the answers"):
        compose([SUTA(), type("Other", (SUTA,), {"name": "other"})()])
