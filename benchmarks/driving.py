"""Streets by day to fog and to night: what each pixel shows, on rendered scenes (`benchmarks.road_scenes`)."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import acclimate as ac
from benchmarks.common import RESULTS, SEEDS, WHOLE, opened, say, side_by_side, write
from benchmarks.road_scenes import Weather
from benchmarks.road_scenes import write as render

WEATHERS: tuple[Weather, ...] = ("fog", "night")
METHODS = {"dann": "dann:strength=0.03", "fda": "fda", "self_training": "self_training"}
"""Of DANN the strength that docs/segmentation.md advises, which was settled on other images."""
ORACLE, COLOURED = "oracle", "colours"
LEARNED, TESTED = 80, 40
FAR_APART = 10_000
"""Between the streets of one seed and the next."""
BACKBONE = {"name": "mobilenet_v2", "size": 160}
TRAINING = {"epochs": 10, "batch_size": 8}
PROTOCOL = """80 streets by day with masks (a fifth held out), 80 others of the target's weather without, tested once
    on 40 further ones in that weather; mean IoU of 7 classes. MobileNetV2 (ImageNet) with a U-Net at 160 pixels, tuned
    in full for 10 epochs; methods have the settings they come with, DANN the strength 0.03 that was settled on other
    images. `colours` is source_only whose training images also get random flips, cuts and colours, and sees no target;
    it was added when blood cells had shown what that is worth (cells.md). The oracle learns from the target's 80 with
    their masks. Nothing was tuned on these scenes; a seed draws other streets, split and training."""
Cell = dict[str, Any]


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Every cell that has not been measured yet."""
    path = RESULTS / "driving.json"
    cells: list[Cell] = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.is_file() else []
    for seed in seeds:
        for weather in WEATHERS:
            cell = next((cell for cell in cells if (cell["seed"], cell["weather"]) == (seed, weather)), None)
            if cell is None:
                cells.append(cell := {"seed": seed, "weather": weather, **measured(seed, weather)})
            elif COLOURED in cell["arms"]:
                continue
            cell["arms"] |= coloured(seed, weather)
            say(seed, weather, {name: round(100 * arm["miou"], 1) for name, arm in cell["arms"].items()})
            write("driving", {"protocol": PROTOCOL, "training": TRAINING, "backbone": BACKBONE, "cells": cells})


def measured(seed: int, weather: Weather) -> Cell:
    """All arms, on streets of a seed; of the first seed also what each arm says of one street."""
    options: dict[str, Any] = {"task": "segment", "label": "masks", "backbone": BACKBONE, "training": TRAINING}
    options["seed"] = seed
    with tempfile.TemporaryDirectory() as folder:
        files = rendered(Path(folder), seed, weather)
        run, arms = side_by_side(files["day"], files["new"], METHODS, Path(folder, "run"), **options)
        best = ac.adapt(files["new"], method="source_only", out=Path(folder, ORACLE), **WHOLE, **options)
        found = opened(run, files["test"], arms, label="masks")
        found["arms"] |= opened(best, files["test"], {ORACLE: "source_only"}, label="masks")["arms"]
        if seed == 0:
            models = {**{name: run.arm(arm) for name, arm in arms.items()}, ORACLE: best.arm("source_only")}
            for name, model in models.items():
                found["arms"][name]["shown"] = said(model, Path(folder), weather)
    return found


def coloured(seed: int, weather: Weather) -> dict[str, dict[str, Any]]:
    """The arm whose training images get random colours."""
    backbone = {**BACKBONE, "augment": "crop_flip_color"}
    with tempfile.TemporaryDirectory() as folder:
        files = rendered(Path(folder), seed, weather)
        run = ac.adapt(
            files["day"], task="segment", label="masks", method="source_only", backbone=backbone, training=TRAINING,
            seed=seed, out=Path(folder, "run"), **WHOLE,
        )  # fmt: skip
        found = opened(run, files["test"], {COLOURED: "source_only"}, label="masks")["arms"]
        if seed == 0:
            found[COLOURED]["shown"] = said(run.arm("source_only"), Path(folder), weather)
    return found


def rendered(folder: Path, seed: int, weather: Weather) -> dict[str, Path]:
    """Streets by day, in the weather, and those that are tested on."""
    first = seed * FAR_APART
    places = {"day": ("clear", 0, LEARNED), "new": (weather, 1000, LEARNED), "test": (weather, 2000, TESTED)}
    return {
        name: render(folder / name, range(first + start, first + start + count), kind)  # type: ignore[arg-type]
        for name, (kind, start, count) in places.items()
    }


def said(model: Any, folder: Path, weather: Weather) -> str:
    """The mask that a model gives the street of the page."""
    render(folder / "one", range(shown(0), shown(0) + 1), weather)
    return str(model.predict(folder / "one" / "images")["prediction"][0])


def shown(seed: int) -> int:
    """The street that the page shows, of those that are tested on."""
    return seed * FAR_APART + 2000 + 3
