"""Bearings of Case Western Reserve University: faults learned at one load, found at another, all twelve pairs."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import DATA, RESULTS, SEEDS, measure, say, summary, write

FILE = DATA / "sensors" / "cwru_12k_drive_end.npz"
NAME = "bearings"
LOADS = (0, 1, 2, 3)
AUTO = {"name": "auto", "candidates": ["dann", "mmd", "coral", "mcc", "shot"]}


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: nine faults (class N is recorded at load 0 only, and left out), 64 windows of 1,024 samples of each at
    each load, one recording for each fault and load. Source: all windows of one load, of whose recordings contiguous
    quarters are held out. Target: the first half of each recording at another load, without labels; figures on the
    second half, resampled by quarters. Recordings of source and target are never the same. `series_cnn` with its own
    settings; nothing was tuned."""
    path = RESULTS / f"{NAME}.json"
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())["runs"] if path.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        place = halved(Path(folder) / "cwru.npz")
        for seed in seeds:
            for pair in ((a, b) for a in LOADS for b in LOADS if a != b):
                runs = found.setdefault(f"{pair[0]} to {pair[1]}", [])
                if any(run["seed"] == seed for run in runs):
                    continue
                runs.append(cell(place, *pair, seed))
                say(seed, pair, runs[-1]["decision"], {k: round(v["accuracy"], 3) for k, v in runs[-1]["arms"].items()})
                report(found)


def cell(place: Path, source: int, target: int, seed: int) -> dict[str, Any]:
    """One pair of loads."""
    there = f"{place}?load={target}&y!=N&half="
    return measure(
        f"{place}?load={source}&y!=N", f"{there}first", f"{there}second", label="y", seed=seed, modality="series",
        group="quarter", method=AUTO,
    )  # fmt: skip


def halved(path: Path) -> Path:
    """The windows with the half and the quarter of the recording that each is of."""
    with np.load(FILE) as arrays:
        held = dict(arrays)
    recording = np.char.add(np.char.add(held["class_names"][held["y"]], " "), held["load"].astype(str))
    place = np.zeros(len(recording), dtype=int)
    for name in np.unique(recording):
        own = np.flatnonzero(recording == name)
        place[own] = np.arange(len(own)) * 4 // len(own)
    quarter = np.char.add(np.char.add(recording, " "), place.astype(str))
    np.savez(path, **held, half=np.where(place < 2, "first", "second"), quarter=quarter)
    return path


def report(found: dict[str, list[dict[str, Any]]]) -> None:
    """Everything so far: each pair's mean, and the mean over pairs, in per cent."""
    done = {pair: summary(runs) for pair, runs in found.items() if runs}
    arms = next(iter(done.values()))
    over = {arm: round(float(np.mean([by[arm]["mean"] for by in done.values()])), 2) for arm in arms}
    write(NAME, {"protocol": main.__doc__, "method": AUTO, "mean": over, "pairs": done, "runs": found})
