"""The 12 pairs of Amazon reviews in HATN's protocol: MiniLM fine-tuned once a source, the rest on cached features.

What was measured is kept in ``runs/hatn`` and not measured again; delete that folder to begin anew.
"""

from __future__ import annotations

import json
import shutil
from itertools import permutations
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import acclimate as ac
from acclimate.files import read_json, write_json
from benchmarks.common import DATA, ROOT, SEEDS, measure, say, write

DOMAINS = ("books", "dvd", "electronics", "kitchen")
FILE = f"{DATA}/text/amazon4_hatn6000_raw.jsonl.gz?domain="
BACKBONE = {"name": "minilm", "max_length": 192}
TRAINING = {"epochs": 2, "batch_size": 16}
"""The backbone's defaults (AdamW, 1e-4); two epochs to stay within half an hour a source."""
READ = {"input": "text", "label": "label", "validation": 400 / 6000}
"""The rows held out are the same for the backbone and for all arms: no arm is judged on rows that it was taught."""
DONE = ROOT / "runs" / "hatn"


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: 5,600 labelled reviews of the source, 400 held out; all 6,000 of the target without labels, on which
    the figures are then taken (transductive). auto chooses without labels."""
    pairs: dict[str, list[dict[str, Any]]] = {}
    encoders: dict[str, list[float]] = {}
    for seed in seeds:
        for source, target in permutations(DOMAINS, 2):
            encoder = _encoder(source, seed)
            seconds = read_json(encoder / "result.json")["seconds"]
            encoders[f"{source} {seed}"] = seconds
            run = _pair(source, target, seed, encoder)
            pairs.setdefault(f"{source}-{target}", []).append(run)
            say(source, target, seed, f"encoder {seconds:.0f} s, arms {run['seconds']} s", run["decision"])
            say("   ", {name: round(100 * arm["accuracy"], 2) for name, arm in run["arms"].items()})
            _report(pairs, encoders)


def _encoder(source: str, seed: int) -> Path:
    """The folder of a run that fine-tuned the backbone on the source."""
    folder = DONE / f"{source}-{seed}"
    if not (folder / "result.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        ac.adapt(
            FILE + source,
            backbone=BACKBONE,
            method="source_only",
            tune="full",
            training=TRAINING,
            plain_baseline=False,
            seed=seed,
            out=folder,
            **READ,
        )
    return folder


def _pair(source: str, target: str, seed: int, encoder: Path) -> dict[str, Any]:
    path = DONE / f"{source}-{target}-{seed}.json"
    if not path.is_file():
        options = {**READ, "seed": seed, "backbone": str(encoder), "method": "auto", "tune": "frozen"}
        write_json(path, measure(FILE + source, FILE + target, FILE + target, **options))
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _report(pairs: dict[str, list[dict[str, Any]]], encoders: dict[str, float]) -> None:
    seeds = range(min(len(runs) for runs in pairs.values()))
    summary = {}
    for name in ("deployed", "source_only", "auto", "plain"):
        values = [mean(_accuracy(runs[k], name) for runs in pairs.values()) for k in seeds]
        summary[name] = {"mean": round(mean(values), 2), "sd": round(stdev(values), 2) if len(values) > 1 else 0.0}
    content = {"protocol": main.__doc__, "backbone": BACKBONE, "training": TRAINING, "summary": summary}
    write("hatn", {**content, "encoder_seconds": encoders, "pairs": pairs})


def _accuracy(run: dict[str, Any], name: str) -> float:
    return 100 * float(run["deployed"] if name == "deployed" else run["arms"][name]["accuracy"])
