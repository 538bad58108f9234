"""Predictions of every arm on every cell. Target labels are not used here: `open` does that."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import acclimate as ac
from acclimate.errors import AcclimateError
from acclimate.files import read_json, write_json
from benchmarks.atlas.cells import Cell
from benchmarks.atlas.places import domains
from benchmarks.common import ROOT, say

PREDICTIONS = ROOT / "runs" / "atlas"
FROZEN = (
    "dann", "cdan", "mcd", "mmd", "coral", "afn", "deepjdot", "ot_mapping", "mcc", "bnm", "fixmatch", "shot", "tent",
    "adabn", "mlls", "bbse", "importance_weighting", "dann+mcc",
)  # fmt: skip
"""Everything that learns from a labelled source and an unlabelled target; what a cell does not suit is left out."""
FULL = ("dann", "cdan", "mmd", "mcc", "bnm", "shot")


def train(cells: Iterable[Cell], seeds: Iterable[int]) -> None:
    """Every cell and seed that has no predictions yet; one that fails is told and left for the next call."""
    cells = list(cells)
    for seed in seeds:
        for cell in cells:
            place = PREDICTIONS / str(seed) / cell.name
            if not (place / "run.json").is_file():
                begun = time.monotonic()
                try:
                    _train(cell, seed, place)
                    say(f"{cell.name} seed {seed}: {time.monotonic() - begun:.0f} s")
                except AcclimateError as error:
                    say(f"{cell.name} seed {seed} FAILED: {error}")


def _train(cell: Cell, seed: int, place: Path) -> None:
    source, target = domains(cell)
    settings: dict[str, Any] = {"name": "auto", "candidates": list(FROZEN if cell.tune == "frozen" else FULL)}
    shutil.rmtree(place, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # arms that are left out are in the result's notes
        run = ac.adapt(
            source,
            target.sealed(),
            backbone=cell.backbone,
            method=settings,
            tune=cell.tune,
            training=dict(cell.training),
            seed=seed,
            out=Path(folder) / "run",
        )
        place.mkdir(parents=True)
        for arm in run.result["arms"]:
            shutil.copy(run.folder / "arms" / arm["name"] / "evidence.npz", place / f"{arm['name']}.npz")
        write_json(place / "run.json", {**run.result, "classes": _classes(run)})


def _classes(run: Any) -> list[str]:
    return read_json(run.folder / "arms" / run.result["adapted"] / "arm.json")["task"]["classes"]


def load(cell: Cell, seed: int) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]] | None:
    """The run's result and the arrays of each arm; None if the cell is not trained."""
    place = PREDICTIONS / str(seed) / cell.name
    if not (place / "run.json").is_file():
        return None
    result = json.loads((place / "run.json").read_text(encoding="utf-8"))
    arrays = {}
    for arm in result["arms"]:
        with np.load(place / f"{arm['name']}.npz", allow_pickle=False) as found:
            arrays[arm["name"]] = {name: found[name] for name in found.files}
    return result, arrays
