"""Summaries of sentences: what is learned, decoded and scored, and that a model finds the telling sentences."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.domains.sentences import split
from acclimate.errors import DataError, SettingsError
from acclimate.tasks import registry
from acclimate.tasks.answers import Answers
from acclimate.tasks.sites import Units
from acclimate.tasks.summarize import Summarize, WriteSummary, oracle, quoted

TEXT = "Ada met Bob. It rained all day. They went home. Nobody saw them."


def parts(text):
    return [text[low:high] for low, high in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT, ["Ada met Bob.", "It rained all day.", "They went home.", "Nobody saw them."]),
        ('Mr. Smith of the U.S. said: "No." He left!', ['Mr. Smith of the U.S. said: "No."', "He left!"]),
        ("It rose 2.5% to $3.1bn vs. last year. J. Doe left", ["It rose 2.5% to $3.1bn vs. last year.", "J. Doe left"]),
        ("A title\n\nFirst line\nof two. end", ["A title", "First line\nof two. end"]),
        ("Er kam am 3. Mai. Sie blieb.", ["Er kam am 3. Mai.", "Sie blieb."]),
        ("他来了。她走了。好", ["他来了。", "她走了。", "好"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_where_sentences_end(text, expected):
    assert parts(text) == expected


def test_the_sentences_of_an_extract_are_found_again():
    assert oracle(TEXT, "They went home.Ada met Bob.") == (True, False, True, False)
    assert oracle(TEXT, "ADA met, Bob") == (True, False, False, False)
    assert oracle(TEXT, "nothing else") == (False,) * 4
    assert oracle("", "x") == ()


def test_which_sentences_are_quoted():
    """Also where one sentence begins with another, or comes twice, or none is quoted."""
    task, sentences = Summarize(), ["Go", "Go home now.", "Stay.", "Go", "Stay."]
    assert quoted(sentences, "Go home now. Go Stay.") == [1, 3, 4]
    assert quoted(sentences, "Go Go") == [0, 3] and quoted(sentences, "Stay. Stay.") == [2, 4]
    assert quoted(sentences, "Go away") == [] and quoted([], "") == []
    outputs = {
        "chosen": torch.tensor([[0.0, 2.0, -1.0], [0.0, 2.0, -1.0]]),
        "places": torch.tensor([[[0, 1], [2, 3], [4, 5]], [[0, 1], [-1, -1], [4, 5]]]),
    }
    goal = torch.tensor([[1.0, 1.0, 0.0]])
    half = 0.5 / 2
    assert task.score(outputs, goal).tolist() == pytest.approx([half + float(torch.tensor(2.0).sigmoid()) / 2, half])


def test_a_text_is_encoded_by_its_sentences(rows):
    task = Summarize()
    labels = np.array(["Ada met Bob.", "One."], dtype=object)
    assert task.encode(labels, rows(TEXT, "One. Two.")).tolist() == [[1, 0, 0, 0], [1, 0, -1, -1]]


def test_the_loss_is_a_mean_over_the_sentences_of_each_text():
    said = {"chosen": torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 9.0]])}
    targets = torch.tensor([[1.0, 0, 1, -1, -1], [0.0, 1, -1, -1, -1]])
    first = np.mean([np.log1p(np.exp(-2)), np.log1p(np.exp(-1)), np.log1p(np.exp(-0.5))])
    second = np.mean([np.log(2), np.log1p(np.exp(-3))])
    assert Summarize().loss(said, targets).tolist() == pytest.approx([first, second], rel=1e-5)


def test_the_best_share_is_quoted_in_the_order_of_the_text(rows):
    places = np.array([split(TEXT), [*split("One. Two."), (0, 0), (0, 0)]], dtype=np.float32)
    said = {"chosen": np.array([[0.0, -1, 3, 2], [0.5, 1, 9, 9]]), "places": places}
    found = Summarize(0.5).decode(said, rows=rows(TEXT, "One. Two."))
    assert found.prediction.tolist() == ["They went home. Nobody saw them.", "Two."]
    assert found.confidence[1] == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert Summarize(0.01).decode(said, rows=rows(TEXT, "One. Two.")).prediction[0] == "They went home."


def test_padding_changes_nothing():
    torch.manual_seed(0)
    task, values = Summarize(), torch.randn(1, 3, 4)
    head, places = task.head(4), torch.tensor([split(TEXT)[:3]])
    short = Units(values, torch.ones(1, 3, dtype=torch.bool), places)
    mask = torch.tensor([[True, True, True, False, False]])
    padded = torch.cat([values, torch.zeros(1, 2, 4)], 1), mask, torch.cat([places, torch.full((1, 2, 2), -1)], 1)
    long = Units(*padded)
    torch.testing.assert_close(task.outputs(head, short)["chosen"], task.outputs(head, long)["chosen"][:, :3])
    torch.testing.assert_close(short.pooled, long.pooled)


def test_rouge_is_that_of_the_package_and_rows_have_weights():
    answers = Answers(np.array(["the cat sat", "a dog"], dtype=object))
    labels = np.array(["the cat sat on the mat", "dogs ran"], dtype=object)
    found = Summarize().metrics(answers, labels)
    assert found["rouge1"] == pytest.approx((2 * 3 / 9 + 2 * 1 / 4) / 2), "stems agree"
    assert found["rouge2"] == pytest.approx((2 * 2 / 7 + 0) / 2)
    assert Summarize().weighted_metrics(answers, labels)(np.array([1.0, 0]))["rouge2"] == pytest.approx(4 / 7)


def test_words_of_any_script_are_counted():
    answers = Answers(np.array(["今天北京天气很好。", "Größere Häuser"], dtype=object))
    labels = np.array(["今天北京天气很好。", "größere Häuser stehen"], dtype=object)
    assert Summarize().weighted_metrics(answers, labels)(np.array([1.0, 0]))["rouge2"] == 1
    assert Summarize().weighted_metrics(answers, labels)(np.array([0.0, 1]))["rouge1"] == pytest.approx(0.8)
    assert oracle("今天很好。明天下雨。", "明天雨") == (False, True)


def test_english_is_scored_as_the_package_does():
    from rouge_score.rouge_scorer import RougeScorer

    said, right = "The dogs' running, 3.5 times: it's a U.S. cat", "A dog ran 3.5 times and its cats were running"
    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True).score(right, said)
    ours = Summarize().metrics(Answers(np.array([said], dtype=object)), np.array([right], dtype=object))
    assert ours == pytest.approx({name.lower(): score.fmeasure for name, score in theirs.items()})


def test_lead_baselines_are_the_first_sentences(rows):
    found = Summarize(0.5).baselines(rows(TEXT, ""))
    assert found["lead3"].prediction.tolist() == ["Ada met Bob. It rained all day. They went home.", ""]
    assert found["lead"].prediction.tolist() == ["Ada met Bob. It rained all day.", ""]


def stories(place, n, seed):
    """A file of texts whose summary is their sentences about a film, wherever they stand."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(n):
        told = [" ".join(f"w{k}" for k in rng.integers(0, 40, 4)) for _ in range(6)]
        kept = sorted(rng.permutation(6)[:2].tolist())
        whole = [f"W {told[k]} {'film good' if k in kept else 'phone bad'}." for k in range(6)]
        lines.append(json.dumps({"text": " ".join(whole), "summary": " ".join(whole[k] for k in kept)}))
    place.write_text("\n".join(lines))
    return place


OPTIONS = {"task": "summarize", "input": "text", "label": "summary", "device": "cpu", "precision": "fp32"}


def adapt(tmp_path, tiny_text, name, **options):
    source, target = tmp_path / "source.jsonl", tmp_path / "target.jsonl"
    if not target.exists():
        stories(source, 80, 0)
        stories(target, 30, 1)
    options = {**OPTIONS, "backbone": str(tiny_text), "training": {"epochs": 10}, **options}
    return ac.adapt(source, target, out=tmp_path / name, **options)


def weights(run, arm):
    return (run.folder / "arms" / arm / "model" / "weights.safetensors").read_bytes()


def test_a_model_finds_the_telling_sentences(tmp_path, tiny_text):
    run = adapt(tmp_path, tiny_text, "run", method="dann", training={"epochs": 80})
    said = run.predict(tmp_path / "target.jsonl")
    assert (said["prediction"] == said["summary"]).mean() > 0.7
    opened = run.evaluate(tmp_path / "target.jsonl", label="summary")
    assert opened["metrics"]["rouge2"] > 0.8 > opened["baselines"]["lead"]["metrics"]["rouge2"]
    assert opened["baselines"]["lead3"]["metrics"]["rouge2"] < 0.8
    page = ac.report(run).read_text(encoding="utf-8")
    assert ">lead3<" in page and "; lead3 0." in page and "plain answers, no arm" in page and "InfoMax" not in page
    assert ac.load(run.folder).predict(tmp_path / "target.jsonl").equals(said)
    explanation_of(run.folder, tmp_path)


def explanation_of(run, tmp_path):
    """The sentences that a summary quotes speak for it most, and others have their share by what they lend."""
    told = ac.explain(run, tmp_path / "target.jsonl", out=tmp_path / "explained", limit=8)
    for each in told["rows"]:
        parts = sorted(each["parts"], key=lambda part: -part["score"])
        assert {part["name"] for part in parts[:2]} == set(re.findall(r"W [^.]+[.]", each["answer"]))
        assert any(part["score"] for part in parts[2:]) and 0.5 < each["score"] <= 1
    assert told["faithfulness"]["better_than_random"] == "yes"
    assert "A sentence that is left out" in (tmp_path / "explained" / "explanations.html").read_text()


def test_strength_0_is_source_only_and_alignment_moves(tmp_path, tiny_text):
    still = adapt(tmp_path, tiny_text, "still", method={"name": "dann", "strength": 0.0}, tune={"bottleneck": 8})
    moved = adapt(tmp_path, tiny_text, "moved", method={"name": "dann", "strength": 1.0}, tune={"bottleneck": 8})
    assert weights(still, "dann") == weights(still, "source_only") == weights(moved, "source_only")
    assert weights(moved, "dann") != weights(moved, "source_only")


def test_summaries_of_the_target_teach_nothing(tmp_path, tiny_text):
    clean = adapt(tmp_path, tiny_text, "clean", method="dann")
    place = tmp_path / "target.jsonl"
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    place.write_text("\n".join(json.dumps({**line, "summary": parts(line["text"])[0]}) for line in lines))
    poisoned = adapt(tmp_path, tiny_text, "poisoned", method="dann")
    assert weights(clean, "dann") == weights(poisoned, "dann")


def test_what_cannot_be_is_refused(tmp_path, tiny_text):
    with pytest.raises(SettingsError, match="reads frozen sentences"):
        adapt(tmp_path, tiny_text, "a", tune="full")
    with pytest.raises(SettingsError, match="reads frozen sentences"):
        adapt(tmp_path, tiny_text, "b", backbone="ngrams")
    with pytest.raises(SettingsError, match="needs classes"):
        adapt(tmp_path, tiny_text, "c", method="mcc")
    stories(tmp_path / "empty.jsonl", 8, 0)
    lines = [json.loads(line) for line in (tmp_path / "empty.jsonl").read_text().splitlines()]
    (tmp_path / "empty.jsonl").write_text("\n".join(json.dumps({**line, "summary": "§"}) for line in lines))
    with pytest.raises(DataError, match="no summary has a word in common"):
        ac.adapt(tmp_path / "empty.jsonl", backbone=str(tiny_text), out=tmp_path / "d", **OPTIONS)


def told(place, n, seed):
    """Texts whose summary is their first two words, in words that no text has."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(n):
        words = rng.integers(0, 12, 6)
        text = " ".join(f"a{k}" for k in words[:3]) + ". " + " ".join(f"a{k}" for k in words[3:]) + "."
        lines.append(json.dumps({"text": text, "summary": " ".join(f"b{k}" for k in words[:2])}))
    place.write_text("\n".join(lines))
    return place


def test_summaries_are_written_in_words_that_texts_have_not(tiny_seq2seq, tmp_path, own_cache):
    source, fresh = told(tmp_path / "source.jsonl", 400, 0), told(tmp_path / "fresh.jsonl", 50, 1)
    run = ac.adapt(
        source, out=tmp_path / "run", task="summarize", input="text", label="summary", backbone=str(tiny_seq2seq),
        method="source_only", device="cpu", precision="fp32",
        training={"epochs": 15, "learning_rate": 5e-3, "batch_size": 32},
    )  # fmt: skip
    found = run.evaluate(fresh, label="summary")
    assert found["metrics"]["rouge2"] > 0.8 and found["baselines"]["lead3"]["metrics"]["rouge1"] == 0
    said = run.predict(fresh)["prediction"].tolist()
    assert ac.load(tmp_path / "run").predict(fresh)["prediction"].tolist() == said


def test_the_form_follows_from_the_backbone_and_is_restored():
    assert registry.find("summarize") is Summarize and registry.find("summarize", writes=True) is WriteSummary
    assert isinstance(registry.restore(WriteSummary().config()), WriteSummary)
    assert registry.restore(Summarize(0.4).config()) == Summarize(0.4)


def test_both_forms_have_the_same_scores_and_first_sentences(rows):
    answers, right = (
        Answers(np.array(["Ada met Bob", "x"], dtype=object)),
        np.array(["Ada met Bob.", "y"], dtype=object),
    )
    assert WriteSummary().metrics(answers, right) == Summarize().metrics(answers, right)
    text = rows(TEXT)
    lead = WriteSummary().baselines(text)["lead3"].prediction.tolist()
    assert lead == Summarize().baselines(text)["lead3"].prediction.tolist() == [TEXT.removesuffix(" Nobody saw them.")]
