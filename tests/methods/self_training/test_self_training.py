"""Self-training: what is written and kept, what is learned from it, and a gain on words that are known half."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import acclimate as ac
from acclimate.backbones.registry import create
from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.methods import SelfTraining
from acclimate.tasks.translate import Translate
from acclimate.training.model import Model

OPTIONS = {"task": "translate", "input": "en", "label": "fr", "device": "cpu", "precision": "fp32"}
TRAINING = {"epochs": 12, "learning_rate": 5e-3, "batch_size": 32}


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


class Says:
    """A reader whose model writes given texts."""

    def __init__(self, said):
        self.said = said

    def outputs(self, domain):
        found = [self.said[text] for text in domain.rows.take(np.arange(len(domain)))]
        texts = Translate().encode(np.array([text for text, _ in found], dtype=object)).numpy()
        return {"text": texts, "sure": np.log([sure for _, sure in found])}


def kept(share, said):
    frame = pd.DataFrame({"en": list(said)})
    target = ac.read(frame, input="en", modality="text")
    streams = {}
    model = type("Model", (), {"task": Translate()})
    record = SelfTraining(share=share)._answer(target, streams, model, Says(said))
    if "target" not in streams:
        return record, {}
    domain = streams["target"]
    return record, dict(zip(domain.rows.take(np.arange(len(domain))), domain.labels, strict=True))


def test_the_surest_are_kept_and_empty_ones_never():
    said = {"a": ("A", 0.9), "b": ("B", 0.2), "c": (" ", 0.99), "d": ("D", 0.5)}
    record, found = kept(0.5, said)
    assert found == {"a": "A", "d": "D"}
    assert record == {"answered": 4, "kept": 2, "confidence": 0.7}
    assert kept(1.0, said)[1] == {"a": "A", "b": "B", "d": "D"}
    assert kept(1.0, {"a": ("", 0.9)}) == ({"answered": 1, "kept": 0, "confidence": 0.0}, {})


def test_the_loss_is_that_of_both(tiny_seq2seq):
    model = Model(create(str(tiny_seq2seq), "text"), Translate()).eval()

    def batch(text, said=None):
        targets = None if said is None else model.task.encode(np.array([said], dtype=object))
        return Batch(model.backbone.collate([text]), targets)

    step = type("Pass", (), {"run": staticmethod(model)})
    one, other = batch("a1 a2", "b1 b2"), batch("a3", "b3")
    found = SelfTraining(strength=0.5).objective(step, {"source": one, "target": other})
    torch.testing.assert_close(found["task"], model(one).loss.mean())
    torch.testing.assert_close(found["pseudo"], 0.5 * model(other).loss.mean())
    alone = SelfTraining().objective(step, {"source": one, "target": batch("a3")})
    assert set(alone) == {"task"}, "nothing was written that could teach"


def test_its_own_texts_make_it_better(sentences, tiny_seq2seq, tmp_path):
    """The target has the words that the source knows less well; beside source_only, trained as long on the source."""
    usual = sentences(tmp_path / "usual.jsonl", 150, 0, 14, 0).read_text()
    rare = sentences(tmp_path / "rare.jsonl", 150, 10, 20, 3).read_text()
    source = tmp_path / "source.jsonl"
    source.write_text(usual + "\n" + rare)
    target = sentences(tmp_path / "target.jsonl", 600, 12, 20, 1, right=False)
    fresh = sentences(tmp_path / "fresh.jsonl", 60, 12, 20, 2)
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), "training": TRAINING, "method": "self_training"}
    run = ac.adapt(source, target, out=tmp_path / "run", **options)
    found = run.evaluate(fresh, label="fr")["arms"]
    taught, before = (found[name]["metrics"]["chrf"] for name in ("self_training", "source_only"))
    assert taught > before + 0.03
    (arm,) = [arm for arm in run.result["arms"] if arm["name"] == "self_training"]
    assert arm["stages"][1]["answered"] == 600 and arm["stages"][1]["kept"] == 300


def test_poisoned_labels_and_another_order_change_nothing(sentences, tiny_seq2seq, tmp_path):
    source = sentences(tmp_path / "source.jsonl", 100, 0, 14, 0)
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), "training": {**TRAINING, "epochs": 2}}
    weights = []
    for name, right in (("clean", True), ("poisoned", False)):
        target = sentences(tmp_path / f"{name}.jsonl", 64, 6, 20, 1, right)
        if not right:
            target.write_text("\n".join(target.read_text().split("\n")[::-1]))
        run = ac.adapt(source, target, out=tmp_path / f"run_{name}", method="self_training", **options)
        weights.append((run.folder / "arms" / "self_training" / "model" / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tune": "frozen"}, "trains the backbone; use --tune full"),
        ({"method": {"name": "self_training", "share": 0}}, r"share must lie in \(0, 1\]"),
        ({"task": "classify", "backbone": "ngrams"}, "task 'classify' gives none"),
    ],
)
def test_what_cannot_be_is_refused(sentences, tiny_seq2seq, tmp_path, change, message):
    source = sentences(tmp_path / "source.jsonl", 40, 0, 14, 0)
    options = {**OPTIONS, "backbone": str(tiny_seq2seq), "method": "self_training", **change}
    with pytest.raises(SettingsError, match=message):
        ac.adapt(source, source, out=tmp_path / "run", **options)
