"""MNIST to MNIST-M with a small network from scratch: random colours, then a choice without labels."""

from __future__ import annotations

from typing import Any

import numpy as np

import acclimate as ac
from acclimate.seeds import generator
from benchmarks.common import DATA, SEEDS, measure, say, summary, write

ROWS = 6000
BACKBONE = {"name": "small_cnn", "channels": 3, "augment": "color"}
METHOD = {"name": "auto", "candidates": ["mmd", "mcc", "cdan", "bnm", "fixmatch"]}
TRAINING = {"epochs": 20, "batch_size": 64}
"""All were settled on a stand-in, MNIST digits laid over patches of photos of PACS, before MNIST-M was read."""


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: 6,000 labelled MNIST training rows, none of which the target's images were made of; 6,000 unlabelled
    MNIST-M training rows; figures on 3,000 MNIST-M test rows. auto chooses without labels."""
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        runs.append(_run(seed))
        say("mnist_m", seed, {name: round(100 * arm["accuracy"], 2) for name, arm in runs[-1]["arms"].items()})
        content = {"protocol": main.__doc__, "backbone": BACKBONE, "method": METHOD, "training": TRAINING}
        write("mnist_m", {**content, "summary": summary(runs), "runs": runs})


def _run(seed: int) -> dict[str, Any]:
    mnist = ac.read(f"{DATA}/digits/mnist.npz?x=x_train&y=y_train", label="y")
    target = ac.read(f"{DATA}/digits/mnist_m.npz?x=x_train")
    others = np.arange(len(target), len(mnist))  # row i of MNIST-M is row i of MNIST on another background
    source = mnist.select(generator(seed, "rows").permutation(others)[:ROWS])
    test = f"{DATA}/digits/mnist_m.npz?x=x_test&y=y_test"
    return measure(
        source,
        target,
        test,
        label="y",
        seed=seed,
        backbone=BACKBONE,
        method=METHOD,
        training=TRAINING,
        plain_baseline=False,
    )
