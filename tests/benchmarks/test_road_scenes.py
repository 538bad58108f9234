from __future__ import annotations

import json

import numpy as np
from PIL import Image
from scipy.ndimage import label

from benchmarks.road_scenes import BUILDING, CAR, CLASSES, FEWEST, PERSON, render, write


def test_the_weather_changes_the_light_and_not_the_street():
    clear, fog, night = (render(3, weather) for weather in ("clear", "fog", "night"))
    for other in (fog, night):
        assert np.array_equal(other.mask, clear.mask)
        assert other.boxes == clear.boxes
    assert night.image.mean() < 0.4 * clear.image.mean()
    houses = clear.mask == BUILDING
    assert fog.image[houses].std() < 0.6 * clear.image[houses].std(), "fog takes contrast from what is far"
    assert not np.array_equal(render(4).mask, clear.mask)


def test_boxes_hold_what_is_seen_of_their_class():
    for seed in range(5):
        scene = render(seed)
        covered = np.zeros_like(scene.mask, bool)
        for name, left, top, right, bottom in scene.boxes:
            part = scene.mask[top:bottom, left:right] == CLASSES.index(name)
            assert part.any(axis=1).all(), "no row of a box is without the thing"
            assert part[:, [0, -1]].any(axis=0).all(), "the first and last columns touch it"
            covered[top:bottom, left:right] = True
        parts, count = label(np.isin(scene.mask, (CAR, PERSON)) & ~covered)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        assert (sizes < FEWEST).all(), "only slivers have no box"


def test_files_hold_what_was_rendered(tmp_path):
    folder = write(tmp_path / "fog", range(2), "fog")
    scene = render(1, "fog")
    assert np.array_equal(np.asarray(Image.open(folder / "images" / "00001.png")), scene.image)
    assert np.array_equal(np.asarray(Image.open(folder / "masks" / "00001.png")), scene.mask)
    told = json.loads((folder / "annotations.json").read_text())
    assert told["00001.png"]["boxes"] == [list(box) for box in scene.boxes]
