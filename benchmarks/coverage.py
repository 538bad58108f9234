"""Prediction sets on the atlas' quick cells: is 90 % what was promised, and are the cells flagged where it is not?"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import acclimate as ac
from acclimate.domains.domain import Domain
from acclimate.errors import AcclimateError
from benchmarks.atlas.cells import CELLS, QUICK, Cell
from benchmarks.atlas.places import domains
from benchmarks.common import RESULTS, SEEDS, say, write

LEVEL = "0.9"
WITHIN = 0.02
PROMISED = ("exchangeable", "weighted")


def main(seeds: tuple[int, ...] = SEEDS, names: tuple[str, ...] = QUICK) -> None:
    """Protocol: each of the atlas' 12 quick cells, the model of the source alone (source_only, the cell's own
    backbone), sets of 90 % calibrated on a fifth of the source's rows without a label of the target; then the target's
    labels are opened and the realised coverage is counted, also of plain split conformal sets that nobody promised.
    A cell is flagged where the run refused to promise sets, before any label was opened. Beside it, the calibration
    error uncalibrated, with the source's temperature, with the one weighted towards the target, and with TransCal.
    Nothing was tuned on these cells; seeds are those of split and training. What was measured is kept."""
    path = RESULTS / "coverage.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    done = {(run["cell"], run["seed"]) for run in runs}
    for seed in seeds:
        for name in names:
            if (name, seed) in done:
                continue
            try:
                runs.append(cell(CELLS[name], seed))
            except AcclimateError as error:
                say(f"{name} seed {seed} FAILED: {error}")
                continue
            say(name, seed, runs[-1]["promise"], runs[-1]["coverage"], runs[-1]["size"])
            write("coverage", {"protocol": main.__doc__, "summary": summary(runs), "runs": runs})


def cell(one: Cell, seed: int) -> dict[str, Any]:
    """One cell: what was promised, and what came of it."""
    source, target = domains(one)
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            source, target.sealed(), method="source_only", backbone=one.backbone, tune=one.tune,
            training=dict(one.training), plain_baseline=False, seed=seed, out=Path(folder) / "run",
        )  # fmt: skip
        found = run.evaluate(replace(target, groups=None))
        plain = plainly(run.model, target)
    told = found["certainty"]
    here = (told["target"]["sets"] or {}).get(LEVEL)
    return {
        "cell": one.name,
        "modality": one.modality,
        "part": one.part,
        "kind": one.kind,
        "seed": seed,
        "accuracy": found["metrics"]["accuracy"],
        **{key: told[key] for key in ("promise", "why", "rows", "effective_rows", "test")},
        "coverage": None if here is None else here["coverage"],
        "interval": None if here is None else here["interval"],
        "size": None if here is None else here["size"],
        "plain": plain,
        "ece": told["target"]["calibration"]["ece"],
        "abstain": told["target"]["abstain"],
    }


def plainly(model: ac.Predictor, target: Domain) -> float:
    """The coverage on the target of sets whose calibration takes no notice of any shift (Vovk et al. 2005)."""
    assert model.certainty is not None and target.labels is not None
    answers = model.answers(target.sealed())
    assert answers.probabilities is not None
    held = np.sort(model.certainty.strangeness)
    place = {name: k for k, name in enumerate(answers.classes)}
    right = answers.probabilities[np.arange(len(target)), [place[str(label)] for label in target.labels]]
    bar = held[min(math.ceil((len(held) + 1) * float(LEVEL)), len(held)) - 1]
    return float(((1 - right <= bar) | (right == answers.probabilities.max(axis=1))).mean())  # the answer is always in


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """How many runs were promised sets, and how many of these are within two points of 90 %, or not below 88 %."""
    promised = [run for run in runs if run["promise"] in PROMISED]
    errors = {name: [run["ece"][name] for run in runs if name in run["ece"]] for name in runs[0]["ece"]}
    return {
        "runs": len(runs),
        "promised": len(promised),
        "within": sum(abs(run["coverage"] - float(LEVEL)) <= WITHIN for run in promised),
        "not_below": sum(run["coverage"] >= float(LEVEL) - WITHIN for run in promised),
        "flagged": len(runs) - len(promised),
        "ece": {name: sum(values) / len(values) for name, values in errors.items() if values},
    }


if __name__ == "__main__":
    main()
