"""Explanations of answers that are no classes: places in texts, tags, masks, texts that are written or spelled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.backbones import registry
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.read import read
from acclimate.domains.rows import ListRows
from acclimate.runs.report.explain import SCORES
from acclimate.tasks.answer import Answer
from acclimate.tasks.base import Task
from acclimate.tasks.registry import TASKS, find
from acclimate.tasks.regress import Regress
from acclimate.tasks.segment import Segment
from acclimate.tasks.tag import Tag
from acclimate.tasks.thresholds import Look
from acclimate.tasks.transcribe import Transcribe
from acclimate.tasks.translate import Translate
from acclimate.training.device import Place
from acclimate.training.infer import infer
from acclimate.training.model import Model
from acclimate.trust.explain.explain import Explanation, explain

CPU = Place(torch.device("cpu"), "fp32")


def explained(backbone, task: Task, domain) -> tuple[Model, list[Explanation]]:
    """Explanations of what a fresh model answers; all parts together and what is left add up by the rules of each."""
    model = Model(backbone, task, seed=1)
    model.eval()
    said = task.decode(infer(model, domain, CPU), rows=domain.rows).prediction
    found = explain(model, domain, list(said), CPU, judged=1)
    for each in found:
        assert np.isfinite(each.scores).all() and each.whole <= 1e-6  # a log-probability
        if each.how == "integrated_gradients":
            assert each.scores.sum() == pytest.approx(each.whole - each.blank, abs=0.05)
    assert found[0].curves is not None and len(found[0].parts) == len(found[0].scores)
    return model, found


def test_an_answer_and_its_question(tiny_text):
    domain = read(["w1 w2\nw3 good w4 film", "w5\nw6 bad"])
    backbone = registry.create(str(tiny_text), "text", {})
    model, found = explained(backbone, Answer(False), domain)
    assert found[0].parts.names == ("w1", "w2", "w3", "good", "w4", "film")
    assert found[0].how == "integrated_gradients" and found[0].head is not None
    goal = model.task.goal(found[0].answer, domain.select(np.array([0])).rows, None)
    with torch.no_grad():
        outputs = model.eval().task.outputs(model.head, model.features(backbone.collate(["w1 w2\nw3 good w4 film"])))
    assert found[0].whole == pytest.approx(-float(model.task.loss(outputs, goal)), abs=1e-4)


def test_tags(tiny_text):
    domain = read(["w1 good film", "bad w2"])
    backbone = registry.create(str(tiny_text), "text", {})
    _, found = explained(backbone, Tag(("A", "O"), {}), domain)
    assert found[0].parts.names == ("w1", "good", "film")


def test_texts_that_are_written(tiny_seq2seq):
    domain = read(["a1 a2 a3", "a4 a5"])
    backbone = registry.create(str(tiny_seq2seq), "text", {})
    _, found = explained(backbone, Translate(), domain)
    assert found[0].how == "occlusion" and found[0].scores.any()


def test_transcripts():
    rng = np.random.default_rng(0)
    sounds = np.empty(2, dtype=object)
    sounds[:] = [(rng.normal(size=8000).astype(np.float32), 16_000) for _ in range(2)]
    domain = Domain("sounds", Schema("audio"), ListRows(sounds), np.array([b"a", b"b"], dtype="S32"))
    backbone = registry.create("logmel_cnn", "audio", {"seconds": 0.6, "bands": 16, "width": 4})
    _, found = explained(backbone, Transcribe("ab"), domain)
    assert found[0].parts.form == "spectrogram"


def test_masks():
    rng = np.random.default_rng(0)
    domain = read(rng.integers(0, 255, size=(2, 40, 40), dtype=np.uint8), modality="image")
    backbone = registry.create("small_cnn", "image", {"size": 32})
    _, found = explained(backbone, Segment(("background", "disc"), Look("background")), domain)
    assert len(found[0].parts) == 64 and found[0].how == "integrated_gradients"


def test_which_tasks_can_be_explained():
    """What has no one score says so by an empty `explained`; numbers and classes have theirs."""
    forms = {find(name).name for name in TASKS if find(name).explained}
    assert {find(name).explained for name in TASKS if find(name).explained} <= set(SCORES)
    assert {"classify", "regress", "multilabel", "answer", "tag", "translate", "transcribe", "segment"} <= forms
    assert not forms & {"detect", "rank", "verify", "verify_speaker"}
    assert not find("regress", several=True).explained
    assert Regress(1.0, 2.0).score({"value": torch.tensor([0.0])}, 5.0).tolist() == [1.0]
