"""Blood cells under another stain, blur and light: BCCD, and back."""

from __future__ import annotations

import json
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

import acclimate as ac
from benchmarks.common import DATA, RESULTS, SEEDS, WHOLE, opened, say, side_by_side, write

NAME = "cells"
SHOWN = "BloodImage_00016"
"""The test image that the page shows."""
ZIP = DATA / "detection" / "bccd_320.zip"
STAIN = np.array([[0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.7, 0.1, 0.2]])
"""How much of what red, green and blue light lose goes over into the new red, green and blue."""
LIGHT = np.array([0.85, 0.8, 0.65])
"""What the new lamp gives of each."""
BLUR = 1.2
"""Pixels."""
ORACLE, COLOURED = "oracle", "colours"
METHODS = {
    "dann": "dann:strength=0.03",
    "self_training": "self_training:share=0.5",
    "mean_teacher": "mean_teacher:burn_in=0.5",
    "fda": "fda:band=0.01",
}
DIRECTIONS = (("plain", "changed"), ("changed", "plain"))
BACKBONE = {"name": "mobilenet_v2", "size": 224, "augment": "crop_flip"}
TRAINING = {"steps": 200, "batch_size": 4}


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: BCCD at 320 x 240, red and white cells and platelets. The 205 official training images with boxes are
    the source; the 87 official validation images, as another microscope would see them, the target without labels;
    figures on the 72 official test images as that microscope sees them. The microscope is made, and was fixed before
    any run: the optical density of each image is mixed between the channels (another stain), its light is yellower and
    weaker, and it is blurred by 1.2 pixels. "changed to plain" is the other way round. A MobileNetV2 on a canvas of 224
    pixels, 200 steps of 4 images, cropped and mirrored at random (320 and 400 were planned, and cut for the time
    alone); DANN's strength is that of the
    documentation of segmentation, and the mean teacher begins after half of the steps, which generated scenes
    suggested. `colours` is source_only whose training images also get random colours, and sees no target; it was added
    when the other arms of the first seed were known. `oracle` learns the training images with their boxes as the target
    shows them. Nothing was tuned on these images. What was measured is kept."""
    path = RESULTS / f"{NAME}.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    with tempfile.TemporaryDirectory() as folder:
        changed = restained(Path(folder))
        for seed in seeds:
            for source, target in DIRECTIONS:
                cell: dict[str, Any] = {"seed": seed, "direction": f"{source} to {target}"}
                places = {"plain": str(ZIP), "changed": str(changed)}
                run = next((run for run in runs if cell.items() <= run.items()), None)
                if run is None:
                    runs.append(run := {**cell, **measured(places[source], places[target], seed)})
                elif COLOURED in run["arms"]:
                    continue
                run["arms"] |= coloured(places[source], places[target], seed)
                say(cell, {name: round(100 * each["ap50"], 1) for name, each in run["arms"].items()})
                settings = {"backbone": BACKBONE, "training": TRAINING, "methods": METHODS}
                write(NAME, {"protocol": main.__doc__, **settings, "runs": runs})


def measured(source: str, target: str, seed: int) -> dict[str, Any]:
    """All arms of a direction; of the first seed also the boxes that each gives one test image."""
    options: dict[str, Any] = {"task": "detect", "backbone": BACKBONE, "training": TRAINING, "seed": seed}
    train, test = f"{target}?split=train", f"{target}?split=test"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run, arms = side_by_side(f"{source}?split=train", f"{target}?split=val", METHODS, place / "run", **options)
        best = ac.adapt(train, method="source_only", out=place / ORACLE, **WHOLE, **options)
        found = opened(run, test, arms)
        found["arms"] |= opened(best, test, {ORACLE: "source_only"})["arms"]
        if seed == 0:
            models = {**{name: run.arm(arm) for name, arm in arms.items()}, ORACLE: best.arm("source_only")}
            for name, model in models.items():
                found["arms"][name]["shown"] = shown(model, test)
        return found


def coloured(source: str, target: str, seed: int) -> dict[str, dict[str, Any]]:
    """The arm whose training images get random colours, alike."""
    options: dict[str, Any] = {"task": "detect", "training": TRAINING, "seed": seed, **WHOLE}
    backbone = {**BACKBONE, "augment": "crop_flip_color"}
    test = f"{target}?split=test"
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            f"{source}?split=train", method="source_only", backbone=backbone, out=Path(folder) / "run", **options
        )
        found = opened(run, test, {COLOURED: "source_only"})["arms"]
        if seed == 0:
            found[COLOURED]["shown"] = shown(run.arm("source_only"), test)
        return found


def shown(model: Any, test: str) -> str:
    """The boxes that a model gives the image of the page."""
    said = model.predict(test).set_index("path")["prediction"]
    return next(str(text) for path, text in said.items() if Path(path).stem == SHOWN)


def restained(folder: Path) -> Path:
    """All images of BCCD as the other microscope sees them, with their boxes and splits."""
    (folder / "images").mkdir()
    with zipfile.ZipFile(ZIP) as files:
        (folder / "annotations.json").write_bytes(files.read("annotations.json"))
        for name in files.namelist():
            if name.startswith("images/") and not name.endswith("/"):
                image = Image.open(BytesIO(files.read(name))).convert("RGB")
                changed(image).save(folder / "images" / f"{Path(name).stem}.png")
    return folder


def changed(image: Image.Image) -> Image.Image:
    """Another stain, by optical density (Ruifrok and Johnston, 2001), another light, and out of focus."""
    density = -np.log((np.asarray(image, dtype=np.float64) + 1) / 256)
    light = 256 * np.exp(-(density @ STAIN)) * LIGHT - 1
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(BLUR))
