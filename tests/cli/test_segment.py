"""Masks through the command line: from folders to PNG files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acclimate.domains.masks import from_text
from acclimate.domains.read import read

PAGE = Path(__file__).parents[2] / "docs" / "segmentation.md"
SMALL = ("--backbone", "small_cnn", "--set", "backbone.size=32", "--set", "training.steps=6", "--precision", "fp32")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, scenes):
    root = tmp_path_factory.mktemp("segment")
    scenes(root / "source", 10)
    scenes(root / "target", 6, "haze", seed=1)
    return root


def test_from_folders_to_files_of_masks(acclimate, folders, tmp_path, monkeypatch):
    run, target = tmp_path / "run", folders / "target"
    words = ("adapt", "--task", "segment", "--source", folders / "source", "--target", target, *SMALL, "-o", run)
    done = acclimate(*words, "--method", "source_only")
    assert done.code == 0 and f"evaluate {run} --data LABELLED_FOLDER    # laid out as the source" in done.err
    done = acclimate("predict", run, "--data", target, "-o", tmp_path / "answers.csv", "--masks", target / "said")
    assert done.out.split() == [str(tmp_path / "answers.csv"), str(target / "said")]
    values = [np.asarray(Image.open(target / "said" / f"{k:03}.png")) for k in range(6)]
    assert {value for mask in values for value in np.unique(mask)} == {0, 255}  # as in the masks that were learned

    again = read(target, label="said", shapes="masks")
    for label, mask in zip(again.labels, values, strict=True):
        assert np.array_equal(from_text(label).index(["background", "discs"]) * 255, mask)
    monkeypatch.chdir(tmp_path)
    known: dict = {}
    exec(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1].replace("vessels", "discs"), known)
    assert np.array_equal(known["mask"] * 255, values[0]) and known["mask"].any()

    assert acclimate("predict", run, "--data", target, "--masks", tmp_path / "alone").out == f"{tmp_path}/alone\n"
    done = acclimate("predict", run, "--data", target, "--masks", tmp_path / "alone")
    assert done.code == 2 and "alone holds something already; name a new folder" in done.err


def test_masks_are_of_pixels(acclimate, finished, tables, tmp_path):
    done = acclimate("predict", finished, "--data", tables / "target.csv", "--masks", tmp_path / "masks")
    assert done.code == 2 and "masks are answers of task segment; this model is of task classify" in done.err
    assert not (tmp_path / "masks").exists()
