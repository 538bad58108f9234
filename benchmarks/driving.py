"""Streets by day to fog and to night: what each pixel shows, on rendered scenes (`benchmarks.road_scenes`)."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, SEEDS, measure, say, write
from benchmarks.road_scenes import Weather
from benchmarks.road_scenes import write as render

WEATHERS: tuple[Weather, ...] = ("fog", "night")
METHODS = ("dann", "mcc", "self_training")
LEARNED, TESTED = 80, 40
FAR_APART = 10_000
"""Between the streets of one seed and the next."""
BACKBONE = {"name": "mobilenet_v2", "size": 160}
TRAINING = {"epochs": 10, "batch_size": 8}
PROTOCOL = """80 streets by day with masks (a fifth held out), 80 others of the target's weather without, tested once
    on 40 further ones in that weather; mean IoU of 7 classes. MobileNetV2 (ImageNet) with a U-Net at 160 pixels, tuned
    in full for 10 epochs; methods have the settings they come with. oracle learns from the target's 80 with their
    masks. Nothing was tuned on these scenes; a seed draws other streets, split and training."""
Cell = dict[str, Any]


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Every cell that has not been measured yet."""
    path = RESULTS / "driving.json"
    cells: list[Cell] = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.is_file() else []
    for seed in seeds:
        for weather in WEATHERS:
            for method in (*METHODS, "oracle"):
                if (seed, weather, method) in {(cell["seed"], cell["weather"], cell["method"]) for cell in cells}:
                    continue
                cell = {"seed": seed, "weather": weather, "method": method, **measured(seed, weather, method)}
                cells.append(cell)
                say(seed, weather, method, {name: round(100 * arm["miou"], 1) for name, arm in cell["arms"].items()})
                write("driving", {"protocol": PROTOCOL, "training": TRAINING, "backbone": BACKBONE, "cells": cells})


def measured(seed: int, weather: Weather, method: str) -> Cell:
    """One method, beside source_only, on streets of a seed."""
    first = seed * FAR_APART
    options: Cell = {
        "label": "masks", "seed": seed, "task": "segment", "backbone": BACKBONE, "tune": "full", "training": TRAINING,
        "device": "cpu", "plain_baseline": False,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = render(place / "day", range(first, first + LEARNED), "clear")
        target = render(place / weather, range(first + 1000, first + 1000 + LEARNED), weather)
        tested = render(place / "tested", range(first + 2000, first + 2000 + TESTED), weather)
        if method == "oracle":
            return measure(target, None, tested, method="source_only", **options)
        return measure(source, target, tested, method=method, **options)
