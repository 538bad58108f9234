"""docs/scenes/retina.md and its picture, from the JSON of `benchmarks.retina`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from acclimate.domains.masks import from_text
from benchmarks.common import ROOT, first_image, images_of, table
from benchmarks.retina import ARMS, HALVES, ORACLE, SITES
from benchmarks.sites_page import cell, told

PICTURE = ROOT / "docs" / "scenes" / "retina.svg"
VESSELS = "vessels"
SHOWN = ("source_only", *ARMS, ORACLE)
METRICS = {"dice": "Dice", "miou": "mean IoU", "boundary_f1": "boundary F1"}
LITTLE = 1.0
"""Points of Dice, of which a part says nothing."""
RIGHT, FALSE, MISSED = (255, 255, 255), (215, 48, 39), (69, 117, 180)
HEAD = """# Diagnosis: vessels of the retina, another hospital's camera

Written by `python -m benchmarks.report` from `benchmarks/results/retina.json`; do not edit.

**Problem.** Where are the vessels in a photo of the eye? The photos come from another site and another camera than
those that somebody has drawn vessels in.

**Data.** DRIVE (Staal et al. 2004) and CHASE_DB1 (Fraz et al. 2012), at 384 pixels, two real sites.

**Command**, as it was measured.

```bash
acclimate adapt --task segment --source 'retina.zip?folder=drive/train' --target 'retina.zip?folder=chase' \\
    --backbone mobilenet_v2 --set backbone.size=256 --set backbone.augment=crop_flip_color \\
    --set training.steps=120 --set training.batch_size=4 --set training.learning_rate=1e-3 \\
    --method self_training --set method.share=0.5 -o runs/vessels
acclimate evaluate runs/vessels --data 'retina.zip?folder=chase'      # opens the seal
```

Masks, and which methods there are for them: [segmentation.md](../segmentation.md).
"""


def page(found: Mapping[str, Any]) -> str:
    """The whole page, of what was measured."""
    runs = {name: each for name, each in found["runs"].items() if each}
    parts = [
        HEAD,
        f"{told(found)}",
        "Per cent; mean over seeds, the deviation between them in brackets.",
        table(["direction", "arm", "seeds", *METRICS.values(), "Dice against source_only"], _rows(runs)),
        "![Photos of the other site, their vessels, and what each model says](retina.svg)",
    ]
    if any(_kept(each) for each in runs.values()):
        parts.append("White is found, red is none, blue is missed.")
    parts.append("## What failed\n\n" + "\n".join(f"- {line}" for line in _remarks(runs)))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _rows(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[str]]:
    rows = []
    for direction, each in runs.items():
        for name in each[0].get("plain", {}):
            scores = [run["plain"][name] for run in each]
            rows.append([direction, f"{name} (plain)", str(len(each)), *_cells(scores), ""])
        for arm in each[0]["arms"]:
            scores = [run["arms"][arm] for run in each]
            gain = "" if arm == "source_only" else f"{_gain(each, arm):+.1f}"
            rows.append([direction, arm, str(len(each)), *_cells(scores), gain])
    return rows


def _cells(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """A cell a metric, empty for one that the arm was not measured by."""
    return [cell([score[metric] for score in scores]) if metric in scores[0] else "" for metric in METRICS]


def _gain(runs: Sequence[Mapping[str, Any]], arm: str) -> float:
    """Points of Dice above source_only, mean over the seeds."""
    return 100 * mean(run["arms"][arm]["dice"] - run["arms"]["source_only"]["dice"] for run in runs)


def _remarks(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What the figures say, in sentences that follow from them."""
    said = []
    for direction, each in runs.items():
        worse = [f"`{arm}` ({gain:+.1f})" for arm in ARMS if (gain := _gain(each, arm)) <= 0]
        gap = _gain(each, "oracle")
        best = max(ARMS, key=lambda arm: _gain(each, arm))
        said.append(f"From {direction}, no better than source_only in Dice: {', '.join(worse) or 'nothing'}.")
        if gap < LITTLE:
            said.append(f"From {direction} the oracle, which learns from the target's labels, is {gap:+.1f}.")
        elif _gain(each, best) > 0:
            said.append(
                f"From {direction} the best, `{best}`, closes {100 * _gain(each, best) / gap:.0f} % of the "
                f"{gap:.1f} points between source_only and the oracle."
            )
        else:
            said.append(f"From {direction} nothing closes any of the {gap:.1f} points to the oracle.")
        unsteady = [
            f"`{arm}`"
            for arm in (*ARMS, ORACLE)
            if 0 < sum(run["arms"][arm]["dice"] < run["arms"]["source_only"]["dice"] for run in each) < len(each)
        ]
        if unsteady:
            said.append(f"From {direction}, better with some seeds and worse with others: {', '.join(unsteady)}.")
        if len(each) < 2:
            said.append(f"From {direction} one seed was measured, from which nothing follows.")
    return said


def _kept(runs: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    """The masks that each arm gave the image that is shown."""
    for run in runs:
        kept = {arm: scores["shown"] for arm, scores in run["arms"].items() if "shown" in scores}
        if kept:
            return kept
    return {}


def draw(found: Mapping[str, Any], path: Path = PICTURE) -> None:
    """A row a direction: Dice of the arms, the photo, its vessels, and what each arm says of it."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "acclimate"
    runs = {name: each for name, each in found["runs"].items() if each}
    size = (3 * (3 + len(SHOWN)), 3.2 * len(runs))
    figure, axes = pyplot.subplots(len(runs), 3 + len(SHOWN), figsize=size, layout="constrained", squeeze=False)
    for row, (direction, each) in zip(axes, runs.items(), strict=True):
        arms = [arm for arm in SHOWN if arm in each[0]["arms"]]
        row[0].barh(arms, [100 * mean(run["arms"][arm]["dice"] for run in each) for arm in arms])
        row[0].invert_yaxis()
        row[0].set_title(f"{direction}, Dice", fontsize=10)
        tiles = _tiles(direction.split(" to ")[1], _kept(each))
        for axis, (title, tile) in zip(row[1:], tiles.items(), strict=False):
            axis.imshow(tile)
            axis.set_title(title, fontsize=10)
        for axis in row[1:]:
            axis.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, dpi=100)
    pyplot.close(figure)


def _tiles(target: str, kept: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The image that is shown of a site and its vessels, then right, false and missed pixels of each arm."""
    if not kept:
        return {}
    learn, test = SITES[target]
    shown = first_image(images_of(test, HALVES[1] if learn == test else None))
    truth = from_text(str(shown.labels[0])).index([VESSELS]) == 0
    tiles = {
        "photo": shown.rows.take(np.arange(1))[0],
        "vessels": np.where(truth[..., None], RIGHT, 0).astype(np.uint8),
    }
    for arm in SHOWN:
        if arm in kept:
            said = from_text(kept[arm]).index([VESSELS]) == 0
            tile = np.zeros((*truth.shape, 3), dtype=np.uint8)
            tile[said & truth], tile[said & ~truth], tile[~said & truth] = RIGHT, FALSE, MISSED
            tiles[arm] = tile
    return tiles
