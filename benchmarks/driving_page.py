"""docs/scenes/driving.md and its picture, from the JSON of `benchmarks.driving`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from acclimate.domains.masks import VOID, from_text
from benchmarks.common import ROOT, table
from benchmarks.driving import COLOURED, METHODS, ORACLE, WEATHERS, shown
from benchmarks.road_scenes import CLASSES, render
from benchmarks.sites_page import cell

PICTURE = ROOT / "docs" / "scenes" / "driving.png"
COLOURS = np.array(
    [[128, 64, 128], [244, 35, 232], [107, 142, 35], [70, 70, 70], [70, 130, 180], [0, 0, 142], [220, 20, 60]]
)
"""Of `CLASSES`, as Cityscapes paints them."""
HEAD = """# Driving: streets in fog and at night

Written by `python -m benchmarks.report` from `benchmarks/results/driving.json`; do not edit.

**Problem.** A network that tells road from pavement, cars from people was trained by day. It has to drive in fog and at
night, where nobody has drawn masks.

**Data.** Rendered by `benchmarks/road_scenes.py`: streets with depth, so that fog and head-lamps obey physics, and
masks that are right to the pixel. They are simpler than streets are; that they are ours means that anybody can run it.
Cityscapes, Foggy Cityscapes, GTA5 and SYNTHIA are read in the folders that they come in (`?legend=`, see
[segmentation.md](../segmentation.md)).

**Command**, with the defaults; what was measured has the settings of its protocol.

```bash
acclimate adapt --task segment --source day/ --target night/images --label masks --backbone mobilenet_v2 --tune full \\
    --method dann --set method.strength=0.03 -o runs/night
acclimate evaluate runs/night --data night_with_masks/ --label masks      # opens the seal
```
"""


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    cells = found["cells"]
    rows = [_row(of, weather, arm) for weather in WEATHERS if (of := _of(cells, weather)) for arm in of[0]["arms"]]
    parts = [
        HEAD,
        f"**Protocol.** {' '.join(str(found['protocol']).split())}",
        "## Mean IoU, per cent\n\nMean over seeds, and the standard deviation between them in brackets.",
        table(["weather", "arm", "seeds", "mean IoU", "against source_only", "verdicts"], rows),
        "![Streets, what is there, and what each model says](driving.png)",
        "By column: the street, what is there, and what source_only, the methods, the oracle and `colours` say.",
        _remarks(cells),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _of(cells: Sequence[Mapping[str, Any]], weather: str) -> list[Mapping[str, Any]]:
    return [cell for cell in cells if cell["weather"] == weather]


def _values(cells: Sequence[Mapping[str, Any]], arm: str) -> list[float]:
    return [cell["arms"][arm]["miou"] for cell in cells]


def _row(cells: Sequence[Mapping[str, Any]], weather: str, arm: str) -> list[str]:
    row = [weather, arm, str(len(cells)), cell(_values(cells, arm))]
    if arm not in (*METHODS, COLOURED):
        return [*row, "", ""]
    verdicts = {str(each["arms"][arm]["verdict"]) for each in cells} - {"None"}
    gains = [one - other for one, other in zip(_values(cells, arm), _values(cells, "source_only"), strict=True)]
    return [*row, f"{100 * mean(gains):+.1f}", ", ".join(sorted(verdicts))]


def _remarks(cells: Sequence[Mapping[str, Any]]) -> str:
    """What failed, in sentences that follow from the figures."""
    said = []
    for weather in WEATHERS:
        if not (own := _of(cells, weather)):
            continue
        before, best = (mean(_values(own, arm)) for arm in ("source_only", ORACLE))
        for method in (*METHODS, COLOURED):
            score = mean(_values(own, method))
            if score <= before:
                said.append(f"- `{method}` does not help in {weather}: {100 * score:.1f} against {100 * before:.1f}.")
            elif score < best:
                said.append(f"- `{method}` in {weather}: {100 * (best - score):.1f} below the oracle.")
    said.append("- No score without labels speaks of masks: without `--target-label` the source's model is kept.")
    return "## What failed\n\n" + "\n".join(said)


def draw(found: Mapping[str, Any], path: Path = PICTURE) -> None:
    """One street in each weather, what is there, and what each arm says of it."""
    from PIL import Image

    cells = [cell for cell in found["cells"] if cell["seed"] == 0]
    strips = []
    for weather in WEATHERS:
        scene = render(shown(0), weather)
        tiles = [scene.image, COLOURS[scene.mask]]
        for each in _of(cells, weather):
            for arm in each["arms"].values():
                said = from_text(arm["shown"]).index(CLASSES)
                tiles.append(COLOURS[np.where(said == VOID, 0, said)])
        strips.append(np.concatenate(tiles, axis=1).astype(np.uint8))
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(strip, ((0, 4), (0, width - strip.shape[1]), (0, 0)), constant_values=255) for strip in strips]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(padded)).quantize(64).save(path, optimize=True)
