"""Certainty in a run: what is measured of an arm while the seal is closed, and what opened labels say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.methods.data import Data
from acclimate.selection.validators.weighted import tell_apart
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import Task
from acclimate.trust.certainty.calibrate import reliability, softmax, temperature, transcal
from acclimate.trust.certainty.certainty import DIFFERENT, LEVEL, Certainty, coverage, judge, summary
from acclimate.trust.certainty.conformal import supports
from acclimate.trust.certainty.neighbours import BANK
from acclimate.trust.certainty.overlap import PENALTIES, Overlap
from acclimate.trust.fairness.groups import FEWEST

if TYPE_CHECKING:
    from acclimate.runs.train import Bench

LEVELS = (0.8, LEVEL, 0.95)
RATES = (0.05, 0.1, 0.2)
TUNED_BANK = 1000
"""Of a backbone that was tuned, each row of the bank costs a pass through it."""


@dataclass(frozen=True)
class HeldOut:
    """The labelled rows that certainty is measured on, and how they stand to the target.

    Attributes:
        name: of the outputs: "labelled" (the target's), "narrowed" or "source".
        labels: ``[n]`` canonical.
        rows: how many of the first ones are used: those whose features are known.
        overlap: of these rows and the target's; None where not known or not needed.
        weights: ``[rows]`` of source rows towards the target as validators weigh them, by the strongest penalty; None
            where not known.
    """

    name: str
    labels: np.ndarray
    rows: int
    overlap: Overlap | None
    weights: np.ndarray | None = None


def held_out(
    task: Task,
    data: Data,
    outputs: Mapping[str, Mapping[str, np.ndarray]],
    features: Mapping[str, np.ndarray],
    seed: int,
    sharp: bool = True,
) -> HeldOut | None:
    """Held-out rows of the target where labels were permitted, else of the source, as the target's rows are read.

    Unless ``sharp``, the overlap is by the strongest penalty alone, which costs a third.
    """
    if task.kind not in ("class", "number"):
        return None
    for name, domain, own in (
        ("labelled", data.labelled_target_validation, task == data.target_task),
        ("narrowed", data.source_validation, task == data.source_task),
        ("source", data.source_validation, task == data.source_task),
    ):
        if name not in outputs or domain is None or domain.labels is None or not own:
            continue
        if name == "labelled":
            return HeldOut(name, domain.labels, len(domain), None)
        sides = [_features(name, outputs, features), _features("target", outputs, features)]
        if sides[0] is None or sides[1] is None:
            return HeldOut(name, domain.labels, len(domain) if sides[0] is None else len(sides[0]), None)
        first = tell_apart(sides[0], sides[1], seed)
        weights = None if first is None or name != "source" else first.weights()
        overlap = _sharpest(first, sides[0], sides[1], seed) if sharp else first
        return HeldOut(name, domain.labels, len(sides[0]), overlap, weights)
    return None


def _sharpest(first: Overlap | None, source: np.ndarray, target: np.ndarray, seed: int) -> Overlap | None:
    """The overlap by the penalty with the best log loss out of fold, where rows differ; tests are by the first."""
    if first is None or first.p_value >= DIFFERENT:
        return first
    others = [found for c in PENALTIES[1:] if (found := tell_apart(source, target, seed, c)) is not None]
    best = min([first, *others], key=lambda found: found.loss)
    return replace(best, auc=first.auc, p_value=first.p_value)


def _features(
    name: str, outputs: Mapping[str, Mapping[str, np.ndarray]], features: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """One vector a row, as the head reads it; None where there is none."""
    if name not in features or name not in outputs:
        return None
    found, rows = features[name], len(next(iter(outputs[name].values())))
    return found if found.ndim == 2 and len(found) <= rows else None


def bank(bench: Bench) -> np.ndarray | None:
    """Features of rows that were trained on, in an order that depends on content alone."""
    data, task = bench.shop.prepared.data, bench.model.task
    train = data.source if data.source is not None and task == data.source_task else data.labelled_target
    if bench.arm.role == "candidate" or task.kind not in ("class", "number") or task.reads != "row" or train is None:
        return None
    size = TUNED_BANK if bench.features is None else BANK
    return bench.look(train.select(train.order[:size])).get("features")


def temperatures(
    task: Task, outputs: Mapping[str, Mapping[str, np.ndarray]], held: HeldOut | None, deployed: float
) -> dict[str, float] | None:
    """Other temperatures than that of the held-out rows, by what they fit; None where there is nothing to fit."""
    if task.kind != "class" or held is None or held.overlap is None or "target" not in outputs:
        return None
    logits = np.asarray(outputs[held.name]["logits"], dtype=float)[: held.rows]
    if not np.isfinite(logits).all() or not np.isfinite(outputs["target"]["logits"]).all():
        return None
    targets, weights = task.encode(held.labels[: held.rows]).numpy(), held.overlap.weights()
    wrong = logits.argmax(axis=1) != targets
    confidence = float(softmax(logits / deployed).max(axis=1).mean())
    return {
        "weighted": temperature(logits, targets, weights=weights),
        "transcal": transcal(outputs["target"]["logits"], weights, wrong, confidence),
    }


def measure(
    task: Task,
    outputs: Mapping[str, Mapping[str, np.ndarray]],
    features: Mapping[str, np.ndarray],
    held: HeldOut | None,
    trained: np.ndarray | None,
    heat: float,
    offsets: Sequence[float],
    merged: bool,
) -> Certainty | None:
    """The certainty of an arm (`judge`); None where answers are neither classes nor numbers, or no rows held out."""
    if task.kind not in ("class", "number") or held is None:
        return None
    output = {name: values[: held.rows] for name, values in outputs[held.name].items()}
    answers, labels = task.decode(output, heat, offsets), held.labels[: held.rows]
    if not np.isfinite(_numbers(answers)).all():
        return None
    own = _features(held.name, outputs, features)
    return judge(
        strangeness=strangeness(task, answers, labels),
        confidence=answers.confidence,
        wrong=None if answers.probabilities is None else answers.prediction != labels,
        overlap=held.overlap,
        target_rows=len(next(iter(outputs["target"].values()))) if "target" in outputs else 0,
        own_labels=held.name == "labelled",
        merged=merged,
        bank=trained if own is not None else None,
        held=None if own is None else own[: held.rows],
    )


def strangeness(task: Task, answers: Answers, labels: np.ndarray) -> np.ndarray:
    """How far from the answer each right one is ``[n]``: ``1 - p``, or the absolute error; 1 for an unknown class."""
    if answers.probabilities is None:
        return np.abs(answers.prediction - task.values(labels))
    column = {name: k for k, name in enumerate(answers.classes)}
    places = np.array([column.get(label, -1) for label in labels])
    found = 1 - answers.probabilities[np.arange(len(places)), places]
    return np.where(places < 0, 1.0, found)


def _numbers(answers: Answers) -> np.ndarray:
    return np.asarray(answers.prediction, dtype=float) if answers.probabilities is None else answers.probabilities


def record(
    certainty: Certainty | None, held: HeldOut | None, heat: float, others: Mapping[str, float] | None, used: str
) -> dict[str, Any] | None:
    """What an arm's record says of it."""
    if certainty is None or held is None:
        return None
    scaled = None if not len(certainty.confidence) else {"used": used, "value": heat, **(others or {})}
    return {**summary(certainty, held.overlap), "on": held.name, "temperature": scaled, "target": None}


def realised(
    task: Task,
    found: Mapping[str, Any],
    certainty: Certainty,
    answers: Answers,
    labels: np.ndarray,
    features: np.ndarray | None,
    offsets: Sequence[float],
    groups: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """What opened labels say: coverage of sets, calibration before and after, errors of what is answered.

    Args:
        task: of the model.
        found: its `record`.
        certainty: of the model.
        answers: of the labelled rows.
        labels: of these.
        features: what the head reads of them, or None.
        offsets: of the classes, as they were deployed.
        groups: of people ``[n]`` by column; may be empty.
    """
    odd = strangeness(task, answers, labels)
    value: dict[str, Any] = {"rows": len(labels), "sets": None, "calibration": None, "abstain": None}
    if certainty.promise != "refused":
        value["sets"] = {f"{level:g}": _covered(certainty, answers, odd, level, features, groups) for level in LEVELS}
    if answers.probabilities is None or answers.confidence is None:
        return value
    right = answers.prediction == labels
    value["calibration"] = _calibration(found["temperature"], answers.probabilities, right, offsets)
    if certainty.promise != "refused":
        value["abstain"] = {f"{rate:g}": _answered(certainty, answers, right, rate, features) for rate in RATES}
    return value


def _covered(
    certainty: Certainty,
    answers: Answers,
    odd: np.ndarray,
    level: float,
    features: np.ndarray | None,
    groups: Mapping[str, np.ndarray],
) -> dict[str, Any] | None:
    if not supports(len(certainty.strangeness), 1 - level):
        return None
    reach = certainty.bounds(level, features, len(odd))
    if answers.probabilities is None:
        return _held(odd <= reach, 2 * reach, groups)
    sets = certainty.class_sets(answers.probabilities, level, features)
    best = np.isclose(odd, 1 - answers.probabilities.max(axis=1), atol=1e-12)
    return _held((odd <= reach + 1e-12) | best, sets.sum(axis=1), groups)


def _held(inside: np.ndarray, size: np.ndarray, groups: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Coverage, and that of each group of people that is not suppressed."""
    found = [
        {"column": column, "group": str(name), "rows": int(here.sum()), **_interval_of(inside[here])}
        for column, names in groups.items()
        for name in np.unique(names.astype(str))
        if (here := names.astype(str) == name).sum() >= FEWEST
    ]
    return {**coverage(inside, size), **({"groups": found} if groups else {})}


def _interval_of(inside: np.ndarray) -> dict[str, Any]:
    return {key: value for key, value in coverage(inside, None).items() if key != "size"}


def _calibration(
    scaled: Mapping[str, Any], probabilities: np.ndarray, right: np.ndarray, offsets: Sequence[float]
) -> dict[str, Any]:
    """Calibration error uncalibrated (``none``), as deployed, and with the other temperatures; the deployed bins."""
    plus = np.asarray(offsets) if len(offsets) else 0.0
    logits = (np.log(np.maximum(probabilities, 1e-30)) - plus) * scaled["value"]
    heats = {
        "none": 1.0,
        "deployed": scaled["value"],
        **{k: v for k, v in scaled.items() if k not in ("used", "value")},
    }
    ece = {}
    for name, heat in heats.items():
        confidence = softmax(logits / heat + plus).max(axis=1)
        ece[name], bins = reliability(confidence, right)
        if name == "deployed":
            kept = [asdict(each) for each in bins]
    return {"ece": ece, "bins": kept}


def _answered(
    certainty: Certainty, answers: Answers, right: np.ndarray, rate: float, features: np.ndarray | None
) -> dict[str, Any]:
    assert answers.confidence is not None
    given = certainty.answered(answers.confidence, rate, features)
    return {"answered": float(given.mean()), "error": float((~right[given]).mean()) if given.any() else None}
