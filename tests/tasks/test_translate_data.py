"""What pairs may be like: odd lengths, the wrong language, one token, no text; and texts of the other side."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.errors import DataError
from acclimate.tasks.translate import Translate

OPTIONS = {"task": "translate", "input": "en", "label": "fr", "device": "cpu", "precision": "fp32"}
TRAINING = {"epochs": 12, "learning_rate": 5e-3, "batch_size": 32}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


def sentences(n, low, high, seed, length=5):
    """Words that are translated one by one."""
    drawn = [np.random.default_rng([seed, row]).integers(low, high, length) for row in range(n)]
    return [{"en": " ".join(f"a{k}" for k in words), "fr": " ".join(f"b{k}" for k in words)} for words in drawn]


def written(place, rows):
    place.write_text("\n".join(map(json.dumps, rows)))
    return place


def remarks(*pairs):
    frame = pd.DataFrame(pairs, columns=["en", "fr"])
    return Translate().remarks(ac.read(frame, input="en", label="fr", modality="text"))


USUAL = [("a black dog runs on the beach", "un chien noir court sur la plage")] * 3


def test_pairs_of_unlike_length_are_remarked():
    found = remarks(*USUAL, ("no", "un homme assis sur un banc regarde passer les gens"))
    assert len(found) == 1 and "1 of 4 translations are more than 2 times as long or as short as usual" in found[0]
    assert found[0].endswith("'no': 'un homme assis sur un banc regarde passer les gens'")
    assert "1 of 4 translations" in remarks(*USUAL, ("a man on a bench looks at the sea", "oui"))[0]
    assert remarks(*USUAL, ("ok", "d'accord")) == (), "a short pair may be one word longer"


def test_what_is_usual_is_the_pairs_own():
    """Chinese takes a third of the characters."""
    pairs = [("a black dog runs on the beach", "一只黑狗在海滩上跑")] * 4
    assert remarks(*pairs) == ()


def test_translations_that_are_the_text_itself_are_remarked():
    found = remarks(*USUAL, ("two men", "two men "))
    assert len(found) == 1 and "1 of 4 translations are the text itself" in found[0]


def test_a_run_says_what_is_odd_and_goes_on(tiny_seq2seq, tmp_path):
    rows = [*sentences(40, 0, 14, 0), {"en": "a1 a2", "fr": "a1 a2"}]
    source = written(tmp_path / "source.jsonl", rows)
    training = {**TRAINING, "epochs": 1}
    run = ac.adapt(
        source, out=tmp_path / "run", backbone=str(tiny_seq2seq), method="source_only", training=training, **OPTIONS
    )
    assert any("1 of 41 translations are the text itself" in note for note in run.result["data"]["notes"])


def test_texts_without_a_word_are_read_and_empty_ones_get_an_answer(tiny_seq2seq, tmp_path):
    """One token, no token that is known, and none at all: each row has an answer of its own, in its place."""
    source = written(
        tmp_path / "source.jsonl", [*sentences(200, 0, 14, 0), *({"en": f"a{k}", "fr": f"b{k}"} for k in range(14))]
    )
    run = ac.adapt(
        source, out=tmp_path / "run", backbone=str(tiny_seq2seq), method="source_only", training=TRAINING, **OPTIONS
    )
    said = run.predict(pd.DataFrame({"en": ["a3", "?!", " ", "a5"]}))
    assert len(said) == 4 and said["confidence"].between(0, 1).all()
    alone = run.predict(pd.DataFrame({"en": ["a3"]}))
    assert said["prediction"][0] == alone["prediction"][0]


def test_rows_without_a_text_are_refused(tiny_seq2seq, tmp_path):
    rows = [*sentences(10, 0, 14, 0), {"en": None, "fr": "b1"}]
    source = written(tmp_path / "source.jsonl", rows)
    with pytest.raises(DataError, match="row"):
        ac.adapt(source, out=tmp_path / "run", backbone=str(tiny_seq2seq), method="source_only", **OPTIONS)


def test_lists_of_unequal_length_are_refused():
    pair = (np.array(["a1", "a2", "a3"], dtype=object), np.array(["b1", "b2"], dtype=object))
    with pytest.raises(DataError, match="3 inputs, but 2 labels"):
        ac.read(pair, label="fr", modality="text")


def test_texts_of_the_other_side_teach_by_back_translation(tiny_seq2seq, tmp_path):
    """docs/translation.md, step by step: a model of the other direction, what it says, and both kinds of pairs."""
    pairs = written(tmp_path / "pairs.jsonl", [*sentences(250, 0, 14, 0), *sentences(60, 12, 20, 3)])
    texts = written(tmp_path / "texts.jsonl", [{"fr": row["fr"]} for row in sentences(300, 12, 20, 1)])
    fresh = written(tmp_path / "fresh.jsonl", sentences(60, 12, 20, 2, length=6))
    options = {"task": "translate", "backbone": str(tiny_seq2seq), "training": TRAINING, "device": "cpu"}
    back = ac.adapt(pairs, out=tmp_path / "back", input="fr", label="en", method="source_only", tune="full", **options)
    back.predict(texts, output=tmp_path / "pairs_of_back.jsonl")
    run = ac.adapt(
        pairs, tmp_path / "pairs_of_back.jsonl", out=tmp_path / "run", input="en", label="fr",
        target_input="prediction", target_label="fr", method="joint", **options,
    )  # fmt: skip
    found = run.evaluate(fresh, label="fr", input="en")["arms"]
    assert found["joint"]["metrics"]["chrf"] > found["source_only"]["metrics"]["chrf"] + 0.02
