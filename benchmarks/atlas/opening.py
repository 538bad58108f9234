"""Opening the seal of cells: one JSON line for each cell, method, setting and seed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.atlas.cells import Cell
from benchmarks.atlas.places import domains
from benchmarks.atlas.train import load
from benchmarks.common import RESULTS


@dataclass(frozen=True)
class Opened:
    """One trained cell with the target's labels, for one seed.

    Attributes:
        cell: which one.
        seed: of the training.
        result: of the run.
        arrays: of each arm, see `acclimate.runs.evidence`.
        truth: ``[n]`` indices of the classes of the target's rows.
    """

    cell: Cell
    seed: int
    result: dict[str, Any]
    arrays: dict[str, dict[str, np.ndarray]]
    truth: np.ndarray

    def right(self, probabilities: np.ndarray) -> np.ndarray:
        """Whether the likeliest class of each row is the true one ``[n]``."""
        return probabilities.argmax(axis=1) == self.truth

    def accuracy(self, probabilities: np.ndarray) -> float:
        """In points of 100."""
        return 100 * float(self.right(probabilities).mean())

    def balanced(self, probabilities: np.ndarray) -> float:
        """Mean accuracy of the classes that are there, in points of 100."""
        right = self.right(probabilities)
        return 100 * float(np.mean([right[self.truth == k].mean() for k in np.unique(self.truth)]))

    def difference(self, one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
        """Points by which one is better, with its paired 95 % interval (normal approximation)."""
        gain = 100 * (self.right(one).astype(float) - self.right(other))
        half = 1.96 * gain.std() / np.sqrt(len(gain))
        return float(gain.mean()), float(gain.mean() - half), float(gain.mean() + half)


def opened(cells: Iterable[Cell], seeds: Iterable[int]) -> Iterable[Opened]:
    """The trained ones among these cells, with labels."""
    seeds = list(seeds)
    for cell in cells:
        truth = None
        for seed in seeds:
            found = load(cell, seed)
            if found is None:
                continue
            if truth is None:
                target = domains(cell)[1]
                assert target.labels is not None
                classes = {name: k for k, name in enumerate(found[0]["classes"])}
                truth = np.array([classes[name] for name in target.labels[target.order]])
            yield Opened(cell, seed, *found, truth)


def write(part: str, cells: Iterable[Cell], seeds: Iterable[int]) -> Path:
    """``results/atlas_PART.jsonl``, a line for each arm of each run."""
    path = RESULTS / f"atlas_{part}.jsonl"
    lines = [json.dumps(line) for one in opened(cells, seeds) for line in _lines(one)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _lines(one: Opened) -> Iterable[dict[str, Any]]:
    reference = one.arrays["source_only"]["target_probabilities"]
    for arm in one.result["arms"]:
        said = one.arrays[arm["name"]]["target_probabilities"]
        gain, low, high = one.difference(said, reference)
        method, _, setting = arm["name"].partition(":")
        yield {
            "cell": one.cell.name,
            "dataset": one.cell.dataset,
            "modality": one.cell.modality,
            "kind": one.cell.kind,
            "seed": one.seed,
            "method": method,
            "setting": setting,
            "rows": len(one.truth),
            "accuracy": round(one.accuracy(said), 3),
            "commonest_class": round(100 * float(np.bincount(one.truth).max()) / len(one.truth), 3),
            "balanced_accuracy": round(one.balanced(said), 3),
            "gain": round(gain, 3),
            "interval": [round(low, 3), round(high, 3)],
            "label_free": {name: round(value, 5) for name, value in arm["label_free"]["validators"].items()},
            "seconds": arm["seconds"],
            "decision": one.result["decision"],
        }
