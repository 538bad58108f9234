"""Remaining life of NASA's turbofans: from engines with one fault (FD001) to engines with two (FD003)."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pandas as pd

import acclimate as ac
from benchmarks.common import DATA, RESULTS, SEEDS, say, write

FOLDER = DATA / "sensors"
NAME = "turbofans"
METHODS = ("dann", "coral", "mmd")
WINDOW = "time=cycle&window=30"
METRICS = ("rmse", "mae", "nasa_score")


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: source, 100 engines of FD001 that ran until they failed, windows of 30 cycles, every 5th; target, the
    100 test engines of FD003 (and of FD001, to see what is possible without a shift) as windows without labels;
    figures on the last window of each, lives capped at 125 cycles. The training part of FD003 is not in the data
    folder: methods learn from the recordings that are tested, all but their labels (transductive). Nothing was
    tuned."""
    path = RESULTS / f"{NAME}.json"
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())["runs"] if path.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        places = {name: with_lives(name, Path(folder)) for name in ("FD001", "FD003")}
        for seed in seeds:
            for name, place in places.items():
                for method in METHODS:
                    runs = found.setdefault(f"{name} {method}", [])
                    if any(run["seed"] == seed for run in runs):
                        continue
                    runs.append(cell(place, method, seed))
                    say(seed, name, runs[-1]["decision"], {k: round(v["rmse"], 1) for k, v in runs[-1]["arms"].items()})
                    report(found)


def cell(place: Path, method: str, seed: int) -> dict[str, Any]:
    """One method: RMSE and score of every arm and of the mean life."""
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            f"{FOLDER}/cmapss_train_FD001.csv.gz?{WINDOW}&stride=5", f"{place}?stride=5", modality="series",
            task="remaining_life", label="steps_left", group="unit", method=method, seed=seed, out=Path(folder) / "run",
        )  # fmt: skip
        said = run.evaluate(f"{place}?take=last", label="rul")
        scores = {**said["arms"], **{f"{name} (baseline)": arm for name, arm in said["baselines"].items()}}
        arms = {name: {metric: arm["metrics"][metric] for metric in METRICS} for name, arm in scores.items()}
        return {"seed": seed, "decision": run.decision, "verdict": run.verdict, "n": said["n"], "arms": arms}


def with_lives(name: str, folder: Path) -> Path:
    """The test engines with the life that is left after each cycle, as a file of its own."""
    frame = pd.read_csv(FOLDER / f"cmapss_test_{name}.csv.gz")
    with gzip.open(FOLDER / "cmapss_rul.json.gz") as stream:
        lives = json.load(stream)[name]
    after = frame["unit"].map(dict(enumerate(lives, 1)))
    frame["rul"] = after + frame.groupby("unit")["cycle"].transform("max") - frame["cycle"]
    frame.to_csv(folder / f"{name}.csv", index=False)
    return folder / f"{name}.csv"


def report(found: dict[str, list[dict[str, Any]]]) -> None:
    """Everything so far: mean and deviation over the seeds."""
    done: dict[str, Any] = {}
    for name, runs in found.items():
        for arm in runs[0]["arms"] if runs else ():
            for metric in METRICS:
                values = [run["arms"][arm][metric] for run in runs]
                spread = stdev(values) if len(values) > 1 else 0.0
                done.setdefault(name, {}).setdefault(arm, {})[metric] = {"mean": mean(values), "sd": spread}
    write(NAME, {"protocol": main.__doc__, "summary": done, "runs": found})
