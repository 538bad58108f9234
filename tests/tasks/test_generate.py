"""Language models: likelihoods by the network itself, pieces of long texts, metrics by hand, and a domain learned."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import acclimate as ac
from acclimate.backbones.registry import create
from acclimate.backbones.writer import IGNORED, unlikely
from acclimate.cli.main import main
from acclimate.domains.batch import Batch
from acclimate.errors import DataError, SettingsError
from acclimate.tasks.answers import Answers
from acclimate.tasks.generate import Generate
from acclimate.tasks.writing import strings
from acclimate.training.model import Model

OPTIONS = {"task": "generate", "input": "text", "device": "cpu", "precision": "fp32"}
TRAINING = {"epochs": 15, "learning_rate": 3e-3, "batch_size": 32}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture
def make(tiny_lm):
    def model(**settings):
        return Model(create(str(tiny_lm), "text", settings, writes=True), Generate()).eval()

    return model


def labels(*texts):
    return np.array(texts, dtype=object)


def counted(place, n, step, seed):
    """A file of texts that count in steps."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(n):
        start, many = rng.integers(0, 40), rng.integers(8, 15)
        lines.append(json.dumps({"text": " ".join(f"w{(start + step * k) % 40}" for k in range(many))}))
    place.write_text("\n".join(lines))
    return place


def test_a_text_is_as_likely_as_the_network_says(make):
    """Prompts of unlike length share a batch; the end of the text is a token too."""
    model = make()
    inputs = model.backbone.collate(["w1 w2 w3", "w9"])
    said = model(Batch(inputs, model.task.encode(labels("w4 w5", "w6 w7 w8")))).outputs
    for row, (prompt, text) in enumerate([([0, 3, 4, 5], [6, 7, 0]), ([0, 11], [8, 9, 10, 0])]):
        ids = torch.tensor([prompt + text])
        right = ids.clone()
        right[:, : len(prompt)] = IGNORED
        mean = model.backbone.network(input_ids=ids, labels=right).loss
        assert said["tokens"][row] == len(text)
        torch.testing.assert_close(said["nats"][row], mean * len(text))


def test_the_loss_of_training_is_the_mean_of_the_same(make):
    model = make()
    batch = Batch(model.backbone.collate(["w1", ""]), model.task.encode(labels("w4 w5", "w6")))
    said = model(batch).outputs
    taught = model.train()(batch)
    assert taught.loss is not None
    torch.testing.assert_close(taught.loss, said["nats"] / said["tokens"])


def test_a_long_text_is_cut_into_pieces_each_after_the_prompt(make):
    model = make(max_length=8)
    words = [f"w{k}" for k in range(20)]
    whole = model(Batch(model.backbone.collate(["w9", "w9"]), model.task.encode(labels(" ".join(words), "w1")))).outputs
    assert whole["tokens"].tolist() == [21, 2]
    nats = 0.0
    ids = [*range(2, 22), 0]
    for piece in (ids[:8], ids[8:16], ids[16:]):
        right = torch.tensor([[IGNORED, IGNORED, *piece]])
        nats += float(model.backbone.network(input_ids=torch.tensor([[0, 11, *piece]]), labels=right).loss) * len(piece)
    assert float(whole["nats"][0]) == pytest.approx(nats, rel=1e-5)


class Largest(TorchDispatchMode):
    """Remembers how many rows of ``width`` numbers the largest tensor holds that is made inside."""

    def __init__(self, width):
        super().__init__()
        self.width, self.rows = width, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        made = [one for one in tree_leaves(found) if isinstance(one, torch.Tensor) and self.width in one.shape]
        self.rows = max([self.rows, *(one.numel() // self.width for one in made)])
        return found


def test_one_long_text_takes_no_room_for_the_short_ones_beside_it(make):
    """Ten pieces and nine are at most a batch of ten at a time, and their gradients are those of all at once."""
    model = make(max_length=8).train()
    texts = labels(" ".join(f"w{k % 40}" for k in range(79)), *["w1"] * 9)
    batch = Batch(model.backbone.collate([""] * 10), model.task.encode(texts))
    with Largest(model.backbone.network.config.vocab_size) as logits:
        model(batch).loss.mean().backward()
    assert 10 * 8 <= logits.rows <= 10 * (8 + 1)
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    writer = model.backbone.writer()
    values = model.backbone(batch.inputs)[model.layer]
    whole, ids = writer.teach(values, batch.inputs["attention_mask"].bool(), strings(batch.targets.numpy()))
    nats, tokens = unlikely(whole, ids)
    (nats / tokens).mean().backward()
    torch.testing.assert_close({name: p.grad for name, p in model.named_parameters() if p.grad is not None}, found)


def test_what_is_written_follows_the_prompt_likeliest_first(make):
    model = make(written=5)
    inputs = model.backbone.collate(["w1 w2 w3", "w9"])
    answers = model.task.decode({name: value.detach().numpy() for name, value in model(Batch(inputs)).outputs.items()})
    for row, prompt in enumerate(([0, 3, 4, 5], [0, 11])):
        ids = list(prompt)
        for _ in range(5):
            ids.append(int(model.backbone.network(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == 0:
                break
        assert answers.prediction[row] == model.backbone.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)


def test_activations_computed_anew_give_the_same_gradients(make):
    found = []
    for checkpointing in (False, True):
        model = make(checkpointing=checkpointing).train()
        batch = Batch(model.backbone.collate(["w1"]), model.task.encode(labels("w4 w5")))
        model(batch).loss.mean().backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert len(found[0]) > 20
    torch.testing.assert_close(found[0], found[1])


def test_bits_and_perplexity_are_of_all_texts_as_one():
    answers = Answers(labels("", ""), likelihood=np.array([[4.0, 2], [2.0, 4]]))
    found = Generate().metrics(answers, labels("abcd", "é"))
    assert found["bits_per_byte"] == pytest.approx(6 / math.log(2) / 6)
    assert found["perplexity"] == pytest.approx(math.exp(1))
    weighted = Generate().weighted_metrics(answers, labels("abcd", "é"))(np.array([1.0, 0]))
    assert weighted["perplexity"] == pytest.approx(math.exp(2))
    nothing = Generate().metrics(Answers(labels("", "")), labels("abcd", "é"))
    assert nothing == pytest.approx({"bits_per_byte": 8, "perplexity": 256})


def test_continued_pretraining_learns_the_target_and_the_record_says_what_is_forgotten(tiny_lm, tmp_path):
    source = counted(tmp_path / "source.jsonl", 300, 1, 0)
    target = counted(tmp_path / "target.jsonl", 150, 3, 1)
    fresh = counted(tmp_path / "fresh.jsonl", 60, 3, 2)
    run = ac.adapt(source, target, out=tmp_path / "run", backbone=str(tiny_lm), training=TRAINING, **OPTIONS)
    arms = {name: arm["metrics"]["bits_per_byte"] for name, arm in run.evaluate(fresh, force=True)["arms"].items()}
    assert arms["finetune"] < 0.6 < arms["plain"] < arms["source_only"]
    before, after = (
        json.loads((tmp_path / "run" / "arms" / name / "arm.json").read_text())["source_validation"]["metrics"]
        for name in ("source_only", "finetune")
    )
    assert after["perplexity"] > 10 * before["perplexity"], "the source is forgotten, and it is written down"
    said = run.predict(fresh)["prediction"]
    assert said.map(bool).any()


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_instructions_are_learned_after_their_prompts(tiny_lm, tmp_path, tune):
    """The answer to wJ wK is w(K+1), which is taught by pairs; what is saved says the same."""
    rng = np.random.default_rng(0)
    pairs = [
        (f"w{j} w{k}", f"w{k + 1}") for j, k in zip(rng.integers(20, 40, 400), rng.integers(0, 19, 400), strict=True)
    ]
    place = tmp_path / "pairs.jsonl"
    place.write_text("\n".join(json.dumps({"text": a, "reply": b}) for a, b in pairs))
    options = {**OPTIONS, "label": "reply", "method": "source_only", "tune": tune}
    training = {**TRAINING, "learning_rate": 3e-3 if tune == "full" else 3e-2, "epochs": 20}
    run = ac.adapt(place, out=tmp_path / "run", backbone=str(tiny_lm), training=training, **options)
    said = run.predict([{"text": "w33 w3"}, {"text": "w20 w17"}])["prediction"].tolist()
    if tune == "full":
        assert said == ["w4", "w18"]
    found = run.evaluate(place, label="reply", force=True)["arms"]
    share = 0.3 if tune == "full" else 0.95  # adapters of a network that knows nothing can do little
    assert found["source_only"]["metrics"]["bits_per_byte"] < share * found["plain"]["metrics"]["bits_per_byte"]
    assert ac.load(tmp_path / "run").predict([{"text": "w33 w3"}, {"text": "w20 w17"}])["prediction"].tolist() == said


def test_poisoned_texts_that_follow_in_the_target_change_nothing(tiny_lm, tmp_path):
    options = {**OPTIONS, "label": "reply", "method": "source_only", "training": {**TRAINING, "epochs": 1}}
    weights = []
    for name, reply in (("clean", "w5"), ("poisoned", "w6 w7")):
        place = tmp_path / f"{name}.jsonl"
        place.write_text("\n".join(json.dumps({"text": f"w{k} w39", "reply": reply}) for k in range(30)))
        source = tmp_path / "clean.jsonl"
        run = ac.adapt(source, place, out=tmp_path / f"run_{name}", backbone=str(tiny_lm), **options)
        weights.append((run.folder / "arms" / "source_only" / "model" / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_what_cannot_be_is_refused(tiny_lm, tiny_text, tmp_path):
    source = counted(tmp_path / "source.jsonl", 40, 1, 0)
    with pytest.raises(SettingsError, match="task 'generate' has none that could be moved"):
        ac.adapt(source, source, out=tmp_path / "a", backbone=str(tiny_lm), method="dann", **OPTIONS)
    with pytest.raises(DataError, match=r"would be random|cannot load the weights"):
        ac.adapt(source, source, out=tmp_path / "b", backbone=str(tiny_text), **OPTIONS)
    with pytest.raises(SettingsError, match="writes no texts"):
        ac.adapt(source, source, out=tmp_path / "c", backbone="ngrams", **OPTIONS)


def test_a_domain_alone_is_learned_and_the_output_speaks_of_no_labels(tiny_lm, tmp_path, capsys):
    target = counted(tmp_path / "target.jsonl", 60, 3, 1)
    words = ["--task", "generate", "--target", str(target), "--input", "text", "--backbone", str(tiny_lm)]
    assert main(["adapt", *words, "--method", "target_only", "-o", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err
    assert "what was read of the target was learned" in said and "--data HELD_OUT_FILE" in said
    assert "seal" not in said and "--label" not in said


def test_a_folder_without_a_tokenizer_and_an_encoder_are_refused(tiny_lm, tmp_path):
    """Transformers makes an empty tokenizer of nothing, and a decoder that sees what comes after of BERT."""
    from transformers import BertConfig, BertLMHeadModel

    bare, both_ways = tmp_path / "bare", tmp_path / "both_ways"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((tiny_lm / name).read_bytes())
    shutil.copytree(tiny_lm, both_ways)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertLMHeadModel(BertConfig(vocab_size=42, **sizes)).save_pretrained(both_ways)
    with pytest.raises(DataError, match="no tokenizer is there"):
        create(str(bare), "text", writes=True)
    with pytest.raises(DataError, match="sees what comes after, as encoders do"):
        create(str(both_ways), "text", writes=True)


def test_a_model_that_writes_has_to_be_named(tmp_path):
    source = counted(tmp_path / "source.jsonl", 40, 1, 0)
    with pytest.raises(SettingsError, match="name a model that does with --backbone"):
        ac.adapt(source, source, out=tmp_path / "run", **OPTIONS)
