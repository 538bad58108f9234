"""Answers that are places in texts: labels, loss, decoding and scores, and that a model learns to find them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.backbones import registry
from acclimate.domains.domain import Domain, Schema, join
from acclimate.domains.ids import hash_texts
from acclimate.domains.read import read
from acclimate.errors import DataError, SettingsError
from acclimate.tasks.answer import Answer, spans
from acclimate.tasks.answers import Answers
from acclimate.tasks.overlap import overlap, words
from acclimate.tasks.sites import Units

TEXT = "who?\nAda met Bob Lee."
PLACES = [(-1, -1), (-1, -1), (-1, -1), (0, 3), (4, 7), (8, 11), (12, 15), (15, 16), (-1, -1)]
"""Of [CLS] who ? [SEP] Ada met Bob Lee . [SEP], without the second word of the question."""


def units(values):
    return Units(values, torch.ones(values.shape[:2], dtype=torch.bool), torch.tensor([PLACES] * len(values)))


def outputs(start, end, may_lack=False):
    """What a head says that is the identity on two features."""
    head = torch.nn.Linear(2, 2)
    torch.nn.init.eye_(head.weight)
    torch.nn.init.zeros_(head.bias)
    return Answer(may_lack).outputs(head, units(torch.stack([torch.tensor(start), torch.tensor(end)], -1)[None]))


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Bob Lee", [("Bob Lee", None)]),
        ('["Bob", "Lee"]', [("Bob", None), ("Lee", None)]),
        ("[]", []),
        ('{"text": ["Bob"], "answer_start": [8]}', [("Bob", 8)]),
        ('{"text": [], "answer_start": []}', []),
        ("[sic", [("[sic", None)]),
    ],
)
def test_forms_of_a_label(label, expected):
    assert spans(label) == expected


@pytest.mark.parametrize("label", ['["a", 3]', '{"texts": ["a"]}', '{"text": ["a"], "answer_start": [1, 2]}'])
def test_other_forms_are_refused(label):
    with pytest.raises(DataError, match="an answer is a text"):
        spans(label)


def test_an_answer_is_looked_up_in_its_text(rows):
    text = rows(TEXT, "a\nb a b", "q\nb a b")
    labels = np.array(["Bob Lee", "b", '{"text": ["b"], "answer_start": [4]}'], dtype=object)
    assert Answer().encode(labels, text).tolist() == [[8, 15], [0, 1], [4, 5]]
    assert Answer(True).encode(np.array(["[]"], dtype=object), rows(TEXT)).tolist() == [[-1, -1]]
    with pytest.raises(DataError, match="'Carl' is not in its text, 'Ada met"):
        Answer().encode(np.array(["Carl"], dtype=object), rows(TEXT))
    with pytest.raises(DataError, match="'who' is not in its text"):
        Answer().encode(np.array(["who"], dtype=object), rows(TEXT))


def test_what_does_not_fit_names_file_and_row(rows):
    def domain(name, *pairs):
        kept = rows(*(text for text, _ in pairs))
        labels = np.array([label for _, label in pairs], dtype=object)
        return Domain(name, Schema("text", label="answers"), kept, hash_texts(kept.values), labels)

    right, lost, odd = (TEXT, "Bob"), (TEXT, "Carl"), (TEXT, "[1]")
    with pytest.raises(DataError, match=r"^a\.jsonl, row 2: the answer 'Carl' is not in its text"):
        Answer.from_domain(domain("a.jsonl", right, lost))
    both = join([domain("a.jsonl", right, right), domain("b.jsonl", right, lost)])
    with pytest.raises(DataError, match=r"^b\.jsonl, row 2: the answer 'Carl'"):
        Answer().check(both.select(np.array([3, 0])))
    Answer().check(both, learned=False)
    with pytest.raises(DataError, match=r"^a\.jsonl, row 1: an answer is a text"):
        Answer().check(domain("a.jsonl", odd), learned=False)
    with pytest.raises(DataError, match="row 1: the text has no answer, and every question of the source has one"):
        Answer().check(domain("a.jsonl", (TEXT, "[]")))


def test_the_baseline_is_the_sentence_that_has_most_of_the_question(rows):
    text = "Who met Bob?\nIt rained. Ada met Bob. Bob met the others and Lee met Ada."
    found = Answer().baselines(rows(text, "a b\n", "no question"))["overlap"]
    assert found.prediction.tolist() == ["Ada met Bob.", "", "no question"]


def test_the_loss_is_the_mean_cross_entropy_of_both_ends():
    said = outputs([9.0, 9, 9, 0, 0, 2, 0, 0, 9], [9.0, 9, 9, 0, 0, 0, 3, 0, 9])
    found = Answer().loss(said, torch.tensor([[8, 15]]))
    start = -np.log(np.exp(2) / (np.exp(2) + 4))
    end = -np.log(np.exp(3) / (np.exp(3) + 4))
    assert found.tolist() == pytest.approx([(start + end) / 2], rel=1e-5)
    assert Answer().loss(said, torch.tensor([[40, 44]])).tolist() == [0.0], "cut off"
    lacking = outputs([5.0, 9, 9, 0, 0, 2, 0, 0, 9], [5.0, 9, 9, 0, 0, 0, 3, 0, 9], may_lack=True)
    start = -np.log(np.exp(5) / (np.exp(5) + np.exp(2) + 4))
    end = -np.log(np.exp(5) / (np.exp(5) + np.exp(3) + 4))
    assert Answer(True).loss(lacking, torch.tensor([[-1, -1]])).tolist() == pytest.approx([(start + end) / 2], rel=1e-5)


def decoded(rows, start, end, may_lack=False):
    said = {name: value.detach().numpy() for name, value in outputs(start, end, may_lack).items()}
    return Answer(may_lack).decode(said, rows=rows(TEXT))


def test_the_best_pair_is_quoted(rows):
    found = decoded(rows, [9.0, 9, 9, 0, 0, 2, 0, 0, 9], [9.0, 9, 9, 0, 0, 0, 3, 0, 9])
    assert found.prediction.tolist() == ["Bob Lee"]
    assert found.confidence[0] == pytest.approx(np.exp(5) / (np.exp(2) + 4) / (np.exp(3) + 4), rel=1e-5)
    backwards = decoded(rows, [0.0, 0, 0, 0, 0, 0, 5, 0, 0], [0.0, 0, 0, 5.5, 0, 0, 0, 1, 0])
    assert backwards.prediction.tolist() == ["Lee."], "an answer does not end before it begins"


def test_no_answer_is_the_empty_text(rows):
    weak = [4.0, 0, 0, 0, 0, 2, 0, 0, 0], [4.0, 0, 0, 0, 0, 0, 3, 0, 0]
    assert decoded(rows, *weak).prediction.tolist() == ["Bob Lee"], "where every question has one"
    assert decoded(rows, *weak, may_lack=True).prediction.tolist() == [""]


@pytest.mark.parametrize(
    ("said", "right", "f1"),
    [
        ("The Bob Lee!", "bob lee", 1.0),
        ("Bob", "Bob Lee", 2 / 3),
        ("Bob Bob", "Bob Lee", 0.5),
        ("Carl", "Bob Lee", 0.0),
        ("", "", 1.0),
        ("", "Bob", 0.0),
        ("北京大学", "北京", 2 / 3),
    ],
)
def test_f1_is_that_of_squad(said, right, f1):
    assert overlap(said, right) == pytest.approx(f1)


def test_words_lose_articles_and_punctuation():
    assert words("An  Apple-pie, the «best» a.") == ["applepie", "best"]


def test_the_best_right_answer_counts_and_rows_have_weights():
    labels = np.array(['["Bob", "Bob Lee"]', "Ada", "[]"], dtype=object)
    answers = Answers(np.array(["Bob Lee", "Ada met", ""], dtype=object))
    assert Answer().metrics(answers, labels) == pytest.approx({"exact_match": 2 / 3, "f1": (1 + 2 / 3 + 1) / 3})
    weighted = Answer().weighted_metrics(answers, labels)
    assert weighted(np.array([0.0, 3, 1])) == pytest.approx({"exact_match": 0.25, "f1": 0.75})


def test_tokens_know_their_places(tiny_text):
    backbone = registry.create(str(tiny_text), "text")
    backbone.read_units()
    inputs = backbone.collate(["w1 w2\ngood w3", "w1\nw4 w5 bad"])
    layer = backbone.spec.default
    read = backbone.eval()(inputs)[layer]
    assert read.shape == (*inputs["input_ids"].shape, 16)
    first, second = (side[side[:, 0] >= 0].tolist() for side in inputs["places"])
    assert first == [[0, 4], [5, 7]]
    assert second == [[0, 2], [3, 5], [6, 9]]
    with pytest.raises(SettingsError, match="one vector a row"):
        registry.create("ngrams", "text").read_units()


def paragraphs(place, n, seed, topic):
    """A file of questions: one word of the text is `good`, `fine`, `bad` or `poor`, and that is the answer."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(n):
        words = [f"w{k}" for k in rng.permutation(40)[: int(rng.integers(3, 9))]]
        tone = str(rng.choice(["good", "fine", "bad", "poor"]))
        text = " ".join([*rng.permutation([*words, tone]), topic])
        lines.append(json.dumps({"question": f"w{int(rng.integers(40))} {topic}", "context": text, "answers": [tone]}))
    place.write_text("\n".join(lines))
    return place


OPTIONS = {"task": "answer", "input": ["question", "context"], "label": "answers", "device": "cpu", "precision": "fp32"}


def adapt(tmp_path, tiny_text, name, **options):
    source = paragraphs(tmp_path / "source.jsonl", 96, 0, "film")
    target = tmp_path / "target.jsonl"
    if not target.exists():
        paragraphs(target, 32, 1, "phone")
    training = {"steps": 6, "batch_size": 16, "learning_rate": 1e-2}
    options = {**OPTIONS, "backbone": str(tiny_text), "training": training, **options}
    return ac.adapt(source, target, out=tmp_path / name, **options)


def weights(run, arm):
    return (run.folder / "arms" / arm / "model" / "weights.safetensors").read_bytes()


def test_a_model_learns_to_point_and_says_the_same_after_loading(tmp_path, tiny_text):
    training = {"steps": 250, "batch_size": 32, "learning_rate": 1e-2}
    run = adapt(tmp_path, tiny_text, "run", method="source_only", training=training)
    assert run.result["arms"][0]["source_validation"]["metrics"]["f1"] > 0.8
    answers = run.predict(tmp_path / "target.jsonl")
    assert list(answers)[-2:] == ["prediction", "confidence"]
    assert all(said in text for said, text in zip(answers["prediction"], answers["context"], strict=True))
    again = ac.load(run.folder).predict(tmp_path / "target.jsonl")
    assert again.equals(answers)
    opened = run.evaluate(tmp_path / "target.jsonl", label="answers")
    right = [said == answers[0] for said, answers in zip(again["prediction"], again["answers"], strict=True)]
    assert opened["metrics"]["exact_match"] == pytest.approx(np.mean(right))
    assert opened["primary"] == "f1"


@pytest.mark.parametrize("method", ["dann", "mmd", "coral"])
def test_alignment_moves_the_backbone_and_at_strength_0_nothing(tmp_path, tiny_text, method):
    still = adapt(tmp_path, tiny_text, "still", method={"name": method, "strength": 0.0})
    moved = adapt(tmp_path, tiny_text, "moved", method={"name": method, "strength": 1.0})
    alone = weights(still, "source_only")
    assert weights(still, method) == alone == weights(moved, "source_only")
    assert weights(moved, method) != alone


def test_answers_of_the_target_teach_nothing(tmp_path, tiny_text):
    clean = adapt(tmp_path, tiny_text, "clean", method="dann")
    lines = [json.loads(line) for line in (tmp_path / "target.jsonl").read_text().splitlines()]
    poisoned = [json.dumps({**line, "answers": [line["context"].split()[-1]]}) for line in lines]
    (tmp_path / "target.jsonl").write_text("\n".join(poisoned))
    poisoned_run = adapt(tmp_path, tiny_text, "poisoned", method="dann")
    assert weights(clean, "dann") == weights(poisoned_run, "dann")


def test_what_cannot_be_is_refused(tmp_path, tiny_text):
    with pytest.raises(SettingsError, match="needs classes"):
        adapt(tmp_path, tiny_text, "a", method="mcc")
    with pytest.raises(SettingsError, match="use --tune full"):
        adapt(tmp_path, tiny_text, "b", tune="frozen")
    with pytest.raises(SettingsError, match="one vector a row"):
        adapt(tmp_path, tiny_text, "c", backbone="ngrams")
    assert not (tmp_path / "a").exists()


def test_an_answer_far_beyond_what_is_read_at_once_is_found(tmp_path, tiny_text):
    def put_off(place, seed):
        lines = [json.loads(line) for line in paragraphs(place, 96, seed, "film").read_text().splitlines()]
        far = [{**line, "context": "w1 w2 w3 " * 45 + line["context"] + " w4" * 20} for line in lines]
        place.write_text("\n".join(map(json.dumps, far)))
        return place

    training = {"steps": 250, "batch_size": 16, "learning_rate": 1e-2}
    options = {**OPTIONS, "backbone": {"name": str(tiny_text), "max_length": 64}, "training": training}
    run = ac.adapt(put_off(tmp_path / "source.jsonl", 0), out=tmp_path / "run", **options)
    opened = run.evaluate(put_off(tmp_path / "test.jsonl", 1), label="answers")
    assert opened["metrics"]["exact_match"] > 0.8


def test_held_out_rows_must_have_their_answers_too(tmp_path, tiny_text):
    source = paragraphs(tmp_path / "source.jsonl", 40, 0, "film")
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    for k in range(40):
        torn = [{**line, "answers": ["nowhere"]} if row == k else line for row, line in enumerate(lines)]
        source.write_text("\n".join(map(json.dumps, torn)))
        with pytest.raises(DataError, match="'nowhere' is not in its text"):
            ac.adapt(source, out=tmp_path / "run", backbone=str(tiny_text), **OPTIONS)


def test_lists_of_answers_are_read_only_where_they_are_asked_for(tmp_path):
    place = paragraphs(tmp_path / "a.jsonl", 4, 0, "film")
    domain = read(place, input=["question", "context"], label="answers", modality="text", structured=True)
    assert [json.loads(label)[0] in text for label, text in zip(domain.labels, domain.rows.values, strict=True)] == [
        True
    ] * 4
    with pytest.raises(DataError, match="holds a list"):
        read(place, input=["question", "context"], label="answers", modality="text")
