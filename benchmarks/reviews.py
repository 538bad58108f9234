"""Product reviews to movie reviews: fine-tuned MiniLM, source only and DANN, beside TF-IDF."""

from __future__ import annotations

from itertools import product
from typing import Any

from benchmarks.common import DATA, SEEDS, measure, say, summary, write

SOURCES = ("electronics", "kitchen")
BACKBONE = {"name": "minilm", "max_length": 192}
TRAINING = {"epochs": 3, "batch_size": 16}
"""The defaults of the backbone (AdamW, 1e-4); nothing was tuned on the target."""


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: 2,000 labelled product reviews (a fifth held out), 2,000 IMDB reviews unlabelled;
    figures on the same IMDB reviews (transductive), with their labels opened afterwards."""
    results: dict[str, Any] = {}
    for tune, source, seed in product(("frozen", "full"), SOURCES, seeds):
        run = _run(source, tune, seed)
        found = results.setdefault(source, {"frozen": [], "full": []})
        found[tune].append(run)
        found["summary"] = {name: summary(found[name]) for name in ("frozen", "full") if found[name]}
        say(source, tune, seed, {k: round(100 * v["accuracy"], 1) for k, v in run["arms"].items()})
        say("   ", {k: v["seconds"] for k, v in run["arms"].items()}, run["decision"], run["verdict"])
        write("reviews", {"protocol": main.__doc__, "backbone": BACKBONE, "training": TRAINING, "results": results})


def _run(source: str, tune: str, seed: int) -> dict[str, Any]:
    return measure(
        f"{DATA}/text/amazon4_blitzer_raw.jsonl.gz?domain={source}",
        f"{DATA}/text/imdb_2000.jsonl.gz",
        f"{DATA}/text/imdb_2000.jsonl.gz",
        input="text",
        label="label",
        seed=seed,
        backbone=BACKBONE,
        method="dann",
        tune=tune,
        training=TRAINING if tune == "full" else {},
        plain_baseline=tune == "full",
    )
