"""python -m benchmarks.meta.omniglot [--methods ...] [--settings 5w1s,...] [--seeds 0,1,2] [--times 1]

Omniglot in the usual split: 1,200 random characters of all 1,623 to learn from, the rest for the test; each image
turned by quarters is of a class of its own; four convolutions of 64. `oneshot` are the 20 official runs (20 ways, one
alphabet, one shot), for which only the background set is learned from. A run is kept in results/omniglot.json by
method, setting and seed, and done anew only with --again, so that the table can be filled over several days. A training
has so many steps as one thread of a quiet CPU does in 5 to 8 minutes, --times as many.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import acclimate as ac
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain, join
from acclimate.seeds import generator
from benchmarks.common import DATA, SEEDS, say, write

RESULTS = Path(__file__).resolve().parent / "results"
TRAINED_ON = 1200
EPISODES = 600
SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1), "20w5s": (20, 5), "oneshot": (20, 1)}
PUBLISHED = {
    "maml": {"5w1s": 98.7, "5w5s": 99.9, "20w1s": 95.8, "20w5s": 98.9},
    "maml++": {"5w1s": 99.47, "5w5s": 99.85, "20w1s": 97.65, "20w5s": 99.33},
    "protonet": {"5w1s": 98.8, "5w5s": 99.7, "20w1s": 96.0, "20w5s": 98.9},
}
"""Finn et al. 2017, Antoniou et al. 2019, Snell et al. 2017: accuracy in per cent."""


STEPS = {
    "protonet": {"5w1s": 600, "5w5s": 600, "20w1s": 600, "20w5s": 600},
    "maml": {"5w1s": 1500, "5w5s": 500, "20w1s": 150, "20w5s": 40},
    "maml++": {"5w1s": 600, "5w5s": 200, "20w1s": 150, "20w5s": 50},
}
"""Steps of a training; of 8 tasks each, of prototypes one."""


def recipe(method: str, ways: int, shots: int) -> dict[str, Any]:
    """What is learned, how: as in the papers, but for fewer and smaller steps. As many queries a class in training as
    shots (Finn et al. 2017, appendix A.1), one (Antoniou et al. 2019), or five of 60 ways (Snell et al. 2017).
    """
    if method == "protonet":
        return {"method": "protonet", "ways": 60, "shots": shots, "queries": 5, "training": {"batch_size": 1}}
    learner: dict[str, Any] = {"name": method, "steps": 1 if ways == 5 else 5, "rate": 0.4 if ways == 5 else 0.1}
    if method == "maml":
        learner["test_steps"] = 3 if ways == 5 else 5
    else:
        learner |= {"steps": 5, "rate": 0.1}
    queries = shots if method == "maml" else 1
    return {"method": learner, "ways": ways, "shots": shots, "queries": queries, "training": {"batch_size": 8}}


def characters(part: str) -> Domain:
    place = f"{DATA}/omniglot/omniglot28_{part}.npz?x=x&y=character"
    return ac.read(place, label="character", modality="image", name=f"omniglot {part}")


def usual_split(seed: int) -> tuple[Domain, Domain]:
    """Characters to learn from, and all others."""
    whole = join([characters(part) for part in ("background", "evaluation")])
    assert whole.labels is not None
    names = np.unique(whole.labels.astype(str))
    chosen = names[generator(seed, "omniglot").permutation(len(names))[:TRAINED_ON]]
    inside = np.isin(whole.labels.astype(str), chosen)
    return tuple(replace(whole.select(np.flatnonzero(rows)), name="omniglot") for rows in (inside, ~inside))


def measure(method: str, setting: str, seed: int, times: float) -> dict[str, Any]:
    """Train, then open the test once."""
    ways, shots = SETTINGS[setting]
    asked = recipe(method, ways, shots)
    train, test = (characters("background"), None) if setting == "oneshot" else usual_split(seed)
    steps = round(times * STEPS[method].get(setting, STEPS[method]["20w1s"]))
    training = {"steps": steps, "optimizer": "adam", "schedule": "cosine", **asked.pop("training")}
    with tempfile.TemporaryDirectory() as folder:
        run = ac.meta_train(
            train, **asked, turns=True, backbone="conv4", label="character", seed=seed, device="cpu",
            precision="fp32", training=training, validation=0.05, out=Path(folder) / "run",
        )  # fmt: skip
        result = run.result
        found = {
            "method": method,
            "setting": setting,
            "seed": seed,
            "steps": result["steps"],
            "tasks": result["steps"] * training["batch_size"],
            "seconds": result["seconds"],
            "held_out": result["held_out"],
            "curve": curve(run.folder, result),
        }
        if test is None:
            return {**found, "error": oneshot(run)}
        shape = {"ways": ways, "shots": shots, "queries": 15 if ways == 5 else 5}
        value = run.evaluate(test, episodes=EPISODES, shape=shape, seed=seed, device="cpu")
        return {**found, "accuracy": value["metrics"]["accuracy"], "baselines": value["baselines"]}


def curve(folder: Path, result: dict[str, Any]) -> list[list[float]]:
    """Steps, seconds, and accuracy on held-out characters."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    pace = result["seconds"] / max(1, result["steps"])
    return [[row["step"], round(row["step"] * pace, 1), round(row["score"], 4)] for row in rows if "score" in row]


def oneshot(run: ac.MetaRun) -> dict[str, float]:
    """The share of wrong answers in the 20 official runs, and its deviation between them."""
    taught = run.learned
    with np.load(DATA / "omniglot" / "omniglot28_oneshot20_runs.npz") as file:
        support, query, answer = (file[name] for name in ("support", "query", "answer"))
    wrong = []
    for known, asked, right in zip(support, query, answer, strict=True):
        x, z = (taught.model.backbone.collate(list(images))[None] for images in (known, asked))
        said = taught.answers(Batch(x, torch.arange(len(known))[None]), z)[0].argmax(-1).numpy()
        wrong.append(float(np.mean(said != right)))
    return {"mean": round(float(np.mean(wrong)), 4), "sd": round(float(np.std(wrong, ddof=1)), 4)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--methods", default="protonet,maml,maml++")
    parser.add_argument("--settings", default="5w1s,5w5s,20w1s,20w5s")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--times", type=float, default=1.0)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    for seed in map(int, args.seeds.split(",")):
        for setting in args.settings.split(","):
            for method in args.methods.split(","):
                key = (method, setting, seed)
                if key in {(r["method"], r["setting"], r["seed"]) for r in kept()} and not args.again:
                    continue
                found = measure(*key, args.times)
                rest = [r for r in kept() if (r["method"], r["setting"], r["seed"]) != key]
                runs = sorted([*rest, found], key=lambda r: (r["method"], r["setting"], r["seed"]))
                write("omniglot", {"published": PUBLISHED, "episodes": EPISODES, "runs": runs}, RESULTS)
                say(*key, found["steps"], found.get("accuracy", found.get("error")), found["curve"][-3:])


def kept() -> list[dict[str, Any]]:
    """The runs that were measured."""
    path = RESULTS / "omniglot.json"
    return json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []


if __name__ == "__main__":
    main()
