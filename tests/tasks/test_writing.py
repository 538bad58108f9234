"""Tasks that write: texts as numbers, the loss by hand, what is written, and a toy shift that finetuning solves."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

import acclimate as ac
from acclimate.backbones.registry import create
from acclimate.backbones.writer import IGNORED
from acclimate.domains.batch import Batch
from acclimate.errors import DataError, SettingsError
from acclimate.tasks.answers import Answers
from acclimate.tasks.translate import Translate
from acclimate.tasks.writing import numbers, strings
from acclimate.training.model import Model

OPTIONS = {"task": "translate", "input": "en", "label": "fr", "device": "cpu", "precision": "fp32"}
TRAINING = {"epochs": 16, "learning_rate": 5e-3, "batch_size": 32}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture
def model(tiny_seq2seq):
    return Model(create(str(tiny_seq2seq), "text"), Translate())


def labels(*texts):
    return np.array(texts, dtype=object)


def test_texts_are_the_numbers_of_their_characters():
    texts = ["né", "", "猫\U0001f63a!"]
    assert numbers(texts).tolist() == [[110, 233, 0], [0, 0, 0], [0x732B, 0x1F63A, 33]]
    assert strings(numbers(texts).numpy().astype(np.float32)) == texts


def test_the_loss_is_the_mean_over_the_tokens_of_each_text():
    logits = torch.tensor([[[0.0, 1.0], [2.0, 0.0]], [[0.0, 0.0], [9.0, 0.0]]])
    ids = torch.tensor([[1, 0], [1, IGNORED]])
    first = (np.log1p(np.exp(-1)) + np.log1p(np.exp(-2))) / 2
    found = Translate().loss({"logits": logits, "ids": ids}, torch.empty(0))
    assert found.tolist() == pytest.approx([first, np.log(2)], rel=1e-5)


def test_each_token_is_taught_after_those_before_it(model):
    """The logits of a token know nothing of it and of what follows, and padding changes nothing."""
    task, inputs = model.task, model.backbone.collate(["a1 a2 a3", "a4"])

    def taught(*texts):
        return model.eval()(Batch(inputs, task.encode(labels(*texts)))).outputs

    one, other = taught("b1 b2 b3", "b4"), taught("b1 b2 b9", "b4 b5")
    torch.testing.assert_close(one["logits"][0, :3], other["logits"][0, :3])
    assert not torch.equal(one["logits"][0, 3], other["logits"][0, 3]), "after another third word"
    alone = model(Batch(model.backbone.collate(["a4"]), task.encode(labels("b4")))).outputs
    torch.testing.assert_close(one["logits"][1, :2], alone["logits"][0])
    assert one["ids"][1].tolist() == [27, 1, IGNORED, IGNORED], "b4, end of text, nothing"


def test_the_loss_is_that_of_the_network_itself(model):
    inputs, task = model.backbone.collate(["a1 a2 a3"]), model.task
    ids = torch.tensor([[24, 25, 26, 1]])
    own = model.eval().backbone.network(**inputs, labels=ids).loss
    ours = model(Batch(inputs, task.encode(labels("b1 b2 b3")))).loss
    assert ours is not None
    torch.testing.assert_close(ours, own[None])


@pytest.mark.parametrize("beams", [1, 3])
def test_what_is_written_is_what_the_network_generates(tiny_seq2seq, beams):
    model = Model(create(str(tiny_seq2seq), "text", {"beams": beams, "max_length": 12}), Translate()).eval()
    network, rng = model.backbone.network, np.random.default_rng(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(250):  # enough for texts that end
        told = [" ".join(f"a{k}" for k in rng.integers(0, 20, rng.integers(1, 7))) for _ in range(32)]
        loss = model(Batch(model.backbone.collate(told), model.task.encode(labels(*told)))).loss
        assert loss is not None
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    inputs = model.backbone.collate(["a1 a2 a3 a4 a5", "a4", "a7 a9 a9"])
    with torch.no_grad():
        said = model(Batch(inputs)).outputs
        ids = network.generate(**inputs, max_new_tokens=12, num_beams=beams, do_sample=False)
        answers = model.task.decode({name: value.numpy() for name, value in said.items()})
        ended = (ids[:, 1:] == 1).cumsum(1) - (ids[:, 1:] == 1).long() > 0
        written = ids[:, 1:].masked_fill(ended, IGNORED)
        each = network(**inputs, labels=written).logits.log_softmax(-1).gather(2, written.clamp(min=0)[..., None])
    assert answers.prediction.tolist() == model.backbone.tokenizer.batch_decode(ids, skip_special_tokens=True)
    lengths = (written != IGNORED).sum(1)
    assert lengths.unique().numel() > 1, "some end before others"
    sure = torch.where(written != IGNORED, each[..., 0], 0.0).sum(1) / lengths
    assert np.log(answers.confidence) == pytest.approx(sure.numpy(), rel=1e-4)


def test_nothing_is_written_while_training(model):
    batch = Batch(model.backbone.collate(["a1 a2"]))
    step = model.train()(batch)
    assert step.outputs == {} and step.loss is None
    assert step.sites["features"].values.shape == (1, 32)
    assert "text" in model.eval()(batch).outputs


def test_the_site_is_the_mean_of_the_encoders_states(model):
    inputs = model.eval().backbone.collate(["a1 a2 a3", "a4"])
    states = model.backbone.network.get_encoder()(**inputs).last_hidden_state
    found = model(Batch(inputs)).sites["features"].values
    torch.testing.assert_close(found, torch.stack([states[0].mean(0), states[1, :2].mean(0)]))


def test_bleu_and_chrf_are_those_of_sacrebleu_and_rows_have_weights():
    import sacrebleu

    said, right = (
        ["the cat is on the mat", "a dog runs fast here"],
        ["the cat sat on the mat", "the dog runs fast here"],
    )
    answers = Answers(labels(*said))
    found = Translate().metrics(answers, labels(*right))
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(said, [right]).score / 100)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(said, [right]).score / 100)
    weighted = Translate().weighted_metrics(answers, labels(*right))(np.array([2.0, 1]))
    assert weighted["bleu"] == pytest.approx(sacrebleu.corpus_bleu([*said, said[0]], [[*right, right[0]]]).score / 100)


def test_scripts_without_spaces_are_counted_by_character():
    domain = ac.read(
        pd.DataFrame({"en": ["good weather", "hello"], "zh": ["今天天气很好。", "你好"]}),
        input="en",
        label="zh",
        modality="text",
    )
    task = Translate.from_domain(domain)
    assert task.tokenize == "char" and Translate.from_config(task.config()) == task
    perfect, near = (
        task.metrics(Answers(labels(a, "你好")), domain.labels)["bleu"] for a in ("今天天气很好。", "今天天气好。")
    )
    assert perfect == pytest.approx(1) and 0.3 < near < 1


def test_finetuning_learns_words_that_the_source_has_not(sentences, tiny_seq2seq, tmp_path):
    source = sentences(tmp_path / "source.jsonl", 400, 0, 14, 0)
    target = sentences(tmp_path / "target.jsonl", 160, 6, 20, 1)
    fresh = sentences(tmp_path / "fresh.jsonl", 60, 14, 20, 2)
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), "training": TRAINING}
    run = ac.adapt(source, target, out=tmp_path / "run", target_label="fr", method="finetune", **options)
    found = run.evaluate(fresh, label="fr")
    assert found["arms"]["finetune"]["metrics"]["chrf"] > 0.9 > 0.5 > found["arms"]["source_only"]["metrics"]["chrf"]
    assert found["arms"]["plain"]["metrics"]["chrf"] < 0.2, "the network as it was"
    assert found["baselines"]["copy"]["metrics"]["bleu"] == 0


def test_saved_and_loaded_it_writes_the_same(sentences, tiny_seq2seq, tmp_path):
    source = sentences(tmp_path / "source.jsonl", 200, 0, 14, 0)
    target = sentences(tmp_path / "target.jsonl", 80, 6, 20, 1)
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), "training": {**TRAINING, "epochs": 6}}
    runs = [ac.adapt(source, target, out=tmp_path / name, method="dann", **options) for name in ("one", "two")]
    said = [run.predict(target)["prediction"].tolist() for run in runs]
    assert len(set(said[0])) > 10
    assert said[0] == said[1], "the same seed, the same texts"
    again = ac.load(tmp_path / "one").predict(target)["prediction"].tolist()
    assert again == said[0]


def test_poisoned_labels_of_the_target_change_nothing(sentences, tiny_seq2seq, tmp_path):
    source = sentences(tmp_path / "source.jsonl", 100, 0, 14, 0)
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), "training": {**TRAINING, "epochs": 2}}
    weights = []
    for name, right in (("clean", True), ("poisoned", False)):
        target = sentences(tmp_path / f"{name}.jsonl", 64, 6, 20, 1, right)
        run = ac.adapt(source, target, out=tmp_path / f"run_{name}", method="mmd", **options)
        weights.append((run.folder / "arms" / "mmd" / "model" / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_run_is_the_backbone_of_another(sentences, tiny_seq2seq, tmp_path):
    source = sentences(tmp_path / "source.jsonl", 300, 0, 14, 0)
    target = sentences(tmp_path / "target.jsonl", 60, 0, 14, 1)
    options = {**OPTIONS, "training": TRAINING, "method": "source_only"}
    ac.adapt(source, target, out=tmp_path / "run", backbone=str(tiny_seq2seq), **options)
    again = ac.adapt(source, target, out=tmp_path / "again", backbone=str(tmp_path / "run"), tune="frozen", **options)
    found = again.evaluate(target, label="fr")
    assert found["arms"]["source_only"]["metrics"]["chrf"] > 0.9, "as it was, without a step"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "ngrams"}, "writes no texts"),
        ({"tune": {"kind": "full", "bottleneck": 8}}, "leave tune.bottleneck out"),
        ({"method": "mcc"}, "needs classes"),
        ({"backbone": {"write": "fr"}}, "no language of the tokenizer"),
    ],
)
def test_what_cannot_be_is_refused(sentences, tiny_seq2seq, tmp_path, change, message):
    source = sentences(tmp_path / "source.jsonl", 40, 0, 14, 0)
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), **change}
    if isinstance(options["backbone"], dict):
        options["backbone"] = {"name": str(tiny_seq2seq), **options["backbone"]}
    with pytest.raises(SettingsError, match=message):
        ac.adapt(source, source, out=tmp_path / "run", **options)


def test_empty_translations_are_refused(tiny_seq2seq, tmp_path):
    place = tmp_path / "source.jsonl"
    place.write_text('{"en": "a1 a2", "fr": "b1 b2"}\n{"en": "a1", "fr": " "}\n' * 20)
    with pytest.raises(DataError, match=r"20 of 40 rows have no value \(the first is row 2\)"):
        ac.adapt(place, place, out=tmp_path / "run", **{**OPTIONS, "backbone": str(tiny_seq2seq)})


def test_a_plain_baseline_that_is_better_is_told(tiny_seq2seq, tmp_path):
    """Here a translation is the text itself, and a network without training says something else."""
    place = tmp_path / "same.jsonl"
    rng = np.random.default_rng(0)
    texts = [" ".join(f"a{k}" for k in rng.integers(0, 20, 5)) for _ in range(60)]
    place.write_text("\n".join(json.dumps({"en": text, "fr": text}) for text in texts))
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), "method": "source_only", "tune": "frozen"}
    found = ac.adapt(place, out=tmp_path / "run", **options).evaluate(place, label="fr", force=True)
    assert any(
        note.startswith("the plain baseline copy is better than source_only: chrf 1 ") for note in found["notes"]
    )
