"""A small encoder-decoder from scratch: its tokens, its bits, and a toy language that it learns."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

import acclimate as ac
from acclimate.backbones.registry import create, restore, writes
from acclimate.backbones.small_seq2seq import SmallSeq2Seq
from acclimate.errors import SettingsError

SIZE = {"width": 64, "layers": 1, "heads": 2, "hidden": 128, "vocabulary": 330, "max_length": 32, "dropout": 0.0}
TRAINING = {"epochs": 16, "batch_size": 32}
OPTIONS = {"task": "translate", "input": "en", "label": "fr", "device": "cpu", "precision": "fp32"}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


def sentences(place, n, seed):
    """Words of digits, each of which is another word."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(n):
        words = rng.integers(0, 12, rng.integers(5, 8))
        lines.append({"en": " ".join(f"mot{k}" for k in words), "fr": " ".join(f"été{11 - k}" for k in words)})
    place.write_text("\n".join(map(json.dumps, lines)))
    return place


def pairs(*texts):
    frame = pd.DataFrame({"en": [a for a, _ in texts], "fr": [b for _, b in texts]})
    return ac.read(frame, input="en", label="fr", modality="text")


SOME = [("le chat dort", "the cat sleeps"), ("le chien dort", "the dog sleeps"), ("le chat court", "the cat runs")]


def fitted(*texts, seed=0, **settings):
    backbone = create("small_seq2seq", "text", {**SIZE, **settings}, seed)
    backbone.fit(pairs(*texts))
    return backbone


def test_frequent_words_of_both_sides_are_tokens_and_every_text_is_spelled():
    tokenizer = fitted(*SOME * 5).tokenizer
    known = tokenizer.get_vocab()
    assert {"Ġle", "Ġdort", "Ġthe", "Ġsleeps"} <= set(known)
    assert tokenizer("le chat")["input_ids"] == [known["Ġle"], known["Ġchat"], 1], "and the end of the text"
    for text in ("naïve \u732b \U0001f63a  two  spaces", "SARS-CoV-2", "\x00"):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_tokens_and_weights_depend_on_the_texts_and_not_on_their_order():
    one, other = fitted(*SOME, *SOME), fitted(*SOME[::-1], *SOME)
    assert one.cache_key() == other.cache_key()
    assert fitted(*SOME, *SOME, seed=1).cache_key() != one.cache_key(), "another seed"
    assert fitted(*SOME[:2], *SOME[:2]).cache_key() != one.cache_key(), "other texts"


def test_the_network_is_as_large_as_its_tokens():
    backbone = fitted(*SOME)
    assert isinstance(backbone, SmallSeq2Seq)
    assert backbone.network.get_input_embeddings().weight.shape == (len(backbone.tokenizer), 64)
    assert not backbone.spec.pretrained and writes("small_seq2seq")


def test_features_do_not_depend_on_the_rest_of_the_batch():
    backbone = fitted(*SOME).eval()
    with torch.no_grad():
        together = backbone(backbone.collate(["le chat", "le chien dort et court"]))["encoder"]
        alone = backbone(backbone.collate(["le chat"]))["encoder"]
    torch.testing.assert_close(together[:1], alone)


def test_restored_it_is_a_network_of_transformers(tmp_path):
    backbone = fitted(*SOME).eval()
    backbone.assets(tmp_path)
    again = restore(json.loads(json.dumps(backbone.config())), tmp_path)
    again.load_state_dict(backbone.state_dict())
    inputs = backbone.collate(["le chat dort"])
    assert torch.equal(again(inputs)["encoder"], backbone(inputs)["encoder"])
    assert again.spec.pretrained and again.spec.learning_rate < backbone.spec.learning_rate


def test_it_learns_a_toy_language_and_a_later_run_begins_with_it(tmp_path):
    source, fresh = sentences(tmp_path / "source.jsonl", 800, 0), sentences(tmp_path / "fresh.jsonl", 50, 1)
    backbone = {"name": "small_seq2seq", **SIZE}
    options = {**OPTIONS, "training": TRAINING, "method": "source_only"}
    run = ac.adapt(source, out=tmp_path / "run", backbone=backbone, **options)
    found = run.evaluate(fresh, label="fr")
    assert found["metrics"]["chrf"] > 0.9 and found["baselines"]["copy"]["metrics"]["chrf"] < 0.3
    later = {"name": str(tmp_path / "run"), "beams": 2}
    again = ac.adapt(source, out=tmp_path / "again", backbone=later, tune="frozen", **options)
    assert again.evaluate(fresh, label="fr")["metrics"]["chrf"] > 0.9, "without a step"
    assert ac.load(tmp_path / "again").predict(fresh)["prediction"].iloc[0].startswith("été")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 30, "heads": 4}, "cannot be shared by 4 heads"),
        ({"layers": 0}, r"backbone\.layers must be at least 1"),
        ({"vocabulary": 100}, "at least 258"),
        ({"dropout": 1.0}, "from 0 to below 1"),
        ({"max_length": 4}, "at least 8 tokens"),
    ],
)
def test_sizes_that_cannot_be_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        create("small_seq2seq", "text", settings)


def test_it_reads_texts_alone():
    with pytest.raises(SettingsError, match="does not read image input"):
        create("small_seq2seq", "image")
