"""The 12 pairs of the DANN paper's own Amazon files with the paper's shallow network."""

from __future__ import annotations

import statistics
from itertools import permutations
from typing import Any

from benchmarks.common import DATA, SEEDS, measure, say, write

DOMAINS = ("books", "dvd", "electronics", "kitchen")
FILE = f"{DATA}/text/amazon4_dann_svmlight.zip"
BACKBONE = {"name": "mlp", "hidden": [100], "activation": "sigmoid", "standardize": False, "binarize": True}
METHOD = {"name": "dann", "hidden": 0, "strength": 1.0}
"""The paper's: one hidden layer of 100 sigmoid units, a logistic domain classifier on it (section 5.1.2)."""
TRAINING = {"epochs": 10, "batch_size": 32, "learning_rate": 1e-3, "keep": "source"}
"""Early stopping on the source's validation rows, as the paper's own code does."""


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: 2,000 labelled source and 2,000 unlabelled target rows, a tenth of the source held out,
    figures on the target's test file; features binarised."""
    pairs: dict[str, Any] = {}
    for source, target in permutations(DOMAINS, 2):
        name = f"{source[0].upper()}>{target[0].upper()}"
        pairs[name] = [_run(source, target, seed) for seed in seeds]
        say(name, {arm: [round(100 * run["arms"][arm]["accuracy"], 1) for run in pairs[name]] for arm in ARMS})
    means = {
        arm: [
            100 * statistics.mean(runs[k]["arms"][arm]["accuracy"] for runs in pairs.values())
            for k in range(len(seeds))
        ]
        for arm in ARMS
    }
    means["deployed"] = [
        100 * statistics.mean(runs[k]["deployed"] for runs in pairs.values()) for k in range(len(seeds))
    ]
    summary = {
        arm: {"mean": round(statistics.mean(v), 2), "sd": round(statistics.stdev(v), 2) if len(v) > 1 else 0.0}
        for arm, v in means.items()
    }
    say("mean of 12 pairs", summary)
    settings = {"backbone": BACKBONE, "method": METHOD, "training": TRAINING}
    write("amazon", {"protocol": main.__doc__, **settings, "summary": summary, "pairs": pairs})


ARMS = ("source_only", "dann", "plain")


def _run(source: str, target: str, seed: int) -> dict[str, Any]:
    return measure(
        f"{FILE}?member={source}_train&features=5000",
        f"{FILE}?member={target}_train&features=5000",
        f"{FILE}?member={target}_test&features=5000",
        label="y",
        seed=seed,
        backbone=BACKBONE,
        method=METHOD,
        tune="full",
        training=TRAINING,
        validation=0.1,
    )
