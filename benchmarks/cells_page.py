"""docs/scenes/cells.md and its picture, from the JSON of `benchmarks.cells`."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import mean
from typing import Any

from PIL import Image, ImageDraw

from acclimate.domains.boxes import from_text, with_scores
from acclimate.domains.read import read
from benchmarks.cells import COLOURED, DIRECTIONS, METHODS, ORACLE, SHOWN, ZIP, changed
from benchmarks.common import ROOT, table
from benchmarks.sites_page import cell, told

PICTURE = ROOT / "docs" / "scenes" / "cells.png"
COLOURS = {"RBC": (200, 30, 30), "WBC": (30, 60, 220), "Platelets": (20, 150, 60)}
SURE = 0.3
"""Boxes that are drawn."""
HEAD = """# Blood cells: another stain, lamp and focus

Written by `python -m benchmarks.report` from `benchmarks/results/cells.json`; do not edit.

**Problem.** A detector that counts red cells, white cells and platelets was trained on the slides of one laboratory.
The next one stains and lights its slides otherwise, and nobody has drawn boxes there.

**Data.** BCCD (Shenggan/BCCD_Dataset, MIT): 364 images, 4,888 boxes, official splits. The other laboratory is made from
the same slides by `benchmarks/cells.py`; a real one would differ in more than stain, light and focus.

**Command**, with the defaults; what was measured has the settings of its protocol.

```bash
acclimate adapt --task detect --source 'bccd.zip?split=train' --target 'stained/?split=val' --backbone mobilenet_v2 \\
    --method dann --set method.strength=0.03 -o runs/cells
acclimate evaluate runs/cells --data 'stained/?split=test'      # opens the seal
```
"""

Run = Mapping[str, Any]


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    runs = found["runs"]
    directions = [" to ".join(pair) for pair in DIRECTIONS]
    rows = [
        _row(of, direction, arm) for direction in directions if (of := _of(runs, direction)) for arm in of[0]["arms"]
    ]
    plain = {name: scores for run in runs for name, scores in run["baselines"].items()}
    rows += [["", f"{name} (plain)", "", *(f"{100 * scores[m]:.1f}" for m in ("ap50", "map")), "", ""]
             for name, scores in plain.items()]  # fmt: skip
    head = ["direction", "arm", "seeds", "AP50", "AP", "AP50 against source_only", "verdicts"]
    return "\n\n".join(
        part.strip("\n")
        for part in (
            HEAD,
            f"**Protocol.** {told(found)}",
            "## Average precision, per cent\n\nMean over seeds, and the standard deviation between them in brackets.",
            table(head, rows),
            "![Cells, the boxes that are there, and those of each model](cells.png)",
            "By column: the labelled boxes, and what source_only, the methods, the oracle and `colours` say with a "
            f"score of at least {SURE}. Red cells are red, white cells blue, platelets green.",
            _remarks(runs, directions),
        )
    ) + "\n"  # fmt: skip


def _of(runs: Sequence[Run], direction: str) -> list[Run]:
    return [run for run in runs if run["direction"] == direction]


def _values(runs: Sequence[Run], arm: str, metric: str = "ap50") -> list[float]:
    return [run["arms"][arm][metric] for run in runs]


def _row(runs: Sequence[Run], direction: str, arm: str) -> list[str]:
    row = [direction, arm, str(len(runs)), *(cell(_values(runs, arm, metric)) for metric in ("ap50", "map"))]
    if arm in ("source_only", ORACLE):
        return [*row, "", ""]
    verdicts = {str(run["arms"][arm]["verdict"]) for run in runs} - {"None"}
    gains = [one - other for one, other in zip(_values(runs, arm), _values(runs, "source_only"), strict=True)]
    return [*row, f"{100 * mean(gains):+.1f}", ", ".join(sorted(verdicts))]


def _remarks(runs: Sequence[Run], directions: Sequence[str]) -> str:
    """What failed, in sentences that follow from the figures."""
    said = []
    for direction in directions:
        if not (own := _of(runs, direction)):
            continue
        best, before = mean(_values(own, ORACLE)), mean(_values(own, "source_only"))
        for arm in (*METHODS, COLOURED):
            score = mean(_values(own, arm))
            if score <= before:
                said.append(f"- `{arm}` does not help, {direction}: {100 * score:.1f} against {100 * before:.1f}.")
            elif score < best:
                said.append(f"- `{arm}`, {direction}: {100 * (best - score):.1f} below the oracle.")
    return "## What failed\n\n" + ("\n".join(said) or "Nothing that was measured.")


def draw(found: Mapping[str, Any], path: Path = PICTURE) -> None:
    """One test image in each direction with the labelled boxes and those of each arm."""
    runs = [run for run in found["runs"] if run["seed"] == 0]
    with zipfile.ZipFile(ZIP) as files:
        plain = Image.open(BytesIO(files.read(f"images/{SHOWN}.jpg"))).convert("RGB")
    truth = _truth()
    strips = []
    for source, target in DIRECTIONS:
        image = plain if target == "plain" else changed(plain)
        tiles = [_drawn(image, truth)]
        for run in _of(runs, f"{source} to {target}"):
            tiles += [_drawn(image, arm["shown"]) for arm in run["arms"].values()]
        strips.append(tiles)
    width, height = plain.size
    canvas = Image.new("RGB", (max(map(len, strips)) * (width + 4), len(strips) * (height + 4)), "white")
    for down, tiles in enumerate(strips):
        for across, tile in enumerate(tiles):
            canvas.paste(tile, (across * (width + 4), down * (height + 4)))
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.quantize(128).save(path, optimize=True)


def _truth() -> str:
    """The labelled boxes of the image that is shown."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(ZIP) as files:
        for name in ("annotations.json", f"images/{SHOWN}.jpg"):
            files.extract(name, folder)
        labels = read(folder, label="boxes", shapes="boxes").labels
    assert labels is not None
    return str(labels[0])


def _drawn(image: Image.Image, text: str) -> Image.Image:
    """An image with the surer boxes of a label or an answer."""
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    names, boxes = from_text(text)
    for name, box, score in zip(names, boxes.tolist(), with_scores(text)[2], strict=True):
        if score >= SURE:
            pen.rectangle(tuple(box), outline=COLOURS[name], width=2)
    return drawn
