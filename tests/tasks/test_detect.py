from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import acclimate as ac
from acclimate.backbones import registry as backbones
from acclimate.domains.boxes import from_text, to_text, with_scores
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.read import read
from acclimate.domains.rows import ListRows
from acclimate.errors import DataError, SettingsError
from acclimate.tasks import registry as tasks
from acclimate.tasks.answers import Answers
from acclimate.tasks.detect import Detect
from acclimate.tasks.plain_boxes import Usual
from acclimate.training.model import Model
from acclimate.training.stream import Stream

pytest.importorskip("faster_coco_eval")
SMALL = {"name": "small_cnn", "size": 64}
QUICK = {"steps": 8, "batch_size": 4}
USUAL = Usual(("disc",), (1.0,), ((0.25, 0.25, 0.75, 0.75),), False)
STYLES = {"day": (0.0, 1.0), "haze": (60.0, 0.25), "glare": (100.0, 0.7)}
"""Brightness added and contrast of each style."""


def scene(rng, style, size):
    """An image of two or three bright discs and squares on a darker ground, none above another, and their boxes."""
    height, width = size
    down, across = np.mgrid[:height, :width]
    thing, boxes = np.zeros(size, dtype=bool), []
    for number in range(rng.integers(2, 4)):
        half = int(rng.integers(5, 9))
        x, y = (int(rng.integers(half + 1, side - half - 1)) for side in (width, height))
        box = [x - half, y - half, x + half + 1, y + half + 1]
        if thing[box[1] : box[3], box[0] : box[2]].any():
            continue
        kind = ("disc", "square")[number % 2]
        inside = (abs(across - x) <= half) & (abs(down - y) <= half)
        thing |= inside if kind == "square" else (across - x) ** 2 + (down - y) ** 2 <= half**2
        boxes.append([kind, *box])
    shift, contrast = STYLES[style]
    pixels = 110 + contrast * np.where(thing, 70.0, -30.0) + shift + rng.normal(0, 6, size)
    return np.clip(pixels, 0, 255).astype(np.uint8), boxes


def write(folder, n, style="day", seed=0, poison=False):
    """Images of two sizes and their boxes; poisoned boxes lie elsewhere, and every third image loses its boxes."""
    rng, listed = np.random.default_rng(seed), {}
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for k in range(n):
        image, boxes = scene(rng, style, ((64, 64), (48, 64))[k % 2])
        Image.fromarray(image).save(folder / "images" / f"{k:03}.png")
        wrong = [["square", 0, 0, 9, 9]] if k % 3 else []
        listed[f"{k:03}.png"] = {"boxes": wrong if poison else boxes}
    (folder / "annotations.json").write_text(json.dumps(listed))
    return folder


def domain(images, labels):
    rows = ListRows(np.array([*images, None], dtype=object)[:-1])
    ids = np.array([str(k).encode() for k in range(len(images))], dtype="S32")
    return Domain("scenes", Schema("image", label="boxes"), rows, ids, np.array([*labels, ""], dtype=object)[:-1])


def adapt(folder, method, name="run", **options):
    options = {"backbone": SMALL, "training": QUICK, "plain_baseline": False, **options}
    source, target = (str(folder / side) for side in ("source", "target"))
    return ac.adapt(source, target, task="detect", method=method, out=folder / name, force=True, **options)


def weights(run, arm):
    return (run.folder / "arms" / arm / "model" / "weights.safetensors").read_bytes()


def found(*rows):
    """Peaks as `brief` gives them: score, kind, x1, y1, x2, y2."""
    return np.array([rows], dtype=np.float32)


@pytest.fixture
def pair(tmp_path):
    write(tmp_path / "source", 12)
    write(tmp_path / "target", 8, "haze", seed=1)
    return tmp_path


def test_answers_by_hand():
    task = Detect(("disc", "square"), USUAL)
    frame = np.array([[0, 0, 2, 0, 40, 60]], dtype=np.float32)  # a canvas of half the image's resolution
    peaks = found(
        (0.9, 1, 0, 0, 10, 10),
        (0.8, 1, 0, 0, 10, 9),
        (0.3, 0, 25, 5, 40, 15),
        (0.1, 0, 0, 15, 5, 18),
        (0.04, 0, 0, 0, 5, 5),
        (0.9, 0, 31, 0, 35, 5),
    )
    answers = task.decode({"found": peaks, "frame": frame, "side": [32]})
    names, boxes, scores = with_scores(answers.prediction[0])
    assert names == ["square", "disc", "disc"] and scores.tolist() == [0.9, 0.3, 0.1]
    # the third ends at the image's border, the last one lies beyond it, and the second is covered by the first
    assert boxes.tolist() == [[0, 0, 20, 20], [50, 10, 60, 30], [0, 30, 10, 36]]
    assert answers.confidence.tolist() == pytest.approx([(0.9 + 0.3) / 2])
    faint = task.decode({"found": found((0.1, 0, 0, 0, 5, 5)), "frame": frame, "side": [32]})
    assert faint.confidence.tolist() == pytest.approx([0.9])


def test_the_surest_boxes_of_each_kind_teach():
    task = Detect(("disc", "square"), USUAL)
    box, other, third = (0, 0, 8, 8), (10, 0, 18, 8), (20, 0, 28, 8)
    peaks = np.concatenate([
        found((0.9, 0, *box), (0.5, 0, *other), (0.15, 1, *third)),
        found((0.4, 1, *box), (0.3, 1, *other), (0.25, 0, *third)),
        found((0.3, 0, *box), (0.1, 1, *other), (0.1, 0, *third)),
    ])  # fmt: skip
    frames = np.array([[0, 0, 1, 0, 32, 32]] * 3, dtype=np.float32)
    pseudo = task.surest({"found": peaks, "frame": frames, "side": [32] * 3}, 0.5, range(3))
    # of four discs two, of two squares one; what is below 0.2 is background, what is between is not known
    assert pseudo.rows.tolist() == [0, 1]
    assert [from_text(label)[0] for label in pseudo.labels] == [["disc", "disc"], ["square", "", ""]]
    assert pseudo.confidence == pytest.approx((0.9 + 0.5 + 0.4) / 3)
    nothing = task.surest({"found": peaks[2:] * 0.3, "frame": frames[2:], "side": [32]}, 1.0, range(1))
    assert len(nothing.rows) == len(nothing.labels) == 0 and nothing.confidence == 0


def test_sure_boxes_are_targets_where_they_lie_on_the_canvas():
    task, box, other = Detect(("disc", "square"), USUAL), (0, 0, 8, 8), (12, 4, 32, 20)
    outputs = {
        "heat": torch.full((3, 2, 8, 8), -9.0),
        "boxes": torch.zeros(3, 4, 8, 8),
        "cells": torch.zeros(3, 1, 8, 8),
        "frame": torch.tensor([[0, 0, 2, 0, 64, 64], [0, 0, 1, 1, 32, 32], [0, 0, 1, 0, 32, 32.0]]),
        "side": torch.full((3,), 32.0),
    }
    for row, kind, at, score, lies in (
        (0, 1, 1, 0.9, box),
        (0, 0, 5, 0.3, other),
        (1, 0, 5, 0.8, other),
        (2, 0, 1, 0.4, box),
    ):
        outputs["heat"][row, kind, at, at] = np.log(score / (1 - score))
        outputs["boxes"][row, :, at, at] = torch.tensor(lies, dtype=torch.float32)
    targets, sure = task.sure_targets(outputs, 0.5)
    # what is half sure is not known, and an image with nothing else does not count
    assert sure.tolist() == [1, 1, 0]
    assert targets[0].tolist() == [[1, *box], [-1, *other]]
    assert targets[1, 0].tolist() == [0, *other] and targets[1, 1, 0] == -1 and targets[2, 0].tolist() == [-1, *box]


def test_targets_follow_the_image(pair):
    source = read(pair / "source", label="boxes", shapes="boxes")
    task = Detect.from_domain(source)
    backbone = backbones.create("small_cnn", "image", {"size": 64, "augment": "crop_flip"})
    backbone.read_maps()
    batch = Stream("source", source, backbone, task, size=12, seed=0, views=("strong",)).batch(0)
    steps, flips = (set(batch.inputs["frame"][:, k].tolist()) for k in (2, 3))
    assert flips == {0.0, 1.0} and len(steps) > 6
    seen = 0
    for pixels, targets in zip(batch.inputs["pixels"][:, 0], batch.targets, strict=True):
        sizes = (targets[:, 3:] - targets[:, 1:3]).prod(1)
        assert (sizes[:-1] <= sizes[1:])[targets[1:, 0] >= 0].all()
        for kind, x1, y1, x2, y2 in targets[targets[:, 0] >= 0].tolist():
            inner = pixels[int((3 * y1 + y2) / 4) : int((y1 + 3 * y2) / 4) + 1, int((3 * x1 + x2) / 4) : int(x2)]
            assert inner.median() > pixels.median() + 0.3, task.kinds[int(kind)]
            seen += 1
    assert seen > 15


def test_what_a_crop_hardly_shows_is_not_there():
    task = Detect(("disc",), USUAL)
    frame = np.array([10, 0, 1, 0, 64, 64], dtype=np.float32)  # the first ten columns are cut off
    boxes = [("disc", [0, 0, 12, 10]), ("disc", [0, 20, 16, 30]), ("", [20, 0, 24, 4])]
    laid = task._laid(to_text(boxes), frame, 32)
    # a sixth is left of the first, 6 of 16 of the second
    assert laid.tolist() == [[-1, 10, 0, 14, 4], [0, 0, 20, 6, 30]]
    assert task._laid("[]", frame, 32).shape == (0, 5)


def test_regions_are_peaks_of_the_image_alone():
    task = Detect(("disc", "square"), USUAL)
    backbone = backbones.create("small_cnn", "image", {"size": 32})
    model = Model(backbone, task)
    wide = [np.zeros((8, 32), dtype=np.uint8), np.zeros((32, 32), dtype=np.uint8)]
    step = model(ac.domains.batch.Batch(backbone.collate(wide)))
    heat = step.outputs["heat"].amax(1)
    regions, chosen = step.sites["regions"], heat[0, :2].max()
    assert regions.owner.tolist() == sorted(regions.owner.tolist()) and set(regions.owner.tolist()) == {0, 1}
    mine = regions.probs[regions.owner == 0]
    assert mine[:, :2].amax(1).log().sub(mine[:, 2].log()).max().item() == pytest.approx(chosen.item(), abs=1e-4)
    assert torch.allclose(regions.probs.sum(1), torch.ones(len(regions.probs)))
    assert {name: width.probs for name, width in model.sites.items()} == {"features": 0, "regions": 3}


def test_plain_boxes_by_hand():
    image = np.full((40, 40), 60, dtype=np.uint8)
    image[10:20, 4:24] = 200
    bright = domain([image], [to_text([("disc", [4, 10, 24, 20])])])
    usual = Usual.of(bright)
    assert usual == Usual(("disc",), (1.0,), ((0.1, 0.25, 0.6, 0.5),), False)
    assert Usual.of(domain([255 - image], bright.labels)).dark
    task = Detect.from_domain(bright)
    assert tasks.restore(json.loads(json.dumps(task.config()))) == task
    small = ListRows(np.array([image[::2, ::2], None], dtype=object)[:-1])
    said = {name: from_text(answer.prediction[0])[1].tolist() for name, answer in task.baselines(small).items()}
    assert said == {"average": [[2, 5, 12, 10]], "blobs": [[2, 5, 12, 10]]}


def test_another_light_is_mended_that_source_only_fails_at(tmp_path):
    write(tmp_path / "source", 32)
    write(tmp_path / "target", 32, "glare", seed=1)
    training = {"steps": 80, "batch_size": 8, "learning_rate": 3e-3}
    run = adapt(tmp_path, {"name": "fda", "band": 0.02}, training=training)
    found = run.evaluate(tmp_path / "target")
    ap50 = {name: arm["metrics"]["ap50"] for name, arm in found["arms"].items()}
    assert ap50["source_only"] < 0.6 and ap50["fda"] > ap50["source_only"] + 0.1
    assert found["baselines"]["average"]["metrics"]["ap50"] < 0.1


def test_strength_zero_is_source_only_and_the_seed_decides(pair):
    run = adapt(pair, {"name": "dann", "strength": 0.0})
    assert weights(run, "dann") == weights(run, "source_only")
    assert weights(adapt(pair, {"name": "dann", "strength": 0.0}, "again"), "dann") == weights(run, "dann")
    moved = adapt(pair, "dann", "moved")
    from safetensors.numpy import load

    before, after = (load(weights(each, "dann")) for each in (run, moved))
    assert any(np.abs(before[k] - after[k]).max() > 1e-5 for k in before if k.startswith("backbone"))


def test_poisoned_boxes_of_the_target_change_nothing(pair):
    clean = adapt(pair, "self_training")
    write(pair / "target", 8, "haze", seed=1, poison=True)
    poisoned = adapt(pair, "self_training", "poisoned")
    assert weights(clean, "self_training") == weights(poisoned, "self_training")
    results = [json.loads((run.folder / "result.json").read_text()) for run in (clean, poisoned)]
    assert results[0]["decision"] == results[1]["decision"]


def test_saved_models_answer_alike_in_the_image_s_own_pixels(pair):
    run = adapt(pair, "source_only", training={"steps": 40, "batch_size": 4, "learning_rate": 3e-3})
    wide = np.asarray(Image.open(pair / "target" / "images" / "000.png").resize((150, 40)))
    Image.fromarray(wide).save(pair / "wide.png")
    model = ac.load(run.folder)
    first, second = (model.predict(pair / "wide.png") for _ in range(2))
    _, boxes = from_text(first["prediction"][0])
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 150 and boxes[:, 3].max() <= 40 and boxes[:, 2].max() > 64
    assert first.equals(second) and first["path"][0] == "wide.png"
    whole = model.predict(pair / "target")
    assert whole["path"].tolist() == [f"images/{k:03}.png" for k in range(8)]
    truth = read(pair / "target", label="boxes", shapes="boxes")
    scores = model._model.task.metrics(Answers(whole["prediction"].to_numpy()), truth.labels)
    assert scores == run.evaluate(pair / "target")["arms"]["source_only"]["metrics"]


def test_labels_that_fit_nothing(pair):
    source = read(pair / "source", label="boxes", shapes="boxes")
    image = np.zeros((32, 32), dtype=np.uint8)
    task = Detect.from_domain(source)
    assert task.kinds == ("disc", "square")
    stars = domain([image, image], [to_text([("star", [0, 0, 9, 9])]), "[]"])
    with pytest.raises(DataError, match="shows 'star', and images of the source show disc, square"):
        task.check(stars)
    task.check(stars, learned=False)
    assert task.remarks(stars) == ("scenes: 1 of 2 images show no object",)
    with pytest.raises(DataError, match="none of 1 images shows an object"):
        Detect.from_domain(domain([image], ["[]"]))
    with pytest.raises(DataError, match="an object has no name"):
        Detect.from_domain(domain([image], [to_text([("", [0, 0, 9, 9])])]))
    with pytest.raises(DataError, match="is text; objects are detected in images"):
        Detect.from_domain(read(["a", "b"]))
    with pytest.raises(DataError, match="not boxes as text"):
        task.check(domain([image], ['[{"box": [1, 2], "label": "disc"}]']))


def test_images_without_objects_are_learned_as_background(pair):
    listed = json.loads((pair / "source" / "annotations.json").read_text())
    for name in list(listed)[:4]:
        listed[name]["boxes"] = []
    (pair / "source" / "annotations.json").write_text(json.dumps(listed))
    run = adapt(pair, "source_only")
    notes = json.loads((run.folder / "result.json").read_text())["data"]["notes"]
    assert any("4 of 12 images show no object" in note for note in notes)


@pytest.mark.parametrize("method", ["mmd", "tent", "self_training", "dann+mcc", "dann+mean_teacher"])
def test_methods_work_as_they_are(pair, method):
    backbone = {"name": "conv4", "size": 32, "width": 8}
    training = {"steps": 30 if method == "self_training" else 4, "batch_size": 4, "learning_rate": 1e-2}
    settings = {"mean_teacher": {"threshold": 0.05}} if "teacher" in method else {}
    run = adapt(pair, {"name": method, **settings}, backbone=backbone, training=training)
    assert weights(run, method) != weights(run, "source_only")
    assert set(run.evaluate(pair / "target")["arms"]) == {"source_only", method}


def test_boxes_of_other_names_leave_the_seal_closed(pair):
    run, place = adapt(pair, "source_only"), pair / "target" / "annotations.json"
    place.write_text(place.read_text().replace('"disc"', '"plate"').replace('"square"', '"tile"'))
    with pytest.raises(DataError, match="Labels: plate, tile; the model knows disc, square"):
        run.evaluate(pair / "target")
    assert ac.Run(run.folder).result["seal"]["opened"] == 0


def test_methods_that_need_classes_are_refused(pair):
    with pytest.raises(SettingsError, match="method 'bbse' needs classes, and task 'detect' has none"):
        adapt(pair, "bbse")
    with pytest.raises(SettingsError, match="'fixmatch' needs parts that are found again in another view"):
        adapt(pair, "fixmatch")
