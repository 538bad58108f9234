"""docs/scenes/faces.md and its picture, from the JSON of `benchmarks.faces`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.common import ROOT, table
from benchmarks.faces import CONDITIONS, FILE, KNOWN, seen
from benchmarks.sites_page import cell, told

PICTURE = ROOT / "docs" / "scenes" / "faces.png"
METRICS = ("tar_at_far_0.01", "tar_at_far_0.001", "eer", "rank1")
SHOWN, LOWEST = "tar_at_far_0.01", 0.6
HEAD = """# Faces: people whom nobody trained on

Written by `python -m benchmarks.report` from `benchmarks/results/faces.json`; do not edit.

**Problem.** Are two photos of one person? The people, and the light and the resolution, are new.

**Data.** ORL / AT&T faces (credit: Olivetti Research Laboratory), people 1 to 30.

**Command**, with the defaults; what was measured has the settings of its protocol.

```bash
acclimate adapt --task verify --source 'faces.npz?x=x&y=subject' --target 'new.npz?x=x' --backbone mobilenet_v2 \\
    --method site_standardize -o runs/faces
acclimate evaluate runs/faces --data 'new.npz?x=x' --label subject      # opens the seal
```
"""


def page(found: Mapping[str, Any]) -> str:
    """The page."""
    rows = []
    for condition in CONDITIONS:
        each = [run["found"][condition] for run in found["runs"]]
        for arm in each[0]:
            if arm == "5-shot":
                cells = ["", "", "", cell([one[arm]["accuracy"] for one in each])]
            else:
                cells = [cell([one[arm]["metrics"][name] for one in each]) for name in METRICS]
            rows.append([condition, arm, *cells])
    head = ["photos", "arm", "TAR at FAR 1 %", "TAR at FAR 0.1 %", "EER", "rank-1 (5-shot: accuracy)"]
    places = [(condition, arm) for condition in CONDITIONS for arm in found["runs"][0]["found"][condition]]
    worse = [
        f"{name}: {', '.join(_worse(found, places, metric)) or 'nothing'}"
        for name, metric in zip(("TAR at FAR 1 %", "TAR at FAR 0.1 %", "EER", "rank-1"), METRICS, strict=True)
    ]
    failed = f"**What failed.** Worse than the frozen network, by {'; by '.join(worse)}.\n"
    units = f"Per cent: mean of {len(found['runs'])} seeds, the deviation between them in brackets."
    result = f"**Protocol.** {told(found)}\n\n![{PICTURE.stem}]({PICTURE.name})\n\n{units}\n\n{table(head, rows)}"
    return f"{HEAD}\n{result}\n{failed}"


def draw(found: Mapping[str, Any]) -> None:
    """One person in each condition, and the arms' shares of owners let in: each seed a dot, and their mean a bar."""
    from matplotlib import pyplot as plt

    with np.load(FILE) as arrays:
        photo = arrays["x"][arrays["subject"] > KNOWN][:1]
    figure, axes = plt.subplots(
        2, len(CONDITIONS), figsize=(10, 5.5), sharey="row", height_ratios=(1, 1.8), layout="constrained"
    )
    for k, condition in enumerate(CONDITIONS):
        axes[0, k].imshow(seen(photo, condition)[0], cmap="gray", vmin=0, vmax=255)
        axes[0, k].set_title(condition)
        axes[0, k].axis("off")
        arms = [arm for arm in found["runs"][0]["found"][condition] if arm != "5-shot"]
        axes[1, k].barh(arms, [_mean(found, condition, arm) for arm in arms], color="#b9cbe4", height=0.6)
        for run in found["runs"]:
            each = [run["found"][condition][arm]["metrics"][SHOWN] for arm in arms]
            axes[1, k].plot(each, arms, "o", color="#26507f", markersize=3)
        axes[1, k].set_xlim(LOWEST, 1)
        axes[1, k].set_xlabel("TAR at FAR 1 %")
        axes[1, k].spines[["top", "right"]].set_visible(False)
    axes[1, 0].invert_yaxis()
    figure.savefig(PICTURE, dpi=80)
    plt.close(figure)


def _worse(found: Mapping[str, Any], places: Sequence[tuple[str, str]], metric: str) -> list[str]:
    """The arms that are worse than the frozen network by a metric; of EER less is better."""
    sign = -1 if metric == "eer" else 1
    return [
        f"{arm} ({condition})"
        for condition, arm in places
        if arm != "5-shot"
        and sign * (_mean(found, condition, arm, metric) - _mean(found, condition, "frozen", metric)) < 0
    ]


def _mean(found: Mapping[str, Any], condition: str, arm: str, metric: str = SHOWN) -> float:
    return mean(run["found"][condition][arm]["metrics"][metric] for run in found["runs"])
