"""Explanations of answers that are no classes: places in texts, tags, masks, texts that are written or spelled."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import acclimate as ac
from acclimate.backbones import registry
from acclimate.domains.boxes import to_text
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.read import read
from acclimate.domains.rows import ListRows
from acclimate.errors import SettingsError
from acclimate.runs.report.explain import SCORES
from acclimate.runs.report.explained import row
from acclimate.runs.report.words import Words
from acclimate.runs.sentences import SentenceFeatures
from acclimate.tasks.answer import Answer
from acclimate.tasks.base import Task
from acclimate.tasks.detect import Detect
from acclimate.tasks.plain_boxes import Usual
from acclimate.tasks.queries import DetectByQueries
from acclimate.tasks.rank import Rank
from acclimate.tasks.registry import TASKS, find
from acclimate.tasks.regress import Regress
from acclimate.tasks.segment import Segment
from acclimate.tasks.summarize import Summarize
from acclimate.tasks.tag import Tag
from acclimate.tasks.thresholds import Look
from acclimate.tasks.transcribe import Transcribe
from acclimate.tasks.translate import Translate
from acclimate.tasks.verify import Verify
from acclimate.training.device import Place
from acclimate.training.infer import infer
from acclimate.training.model import Model
from acclimate.trust.explain.explain import Explanation, explain

NOTHING = Usual((), (), (), False)
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


def test_boxes_that_are_found_again_elsewhere_or_less_surely_count_less():
    """Of three versions of an image: as it was, moved by half its width, and of another kind."""
    task = DetectByQueries(("cat", "dog"), NOTHING)
    answer = to_text([("dog", [0, 0, 10, 10]), ("dog", [20, 20, 30, 30]), ("cat", [0, 0, 9, 9])], [0.9, 0.8, 0.1])
    frame = torch.tensor([[0.0, 0, 1, 0, 32, 32]])
    kinds, boxes = task.goal(answer, None, {"pixels": torch.zeros(1, 3, 32, 32), "frame": frame})
    assert kinds == [1, 1] and boxes.tolist() == [[0, 0, 10, 10], [20, 20, 30, 30]]
    places = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 30, 30]]]).repeat(3, 1, 1)
    places[1, 0] += torch.tensor([5.0, 0, 5, 0])
    scores = torch.tensor([[0.0, 0.9], [0.0, 0.8]]).repeat(3, 1, 1)
    scores[2] = scores[2].flip(1)
    outputs = {"scores": scores, "boxes": places, "frame": frame, "side": torch.tensor([32.0])}
    assert task.score(outputs, (kinds, boxes)).tolist() == pytest.approx([0.85, (0.9 / 3 + 0.8) / 2, 0.0])
    assert task.score(outputs, ([], boxes[:0])).tolist() == pytest.approx([-0.9] * 3)


def test_boxes():
    """Gradients reach the patches, of an image with a box and of one without."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 40, size=(2, 64, 64, 3), dtype=np.uint8)
    model = Model(registry.create("small_cnn", "image", {"size": 64}), Detect(("disc",), NOTHING), seed=1)
    answer = to_text([("disc", [8, 8, 40, 40])], [0.9])
    found = explain(model, read(images, modality="image"), [answer, "[]"], CPU, judged=1)
    assert [each.how for each in found] == ["integrated_gradients"] * 2 and len(found[0].parts) == 64
    assert 0 <= found[0].whole <= 1 and -1 <= found[1].whole <= 0 and found[0].scores.any()


def test_the_page_draws_the_boxes_of_the_answer_where_they_are():
    """On the picture and on the heat map, scaled with the canvas; a box that the answer is unsure of is left out."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 30, size=(1, 48, 96, 3), dtype=np.uint8)
    model = Model(registry.create("small_cnn", "image", {"size": 64}), Detect(("disc",), NOTHING), seed=1)
    answer = to_text([("disc", [24, 12, 72, 36]), ("disc", [2, 2, 20, 10])], [0.9, 0.1])
    (found,) = explain(model, read(images, modality="image"), [answer], CPU, judged=0)
    told = {"row": 0, "file": "a.png", "ids": None, "answer": answer, "prediction": answer, "score": 0.0}
    pictures = row({**told, "score_without_parts": 0.0}, found, Words("en"), "boxes")["pictures"]
    for picture in pictures:
        data = base64.b64decode(picture["uri"].partition(",")[2])
        green = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        green = green[..., 1] - green[..., [0, 2]].max(axis=-1) > 25
        rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
        drawn = (columns[0], rows[0], columns[-1], rows[-1])
        assert np.abs(np.array(drawn) - np.array([48, 24, 144, 72])).max() <= 3  # 96 pixels are 192 wide here


def test_who_somebody_is_and_that_somebody_is_unknown():
    """People along the first and the second column; the third says nothing."""
    domain = read(np.array([[3.0, 1, 0.5], [0.2, 0.1, 5.0], [1.0, 4, 2.0]]))
    backbone = registry.create("columns", "array", {"standardize": False})
    backbone.fit(domain)
    model = Model(backbone, Verify(("ann", "bob")), seed=0)
    model.head.centres.copy_(torch.eye(2, 3))
    model.head.threshold.fill_(0.5)
    found = explain(model, domain, ["ann", "unknown", "bob"], CPU, judged=0)
    assert [each.parts.names[int(each.scores.argmax())] for each in (found[0], found[2])] == ["1", "2"]
    assert found[1].scores[2] > 0
    assert found[0].whole == pytest.approx(3 / np.linalg.norm([3, 1, 0.5]), abs=1e-5)
    assert found[1].whole == pytest.approx(-0.2 / np.linalg.norm([0.2, 0.1, 5.0]), abs=1e-5)
    assert model.task.explainable == ("ann", "bob")


def test_a_random_head_has_people_elsewhere():
    """The score of a person rests on where training rows lay, and not on the weights of the loss."""
    rng = np.random.default_rng(0)
    domain = read(rng.normal(size=(3, 8)))
    backbone = registry.create("columns", "array", {"standardize": False})
    backbone.fit(domain)
    model = Model(backbone, Verify(("ann", "bob", "cat")), seed=0)
    model.head.centres.copy_(torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(3, 8))).float(), dim=-1))
    before = model.head.centres.clone()
    found = explain(model, domain, ["ann", "bob", "cat"], CPU)
    assert np.mean([each.head for each in found]) < 0.5
    assert torch.equal(model.head.centres, before)


def test_who_had_every_item_is_told_nothing():
    task = Rank(("a", "b"), (0, 1))
    scores = torch.tensor([[2.0, 0.0]])
    assert task.goal("[]", None, None) is None
    assert task.score({"scores": scores}, None).tolist() == [0.0]
    first = task.score({"scores": scores}, task.goal('["a", "b"]', None, None))
    assert first.tolist() == pytest.approx([float(scores.log_softmax(1)[0, 0])])


def test_an_item_is_offered_for_what_its_user_had(tmp_path, own_cache):
    """Who had a wants x, who had b wants y; that somebody had c says nothing."""
    rng, source, target = np.random.default_rng(0), ["user,item"], ["user,item"]
    for k in range(120):
        source += [f"u{k},{'ab'[k % 2]}"] + [f"u{k},c{j}" for j in rng.permutation(6)[:3]]
        target += [f"u{k},{'xy'[k % 2]}"] if k < 100 else []
        target += [f"u{k},z{j}" for j in rng.permutation(6)[:2]] if k < 100 else []
    for name, lines in (("source", source), ("target", target)):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    (tmp_path / "new.csv").write_text("user\n" + "\n".join(f"u{k}" for k in range(100, 120)))
    run = ac.adapt(
        tmp_path / "source.csv", tmp_path / "target.csv", task="rank", user="user", item="item", method="joint",
        target_label="item", tune="full", device="cpu", out=tmp_path / "run",
    )  # fmt: skip
    told = ac.explain(run, tmp_path / "new.csv", out=tmp_path / "out", answer="x")
    best = [max(row["parts"], key=lambda part: part["score"])["name"] for row in told["rows"] if row["row"] % 2 == 0]
    assert best.count("a") >= 8, best
    assert told["faithfulness"]["better_than_random"] == "yes"
    assert told["rows"][0]["ids"] == ["u100"]
    own = ac.explain(run, tmp_path / "new.csv", out=tmp_path / "own", limit=1)["rows"][0]
    first = json.loads(own["answer"])[0]
    asked = ac.explain(run, tmp_path / "new.csv", out=tmp_path / "asked", limit=1, answer=first)["rows"][0]
    with pytest.raises(SettingsError, match="unknown item 'nothing'"):
        ac.explain(run, tmp_path / "new.csv", out=tmp_path / "asked", limit=1, answer="nothing")
    assert own["parts"] == asked["parts"], "of a list it is the first item that is explained"


def test_of_several_numbers_the_one_farthest_from_its_mean_or_the_one_named(tmp_path):
    """The first number is of column a, the second, in other units, of column b."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 3))
    frame = pd.DataFrame(values, columns=["a", "b", "c"])
    numbers = np.column_stack([3 * values[:, 0], 5000 + 1000 * values[:, 1]])
    frame["y"] = [json.dumps(list(map(float, each))) for each in numbers]
    options = {"input": ["a", "b", "c"], "label": "y", "backbone": "columns", "task": "regress"}
    run = ac.adapt(frame, out=tmp_path / "run", **options)
    rows = pd.DataFrame([[2.5, 0.1, 0.3], [0.1, -2.5, 0.3]], columns=["a", "b", "c"])
    first, second = ac.explain(run, rows, out=tmp_path / "far")["rows"]
    assert [max(each["parts"], key=lambda part: abs(part["score"]))["name"] for each in (first, second)] == ["a", "b"]
    assert first["score"] == pytest.approx(7.5, abs=0.3) and second["score"] == pytest.approx(2500, abs=100)
    assert [each["answer"] for each in (first, second)] == ["1", "2"] and len(first["prediction"]) == 2
    named = ac.explain(run, rows, out=tmp_path / "named", answer="2")["rows"][0]
    assert max(named["parts"], key=lambda part: abs(part["score"]))["name"] == "b"
    with pytest.raises(SettingsError, match="unknown number '3'; known: 1, 2"):
        ac.explain(run, rows, out=tmp_path / "none", answer="3")


def test_without_a_sentence_the_others_are_those_of_a_text_that_never_had_it(tiny_text, own_cache):
    texts = ["W w1 good. W w2. W w3 bad film.", "W w1 good. W w3 bad film."]
    backbone = registry.create(str(tiny_text), "text", {}).eval()
    reading = SentenceFeatures(backbone, (backbone.spec.default,), CPU)
    rows = reading.of(read(texts))[backbone.spec.default].rows
    model = Model(reading.reader(backbone.spec.default), Summarize(0.5), seed=1).eval()
    cut = model.backbone.parts(rows.take(np.array([0]))).inputs(np.array([[True, False, True]]))
    short = model.backbone.collate(rows.take(np.array([1])))
    with torch.no_grad():
        one, two = (model.task.outputs(model.head, model.features(each)) for each in (cut, short))
    assert one["chosen"][0, [0, 2]].tolist() == pytest.approx(two["chosen"][0].tolist(), abs=1e-6)
    assert one["places"][0, 1].tolist() == [-1, -1]


def test_every_task_names_the_score_that_is_explained():
    assert {find(name).explained for name in TASKS} <= set(SCORES)
    assert find("regress", several=True).explained in SCORES
    assert Regress(1.0, 2.0).score({"value": torch.tensor([0.0])}, 5.0).tolist() == [1.0]
