"""Masks and boxes that are drawn for the page."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from acclimate.domains import boxes, masks
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.rows import ListRows
from acclimate.runs.report.changed import changed
from acclimate.runs.report.drawn import COLOURS, apart, draw, told
from acclimate.runs.report.kept import _changed
from acclimate.runs.report.words import Words
from acclimate.tasks.segment import Segment
from acclimate.tasks.thresholds import Look

NAMES = ("ground", "disc")


def mask(columns: int) -> str:
    """Of 8 by 8 pixels, so many columns from the left are disc."""
    values = np.zeros((8, 8), dtype=int)
    values[:, :columns] = 1
    return masks.to_text(values, NAMES)


def texts(*labels: str) -> np.ndarray:
    return np.array([*labels, None], dtype=object)[:-1]


@pytest.fixture
def images() -> Domain:
    grey = [np.full((8, 8, 3), 128, np.uint8) for _ in range(3)]
    ids = np.array([str(k).encode() for k in range(3)], dtype="S32")
    return Domain("grey", Schema("image", label="masks"), ListRows(np.array([*grey, None], dtype=object)[:-1]), ids)


def pixels(one: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(one["uri"].split(",")[1]))).convert("RGB"), dtype=int)


def test_how_far_answers_are_apart_by_hand():
    assert apart(texts(mask(2), mask(3)), texts(mask(4), mask(3)), "masks").tolist() == [0.25, 0.0]
    one, other = (boxes.to_text([("a", box)]) for box in ([0, 0, 4, 4], [0, 0, 4, 3.5]))
    two = boxes.to_text([("a", [0, 0, 4, 4]), ("a", [5, 5, 8, 8])])
    kind = boxes.to_text([("b", [0, 0, 4, 4])])
    found = apart(texts(one, one, one, one), texts(other, two, kind, boxes.to_text([])), "boxes")
    assert found.tolist() == pytest.approx([0.0, 1 / 3, 1.0, 1.0])


def test_masks_are_painted_where_they_lie_and_the_ground_is_not(images):
    found = draw(images, 0, {"before": mask(0), "after": mask(4)}, NAMES, "masks")
    before, after = (pixels(each) for each in found["pictures"])
    middle, width = before.shape[0] // 2, before.shape[1]
    assert np.abs(before - 128).max() < 12
    painted = 0.45 * 128 + 0.55 * np.array(COLOURS[1])
    assert after[middle, width // 8] == pytest.approx(painted, abs=30)
    assert after[middle, width * 7 // 8] == pytest.approx(np.full(3, 128), abs=12)


def test_boxes_are_outlined(images):
    said = {"before": boxes.to_text([]), "after": boxes.to_text([("a", [2, 2, 6, 6])])}
    before, after = (pixels(each) for each in draw(images, 0, said, ("a",), "boxes")["pictures"])
    changed_at = np.abs(after - before).max(axis=2) > 40
    scale = after.shape[0] // 8
    assert changed_at[2 * scale, 3 * scale] and changed_at[4 * scale, 2 * scale]
    assert not changed_at[4 * scale, 4 * scale] and not changed_at[scale, scale]


def test_in_words():
    assert told(mask(2), "masks") == "ground 75.0%, disc 25.0%"
    assert told(boxes.to_text([("car", [0, 0, 1, 1]), ("car", [0, 0, 2, 2]), ("man", [0, 0, 1, 1])]), "boxes") == (
        "2 car, 1 man"
    )


def test_the_images_that_differ_most_stand_on_the_page_with_their_truth(images):
    task = Segment(NAMES, Look("ground"))
    before, after = texts(mask(2), mask(3), mask(1)), texts(mask(3), mask(3), mask(7))
    kept = _changed(task, images, ("source_only", "dann"), [(before, None), (after, None)], (), texts(*[mask(4)] * 3))
    assert kept is not None and (kept["rows"], kept["of"]) == (2, 3)
    assert [one["after"] for one in kept["examples"]] == ["disc 87.5%, ground 12.5%", "ground 62.5%, disc 37.5%"]
    block = changed({"opened": {"changed": kept}}, Words("en"))
    shown = block["blocks"][0]["examples"][0]
    assert [each["name"] for each in shown["shown"]["pictures"]] == ["before", "after", "label"]
    assert shown["truth"] == ("label", "ground 50.0%, disc 50.0%")
