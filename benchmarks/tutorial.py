"""The tutorial path: a Keras MobileNetV2 and a torch one with the same weights, frozen and then fine-tuned."""

from __future__ import annotations

import json
import runpy
import tempfile
from pathlib import Path
from typing import Any

import acclimate as ac
from acclimate.domains.domain import Domain
from acclimate.domains.split import split
from acclimate.seeds import generator
from benchmarks.common import DATA, RESULTS, ROOT, SEEDS, say, write

FILE = DATA / "images" / "pacs_112px_jpeg.zip"
ROWS = 600
SIZE = 96
TUNES = ("frozen", "gradual")
TRAINING = {"epochs": 4.0, "batch_size": 16}
NAME = "tutorial"


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: 600 photos of PACS, 7 classes, drawn by the seed, a quarter of them for testing; 96 pixels, stretched.
    MobileNetV2 with the same ImageNet weights in Keras (torch backend; converted by examples/keras_weights.py) and in
    torch. `frozen` learns a head on pooled features, `gradual` opens the network block by block, 4 epochs, batches of
    16. The other settings are each one's defaults, so the learning rates are; nothing was tuned. What was measured is
    kept."""
    path = RESULTS / f"{NAME}.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    with tempfile.TemporaryDirectory() as folder:
        networks = backbones(Path(folder))
        for seed in seeds:
            for name, backbone in networks.items():
                for tune in TUNES:
                    if (name, tune, seed) in {(run["network"], run["tune"], run["seed"]) for run in runs}:
                        continue
                    runs.append({"network": name, "tune": tune, "seed": seed, **cell(backbone, tune, seed)})
                    say(name, tune, seed, round(100 * runs[-1]["accuracy"], 1), runs[-1]["seconds"])
                    write(NAME, {"protocol": main.__doc__, "training": TRAINING, "runs": runs})


def backbones(folder: Path) -> dict[str, dict[str, Any]]:
    """Both networks; Keras' weights are made from those of torch."""
    weights = folder / "mobilenet_v2.weights.h5"
    example = runpy.run_path(str(ROOT / "examples" / "keras_weights.py"))
    example["convert"](example["packaged"](), weights, SIZE)
    common = {"size": SIZE, "square": "stretch"}
    return {
        "keras": {"name": "keras:MobileNetV2", "weights": str(weights), **common},
        "torch": {"name": "mobilenet_v2", **common},
    }


def cell(backbone: dict[str, Any], tune: str, seed: int) -> dict[str, Any]:
    """One network, tuned one way, on the photos of one seed."""
    train, test = photos(seed)
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            None, train, target_label="label", method="target_only", backbone=backbone, tune=tune, training=TRAINING,
            plain_baseline=False, seed=seed, device="cpu", out=Path(folder) / "run",
        )  # fmt: skip
        found = run.evaluate(test)
    return {"accuracy": found["metrics"]["accuracy"], "interval": found["interval"], "n": found["n"],
            "seconds": run.result["arms"][0]["seconds"]}  # fmt: skip


def photos(seed: int) -> tuple[Domain, Domain]:
    """Photos to learn from, and others."""
    every = ac.read(f"{FILE}?folder=photo", label="label")
    every = every.select(generator(seed, "tutorial").permutation(len(every))[:ROWS])
    train, test = (every.select(rows) for rows in split(every, 0.25, seed))
    return train, test
