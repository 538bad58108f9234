"""Rules of choice: from what is known of all arms without target labels to answers on the target's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np

from acclimate.selection.validators import average
from benchmarks.atlas.opening import Opened
from benchmarks.common import write

TOPS = (1, 3, 5)
NOISE = 1.0
"""Points below which a loss is not called harm where no interval is asked for."""
Probabilities = Mapping[str, np.ndarray]
Scores = Mapping[str, Mapping[str, float]]
Rule = Callable[[Probabilities, Scores], np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What a rule would have cost on one trained cell, in points of accuracy.

    Attributes:
        regret: of the best arm.
        gain: over source_only, with its paired interval.
    """

    cell: str
    dataset: str
    modality: str
    kind: str
    seed: int
    accuracy: float
    regret: float
    gain: float
    low: float
    high: float


def known(one: Opened) -> tuple[Probabilities, Scores]:
    """The arms' calibrated answers, and their label-free scores by validator; `auto` itself is no arm to choose."""
    rows = {arm["name"]: arm["label_free"]["validators"] for arm in one.result["arms"] if arm["role"] != "adapted"}
    said = {name: one.arrays[name]["target_probabilities"].astype(np.float64) for name in rows}
    names = sorted({name for row in rows.values() for name in row})
    return said, {key: {name: row[key] for name, row in rows.items() if key in row} for key in names}


def rules(validators: Iterable[str]) -> dict[str, Rule]:
    """Every rule by name: fixed ones, and for each validator the average of its best few arms."""

    def always(name: str) -> Rule:
        return lambda said, scores: said.get(name, said["source_only"])

    def top(validator: str, many: int) -> Rule:
        def rule(said: Probabilities, scores: Scores) -> np.ndarray:
            rated = scores.get(validator, {})
            return average(said, rated, many) if rated else said["source_only"]

        return rule

    found: dict[str, Rule] = {"source_only": always("source_only"), "mcc": always("mcc"), "dann": always("dann")}
    found["average of all"] = lambda said, scores: np.mean(list(said.values()), axis=0)
    for validator in validators:
        found |= {f"top {many} by {validator}": top(validator, many) for many in TOPS}
    return found


def outcome(one: Opened, said: Probabilities, answer: np.ndarray) -> Outcome:
    """Of one rule on one trained cell."""
    oracle = max(one.accuracy(values) for values in said.values())
    gain, low, high = one.difference(answer, said["source_only"])
    accuracy, cell = one.accuracy(answer), one.cell
    return Outcome(
        cell.name, cell.dataset, cell.modality, cell.kind, one.seed, accuracy, oracle - accuracy, gain, low, high
    )


def summary(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Means over cells (seeds averaged within a cell), the spread over seeds that all have, and the share harmed."""
    outcomes = list(outcomes)
    cells = sorted({one.cell for one in outcomes})
    seeds = set.intersection(*({one.seed for one in outcomes if one.cell == cell} for cell in cells))
    each = [mean(one.regret for one in outcomes if one.seed == seed) for seed in sorted(seeds)]

    def over(value: Callable[[Outcome], float]) -> float:
        return round(mean(mean(value(one) for one in outcomes if one.cell == cell) for cell in cells), 2)

    return {
        "cells": len(cells),
        "runs": len(outcomes),
        "accuracy": over(lambda one: one.accuracy),
        "regret": over(lambda one: one.regret),
        "regret_sd": round(stdev(each), 2) if len(each) > 1 else 0.0,
        "gain": over(lambda one: one.gain),
        "harm": over(lambda one: 100.0 * (one.high < 0)),
        "loss": over(lambda one: 100.0 * (one.gain < -NOISE)),
    }


def study(part: str, trained: Iterable[Opened]) -> None:
    """``results/atlas_rules_PART.json``: every rule, by kind of cell and by modality."""
    found: dict[str, list[Outcome]] = {}
    for one in trained:
        said, scores = known(one)
        named = rules(sorted(scores)) | {"deployed": _deployed(one), "auto": _auto(one)}
        for name, rule in named.items():
            found.setdefault(name, []).append(outcome(one, said, rule(said, scores)))
        if one.result["decision"] != "do_not_deploy":
            found.setdefault("deployed, not refused", []).append(found["deployed"][-1])
        oracle = max(said, key=lambda name: one.accuracy(said[name]))
        found.setdefault("oracle", []).append(outcome(one, said, said[oracle]))
    values = {}
    for name, outcomes in found.items():
        values[name] = {kind: summary(o for o in outcomes if o.kind == kind) for kind in _kinds(outcomes)}
        values[name]["modality"] = {
            m: summary(o for o in outcomes if o.modality == m and o.kind == "natural")
            for m in sorted({o.modality for o in outcomes if o.kind == "natural"})
        }
    write(f"atlas_rules_{part}", {"rules": values})


def _kinds(outcomes: Iterable[Outcome]) -> list[str]:
    return sorted({one.kind for one in outcomes})


def _deployed(one: Opened) -> Rule:
    """The model that the run's own decision chose."""
    return lambda said, scores: one.arrays[one.result["model"]]["target_probabilities"].astype(np.float64)


def _auto(one: Opened) -> Rule:
    """The pupil, whatever was decided."""
    return lambda said, scores: one.arrays[one.result["adapted"]]["target_probabilities"].astype(np.float64)
