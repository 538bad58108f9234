"""What knowing something of the target is worth: its class shares, exactly or roughly, or a few labels.

Answered from the arms' answers on trained cells, by the functions that `auto` itself uses; the last step, the pupil
that learns the average, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from acclimate.methods.ensemble.auto import Auto
from acclimate.methods.label_shift.pieces import correct
from acclimate.runs.teacher import weights
from acclimate.seeds import generator
from acclimate.selection.shares import SLACK, match
from acclimate.selection.validators import ArmPredictions, average, best, score
from acclimate.selection.votes import votes
from benchmarks.atlas.opening import Opened
from benchmarks.atlas.rules import Outcome, Probabilities, known, outcome, summary
from benchmarks.common import write

ERRORS = (0.0, 0.15, 0.3)
"""Standard deviation of the logarithm of each stated share."""
LABELS = (0, 10, 20, 50, 100)
DRAWS = 5
RARE = 1e-4
ECHOES = ("mlls", "bbse")
DEFAULT = Auto()


def study(part: str, trained: Iterable[Opened]) -> None:
    """``results/atlas_worth_PART.json``: by what is known, who chooses and the kind of cell."""
    shares: dict[str, list[Outcome]] = {}
    labels: dict[str, list[Outcome]] = {}
    for one in trained:
        said = known(one)[0]
        for error in ERRORS:
            _gather(shares, _by_shares(one, said, error), f"{error:.0%}")
        for count in LABELS:
            for draw in range(DRAWS if count else 1):
                _gather(labels, _by_labels(one, said, count, draw), str(count))
    write(f"atlas_worth_{part}", {"shares": _kinds(shares), "labels": _kinds(labels), "draws": DRAWS})


def _gather(found: dict[str, list[Outcome]], outcomes: Mapping[str, Outcome], known_of: str) -> None:
    for name, value in outcomes.items():
        found.setdefault(f"{name}, {known_of}", []).append(value)


def _kinds(found: Mapping[str, list[Outcome]]) -> dict[str, Any]:
    kinds = sorted({one.kind for outcomes in found.values() for one in outcomes})
    return {
        name: {kind: summary(o for o in outcomes if o.kind == kind) for kind in kinds}
        for name, outcomes in found.items()
    }


def _rated(said: Probabilities) -> dict[str, float]:
    arms = {name: ArmPredictions(values) for name, values in said.items()}
    return score(arms, [DEFAULT.validator])[DEFAULT.validator]


def _by_shares(one: Opened, said: Probabilities, error: float) -> dict[str, Outcome]:
    """Gains are over source_only as it is without the shares."""
    classes = said["source_only"].shape[1]
    stated = np.maximum(np.bincount(one.truth, minlength=classes) / len(one.truth), RARE)
    noise = generator(one.seed, "atlas", one.cell.name, "shares", str(error)).normal(0, error or 0, classes)
    stated = stated * np.exp(noise) / (stated * np.exp(noise)).sum()
    fitting = {name: _fitted(values, stated) for name, values in said.items() if name not in ECHOES}
    mean = _fitted(average(said, _rated(fitting), DEFAULT.top), stated)
    source = fitting["source_only"]
    others = [values for name, values in fitting.items() if name != "source_only"]
    sided = votes(mean, source, others).margin > 0
    answers = {"source_only": source, "average of all": np.mean(list(fitting.values()), axis=0), "auto": mean}
    answers["deployed"] = mean if sided else source
    return {name: outcome(one, said, values) for name, values in answers.items()}


def _fitted(answers: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return correct(answers, np.exp(match(answers, shares, SLACK)))


def _by_labels(one: Opened, said: Probabilities, count: int, draw: int) -> dict[str, Outcome]:
    """Judged on the rows whose labels were not looked at."""
    order = generator(one.seed, "atlas", one.cell.name, "labels", str(draw)).permutation(len(one.truth))
    rows, rest = order[:count], order[count:]
    asked = {name: values for name, values in said.items() if name not in ECHOES}
    names, rated = list(asked), _rated(asked)
    if not count:
        free = {"auto": average(said, rated, DEFAULT.top), "pick": said[best(rated, 1)[0]]}
        return {name: outcome(one, said, answers) for name, answers in free.items()}
    given = np.stack([said[name][rows, one.truth[rows]] for name in names], axis=1)
    right = {name: one.right(said[name])[rows].mean() + 1e-6 * rated[name] for name in names}
    parts = weights(best(rated, DEFAULT.top), names, given)
    answers = {
        "auto": np.tensordot(parts, np.stack([said[name] for name in names]), 1),
        "pick": said[max(right, key=lambda name: right[name])],
    }
    unseen = {name: values[rest] for name, values in said.items()}
    left = replace(one, truth=one.truth[rest])
    return {name: outcome(left, unseen, values[rest]) for name, values in answers.items()}
