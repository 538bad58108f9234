"""Masks as files: the values of those that were learned, and the way back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from acclimate.domains.legends import KNOWN, colour
from acclimate.domains.mask_writer import MaskWriter
from acclimate.domains.masks import from_text, to_text
from acclimate.domains.read import read
from acclimate.errors import DataError, SettingsError


def values_of(path):
    return np.asarray(Image.open(path)).tolist()


def test_values_are_those_of_the_legend(tmp_path):
    label = to_text(np.array([[0, 1, 1]], dtype=np.uint8), ["background", "vessels"])
    with MaskWriter(tmp_path / "out", {0: "background", 9: None, 255: "vessels"}) as out:
        out.write("a/images/1.jpg", label)
        out.write("7", label)
    assert values_of(tmp_path / "out" / "a" / "1.png") == values_of(tmp_path / "out" / "7.png") == [[0, 255, 255]]
    assert json.loads((tmp_path / "out" / "legend.json").read_text()) == {"0": "background", "255": "vessels"}


def test_of_several_values_of_a_category_the_lowest_is_written(tmp_path):
    with MaskWriter(tmp_path / "out", {3: "disc", 5: "disc", 0: "background"}) as out:
        out.write("1.png", to_text(np.array([[1, 0]], dtype=np.uint8), ["background", "disc"]))
    assert values_of(tmp_path / "out" / "1.png") == [[3, 0]]


def test_colours_are_read_back(tmp_path):
    legend = {colour(128, 64, 128): "road", colour(9, 9, 9): "wall"}
    label = to_text(np.array([[0, 1], [1, 1]], dtype=np.uint8), ["road", "wall"])
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((2, 2), dtype=np.uint8)).save(tmp_path / "images" / "1.png")
    with MaskWriter(tmp_path / "said", legend) as out:
        out.write("images/1.png", label)
    assert values_of(tmp_path / "said" / "1.png") == [[[128, 64, 128], [9, 9, 9]], [[9, 9, 9]] * 2]
    back = read(tmp_path, label="said", shapes="masks")
    assert from_text(back.labels[0]).index(["road", "wall"]).tolist() == [[0, 1], [1, 1]]
    assert dict(back.schema.legend) == legend and back.sealed().schema.legend == ()


def test_ids_of_cityscapes_are_kept(tmp_path):
    with MaskWriter(tmp_path / "out", KNOWN["cityscapes"]) as out:
        out.write("leftImg8bit/val/bonn/bonn_0_leftImg8bit.png", to_text(np.array([[0]], dtype=np.uint8), ["car"]))
    assert values_of(tmp_path / "out" / "val" / "bonn" / "bonn_0.png") == [[26]]


def test_nothing_is_overwritten_or_left_behind(tmp_path):
    label = to_text(np.array([[0]], dtype=np.uint8), ["a"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "1.png").write_bytes(b"mine")
    with pytest.raises(SettingsError, match="full holds something already"):
        MaskWriter(tmp_path / "full", {0: "a"})
    twice = pytest.raises(DataError, match=r"x/1\.png and x/1\.jpg: both masks would be x/1\.png")
    with twice, MaskWriter(tmp_path / "out", {0: "a"}) as out:
        out.write("x/1.png", label)
        out.write("x/1.jpg", label)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]
