"""PACS photo to art, cartoon and sketch: frozen probe, fine-tuned, and DANN on EfficientNet-Lite0."""

from __future__ import annotations

from itertools import product
from typing import Any

from benchmarks.common import DATA, SEEDS, measure, say, summary, write

TARGETS = ("art_painting", "cartoon", "sketch")
BACKBONE = {"name": "efficientnet_lite0", "size": 112, "augment": "crop_flip"}
TRAINING = {"epochs": 3, "batch_size": 32}


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: labelled photos (a fifth held out), all unlabelled images of the target; figures on the
    same target images (transductive), with their labels opened afterwards."""
    results: dict[str, Any] = {target: {"frozen": [], "full": []} for target in TARGETS}
    for tune, seed, target in product(("frozen", "full"), seeds, TARGETS):
        run = _run(target, tune, seed)
        found = results[target]
        found[tune].append(run)
        found["summary"] = {name: summary(found[name]) for name in ("frozen", "full") if found[name]}
        say(target, tune, seed, {k: round(100 * v["accuracy"], 1) for k, v in run["arms"].items()})
        say("   ", {k: v["seconds"] for k, v in run["arms"].items()}, run["decision"], run["verdict"])
        write("pacs", {"protocol": main.__doc__, "backbone": BACKBONE, "training": TRAINING, "results": results})


def _run(target: str, tune: str, seed: int) -> dict[str, Any]:
    file = f"{DATA}/images/pacs_112px_jpeg.zip"
    return measure(
        f"{file}?folder=photo",
        f"{file}?folder={target}",
        f"{file}?folder={target}",
        label="label",
        seed=seed,
        backbone=BACKBONE if tune == "full" else {"name": "efficientnet_lite0"},
        method="dann",
        tune=tune,
        training=TRAINING if tune == "full" else {},
        plain_baseline=tune == "frozen",
    )
