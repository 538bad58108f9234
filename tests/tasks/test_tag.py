"""A tag for each word: labels, loss, answers and scores, and that new names are learned from few labelled rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.backbones import registry
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.ids import hash_texts
from acclimate.errors import DataError, SettingsError
from acclimate.tasks.answers import Answers
from acclimate.tasks.sites import Units
from acclimate.tasks.tag import MOST_WORDS, Tag, tags_of

TAGS = ("B-PER", "I-PER", "O")


def labels(*values):
    return np.array(values, dtype=object)


def domain(rows, texts, tags, name="a.jsonl"):
    kept = rows(*texts)
    return Domain(name, Schema("text", label="tags"), kept, hash_texts(kept.values), labels(*tags))


@pytest.mark.parametrize("label", ["B-PER O", '["B-PER", "O"]'])
def test_forms_of_a_label(label):
    assert tags_of(label) == ["B-PER", "O"]


@pytest.mark.parametrize("label", ['["a b"]', "[1, 2]", '[["a"]]', '[""]'])
def test_other_forms_are_refused(label):
    with pytest.raises(DataError, match="tags are a list of words"):
        tags_of(label)


def test_tags_are_numbered_by_word(rows):
    task = Tag.from_domain(domain(rows, ["Ada  Lee met\tBob", "no one", ""], ["B-PER I-PER O B-PER", "O O", ""]))
    assert task.tags == TAGS
    assert task.known == {"Ada": "B-PER", "Bob": "B-PER", "Lee": "I-PER"}
    assert task.encode(labels('["O", "B-PER"]', "O"), rows("a Ada", "b")).tolist() == [[2, 0], [2, -1]]
    assert Tag.from_config(json.loads(json.dumps(task.config()))).known == task.known


def test_what_does_not_fit_names_file_and_row(rows):
    with pytest.raises(DataError, match=r"a\.jsonl, row 2: 2 words and 1 tags: 'c d', 'O'"):
        Tag.from_domain(domain(rows, ["a b", "c d"], ["B-PER O", "O"]))
    with pytest.raises(DataError, match="two are needed"):
        Tag.from_domain(domain(rows, ["a b"], ["O O"]))
    with pytest.raises(DataError, match="row 1: a list of words as one text"):
        Tag.from_domain(domain(rows, ['["a", "b"]', "c d"], ["B-PER O", "O O"]))
    known = domain(rows, ["a", "b"], ["O", "B-LOC"]).select(np.array([1]))
    with pytest.raises(DataError, match=r"a\.jsonl, row 2: tags that are not among .*'B-LOC'"):
        Tag(TAGS).check(known)
    Tag(TAGS).check(known, learned=False)


def test_the_loss_is_a_mean_over_the_words_that_were_read():
    logits = torch.tensor([[[2.0, 0, 0], [0, 1.0, 0], [9.0, 0, 0]], [[0.0, 0, 0], [5.0, 0, 0], [0, 0, 0]]])
    read = torch.tensor([[True, True, False], [True, False, False]])
    targets = torch.tensor([[0, 2, 1, -1], [1, -1, -1, -1]])
    first = -np.log(np.exp(2) / (np.exp(2) + 2)) - np.log(1 / (np.exp(1) + 2))
    found = Tag(TAGS).loss({"tags": logits, "read": read}, targets)
    assert found.tolist() == pytest.approx([first / 2, np.log(3)], rel=1e-5)


def test_every_word_has_an_answer(rows):
    said = {
        "tags": np.array([[[3.0, 0, 0], [0, 0, 2.0], [0, 0, 0]], [[0, 1.0, 0], [7, 0, 0], [0, 0, 0]]]),
        "read": np.array([[1.0, 1, 0], [1, 0, 0]]),
    }
    found = Tag(TAGS).decode(said, rows=rows("Ada met us", "Lee"))
    assert found.prediction.tolist() == ["B-PER O O", "I-PER"]
    sure = np.exp(3) / (np.exp(3) + 2), np.exp(2) / (np.exp(2) + 2)
    assert found.confidence.tolist() == pytest.approx([np.mean(sure), np.e / (np.e + 2)])


def test_entities_are_counted_over_all_rows_and_rows_have_weights():
    answers = Answers(labels("B-PER I-PER O", "B-PER O", "O B-PER"))
    right = labels("B-PER I-PER O", "B-PER I-PER", '["O", "O"]')
    # entities: right 1 of 3 said and 2 that there are; words: 3 + 1 + 1 of 7
    expected = {"precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5, "accuracy": 5 / 7}
    assert Tag(TAGS).metrics(answers, right) == pytest.approx(expected)
    twice = Tag(TAGS).weighted_metrics(answers, right)(np.array([2.0, 1, 0]))
    assert twice == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "accuracy": 7 / 8})
    nothing = Tag(TAGS).metrics(Answers(labels("O")), labels("O"))
    assert nothing == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "accuracy": 1.0}


def test_baselines_answer_nothing_or_by_heart(rows):
    found = Tag(TAGS, {"Ada": "B-PER"}).baselines(rows("Ada met Bob", ""))
    assert found["outside"].prediction.tolist() == ["O O O", ""]
    assert found["lookup"].prediction.tolist() == ["B-PER O O", ""]


def test_names_are_types_however_they_are_marked():
    task = Tag(("B-LOC", "I-PER", "O"))
    assert task.possible == ("LOC", "PER")
    assert task.named('["O", "I-LOC", "S-ORG", "date"]') == {"LOC", "ORG", "date"}


def test_alignment_sees_words_with_probabilities():
    values = torch.arange(12.0).reshape(2, 3, 2)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    units, task = Units(values, mask, torch.zeros(2, 3, 2, dtype=torch.int64)), Tag(TAGS)
    sites = task.sites(units, task.outputs(task.head(2), units))
    assert list(sites) == ["features", "words"]
    assert sites["features"].values.tolist() == [[1.0, 2.0], [6.0, 7.0]]
    assert sites["words"].values.tolist() == [[0.0, 1.0], [2.0, 3.0], [6.0, 7.0]]
    assert sites["words"].owner.tolist() == [0, 0, 1]
    assert sites["words"].probs.sum(1).tolist() == pytest.approx([1, 1, 1])
    many = Units(torch.zeros(2, 900, 2), torch.ones(2, 900, dtype=torch.bool), torch.zeros(2, 900, 2))
    some = task.sites(many, task.outputs(task.head(2), many))["words"]
    assert MOST_WORDS / 2 < len(some.values) <= MOST_WORDS
    assert set(some.owner.tolist()) == {0, 1}


def test_a_word_is_read_by_its_first_token(tiny_text):
    backbone = registry.create(str(tiny_text), "text").eval()
    backbone.read_words()
    inputs = backbone.collate(["w1 film! good\n w2", "\x00 w3"])
    assert inputs["input_ids"].shape[1] == 8
    assert inputs["first"].tolist() == [[1, 2, 4, 5], [-1, 1, -1, -1]]
    assert inputs["places"][0].tolist() == [[0, 2], [3, 8], [9, 13], [15, 17]]
    plain = {name: inputs[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
    states = backbone.network(**plain).last_hidden_state
    assert torch.equal(backbone(inputs)["layer_2"][0], states[0, [1, 2, 4, 5]])
    assert backbone.mask(inputs, states).tolist() == [[True] * 4, [False, True, False, False]]
    with pytest.raises(SettingsError, match="does not tell words apart"):
        registry.create("ngrams", "text").read_words()


def sentences(place, n, seed, name, topic):
    """A file of lists of words, in some of which a name of two words stands."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(n):
        words = [*(f"w{k}" for k in rng.permutation(40)[: int(rng.integers(3, 9))]), topic]
        tags = ["O"] * len(words)
        if rng.random() < 0.8:
            at = int(rng.integers(len(words)))
            words[at:at], tags[at:at] = name, ["B-PER", "I-PER"]
        lines.append(json.dumps({"words": words, "tags": tags}))
    place.write_text("\n".join(lines))
    return place


OPTIONS = {"task": "tag", "input": "words", "label": "tags", "device": "cpu", "precision": "fp32"}


def adapt(tmp_path, tiny_text, name, **options):
    source, target = tmp_path / "source.jsonl", tmp_path / "target.jsonl"
    if not target.exists():
        sentences(source, 96, 0, ("good", "fine"), "film")
        sentences(target, 48, 1, ("bad", "poor"), "phone")
    options = {"training": {"steps": 6, "batch_size": 16, "learning_rate": 1e-2}, **options}
    return ac.adapt(source, target, out=tmp_path / name, **{**OPTIONS, "backbone": str(tiny_text), **options})


def weights(run, arm):
    return (run.folder / "arms" / arm / "model" / "weights.safetensors").read_bytes()


def test_new_names_are_learned_from_few_labelled_rows(tmp_path, tiny_text):
    training = {"steps": 60, "batch_size": 16, "learning_rate": 1e-2}
    run = adapt(tmp_path, tiny_text, "run", method="finetune", target_label="tags", training=training)
    test = sentences(tmp_path / "test.jsonl", 60, 2, ("bad", "poor"), "phone")
    opened = run.evaluate(test, label="tags")
    arms = {name: arm["metrics"]["f1"] for name, arm in opened["arms"].items()}
    assert arms["finetune"] > 0.9 > 0.3 > arms["source_only"]
    assert opened["baselines"]["lookup"]["metrics"]["f1"] < 0.3, "the source has other names"
    assert opened["baselines"]["outside"]["metrics"]["accuracy"] > 0.6
    said = run.predict(test)
    first = said.iloc[0]
    assert len(first["prediction"].split()) == len(first["words"])
    assert ac.load(run.folder).predict(test).equals(said)


def test_alignment_moves_the_backbone_and_at_strength_0_nothing(tmp_path, tiny_text):
    for method in ("dann", "mmd", "mcc"):
        still = adapt(tmp_path, tiny_text, f"still {method}", method={"name": method, "strength": 0.0})
        moved = adapt(tmp_path, tiny_text, f"moved {method}", method={"name": method, "strength": 1.0})
        alone = weights(still, "source_only")
        assert weights(still, method) == alone == weights(moved, "source_only")
        assert weights(moved, method) != alone


def test_tags_of_the_target_teach_nothing(tmp_path, tiny_text):
    clean = adapt(tmp_path, tiny_text, "clean", method="dann")
    place = tmp_path / "target.jsonl"
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    place.write_text("\n".join(json.dumps({**line, "tags": ["B-PER"] * len(line["tags"])}) for line in lines))
    assert weights(adapt(tmp_path, tiny_text, "poisoned", method="dann"), "dann") == weights(clean, "dann")


def test_texts_with_spaces_are_the_same_rows(tmp_path, tiny_text):
    lists = adapt(tmp_path, tiny_text, "lists", method="source_only")
    for name in ("source", "target"):
        place = tmp_path / f"{name}.jsonl"
        lines = [json.loads(line) for line in place.read_text().splitlines()]
        place.write_text("\n".join(json.dumps({key: " ".join(of) for key, of in line.items()}) for line in lines))
    assert weights(adapt(tmp_path, tiny_text, "texts", method="source_only"), "source_only") == weights(
        lists, "source_only"
    )


def test_what_cannot_be_is_refused(tmp_path, tiny_text):
    for method in ("cdan", "shot", "mlls"):
        with pytest.raises(SettingsError, match="needs classes"):
            adapt(tmp_path, tiny_text, "a", method=method)
    with pytest.raises(SettingsError, match="use --tune full"):
        adapt(tmp_path, tiny_text, "b", tune="frozen")
    run = adapt(tmp_path, tiny_text, "c", method="source_only")
    place = tmp_path / "target.jsonl"
    first, *rest = place.read_text().splitlines()
    place.write_text("\n".join([first, json.dumps({"words": ["w1", "w2"], "tags": ["O"]}), *rest]))
    with pytest.raises(DataError, match=r"target\.jsonl, row 2: 2 words and 1 tags"):
        run.evaluate(place, label="tags")
    place.write_text(json.dumps({"words": ["w1", "New York"], "tags": ["O", "O"]}))
    with pytest.raises(DataError, match="row 1: a list of words holds 'New York'"):
        run.predict(place)
