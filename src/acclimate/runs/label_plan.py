"""Which rows of a run's target to label next, and what labels would buy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.domains.frames import free_name, stream
from acclimate.errors import DataError, SettingsError
from acclimate.files import path_name, read_json
from acclimate.runs import result
from acclimate.runs.evidence import arrays_of
from acclimate.runs.execute import fingerprints
from acclimate.runs.predictor import Predictor
from acclimate.runs.prepare import Prepared, prepare
from acclimate.runs.reading import read_source, read_target
from acclimate.runs.recipe import again
from acclimate.selection.labels import Curve, disagreement, informative, learning_curve, worth
from acclimate.tasks import registry as tasks

if TYPE_CHECKING:
    import pandas as pd

LEAST_CANDIDATES, TIMES = 2000, 10
"""Rows among which spread ones are sought: the most disputed, so many or so many times what is asked for."""
POOL = 2000
"""Labelled source rows that the learning curve draws from."""
FEWEST = 40
"""Held-out source rows below which there is no learning curve."""
PENALTY = 1.0
"""L2 penalty of the heads on the curve, the middle of what convex heads choose from."""


def label_plan(
    folder: Path,
    n: int,
    load: Callable[[str], Predictor],
    *,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows to label, and what labels would buy; no target label is read that the run was not permitted.

    Args:
        folder: of a finished run.
        n: how many rows.
        load: the model of an arm by the arm's name.
        source: objects in the place of the recipe's source locators, where it came from Python.
        target: the same of the target.

    Returns:
        A frame with ``row`` (from 1), the inputs, an empty column for the label, ``why`` and ``score``, the row that
        teaches most first; and the report, see docs/result.md.

    Raises:
        SettingsError: n is below 1, the answers are neither classes nor numbers, or the data came from Python and are
            not given.
        DataError: no target, no row left to label, or data that have changed since the run.
    """
    if n < 1:
        raise SettingsError(f"-n must be at least 1, found {n}")
    value = result.load(folder)
    recipe = again(folder, "run.label_plan", source=source, target=target)
    origin = read_source(recipe, source)
    there = read_target(recipe, origin, target)
    if there is None:
        raise DataError(f"{folder}: the run had no target; give one to `acclimate adapt`")
    prepared = prepare(recipe, origin, there)
    data = prepared.data
    if data.task.kind not in ("class", "number"):
        raise SettingsError(
            f"{folder}: label-plan asks for classes and numbers, and task '{data.task.name}' has neither"
        )
    if read_json(folder / "data.json") != fingerprints(data):
        raise DataError(f"{folder}: the data have changed since the run; adapt anew")
    assert data.target is not None

    committee = _committee(folder, value)
    weights, deployed = disagreement(committee), load(value["model"])
    left = _unlabelled(folder, data.target)
    if not len(left):
        raise DataError(f"{data.target.name}: every row is labelled already")
    left = left[np.argsort(-weights[left], kind="stable")][: max(LEAST_CANDIDATES, TIMES * n)]
    if deployed.sparse:
        features = np.concatenate([answers[left].reshape(len(left), -1) for answers in committee.values()], axis=1)
    else:
        features = deployed.features(data.target.select(left), prepared.wholes)
    rows = left[informative(weights[left], features, n, recipe.seed)]
    ids, first = np.unique(there.ids, return_index=True)
    position = first[np.searchsorted(ids, data.target.ids[rows])]  # where the rows stand in the files

    label = recipe.target_label or recipe.label or "label"
    called = prepared.target_inputs(recipe)[0] or there.schema.inputs
    frame = _frame(list(target or recipe.target), there, called, position)
    if label in frame:
        raise SettingsError(f"label '{label}' is an input of the target, so that no column of that name can be added")
    frame[label] = ""
    frame[free_name("why", frame.columns)] = [
        _why([found[row] for found in committee.values()], deployed.classes) for row in rows
    ]
    frame[free_name("score", frame.columns)] = [round(float(weights[row]), 4) for row in rows]
    report = {
        "rows": len(frame),
        "of": len(data.target),
        "committee": list(committee),
        "label": label,
        **_buys(value, prepared, load, len(frame), recipe.seed),
    }
    return frame, report


def _committee(folder: Path, value: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The answers on the target of the arms that have not collapsed, or of all if all have."""
    arrays = {row["name"]: arrays_of(folder / "arms" / path_name(row["name"])) for row in value["arms"]}
    key = "target_probabilities" if tasks.find(value["task"]).kind == "class" else "target_prediction"
    asked = arrays[value["model"]].get(key)
    if asked is None:
        raise DataError(f"{folder}: arm '{value['model']}' has no answers on the target")
    alike = {name: found[key] for name, found in arrays.items() if key in found and found[key].shape == asked.shape}
    sane = {row["name"] for row in value["arms"] if not row["label_free"].get("collapse")}
    return {name: answers for name, answers in alike.items() if name in sane} or alike


def _unlabelled(folder: Path, target: Domain) -> np.ndarray:
    """The first of each group of equal rows that training has not seen labelled."""
    with np.load(folder / "rows.npz", allow_pickle=False) as rows:
        known = np.isin(target.ids, rows["trained"])
    first = np.zeros(len(target), dtype=bool)
    first[np.unique(target.ids, return_index=True)[1]] = True
    return np.flatnonzero(first & ~known)


def _frame(places: Sequence[Any], target: Domain, inputs: Sequence[str], position: np.ndarray) -> pd.DataFrame:
    """The rows at these places of the joined target: number, path or ``inputs``, as their source shows them."""
    import pandas as pd

    kept, start, like = [], 0, target.schema
    chunks = chain.from_iterable(
        stream(place, list(inputs) or None, like.modality, like=like)
        if not isinstance(place, Domain)
        else stream(place)
        for place in places
    )
    for frame, domain in chunks:
        here = position[(position >= start) & (position < start + len(domain))] - start
        if len(here):
            shown = [column for column in frame.columns if column in inputs or column == "path"]
            kept.append(frame[shown].iloc[here].rename(columns={"path": "file_name"}).set_axis(here + start, axis=0))
        start += len(domain)
    if not kept:
        raise DataError(f"{target.name}: none of the rows to label was found again")
    found = pd.concat(kept).loc[position].reset_index(drop=True)
    found.insert(0, free_name("row", found.columns), position)
    return found


def _why(answers: Sequence[np.ndarray], classes: Sequence[str]) -> str:
    """What the arms say of a row."""
    if not classes:
        return f"arms say {min(answers):.4g} to {max(answers):.4g}"
    votes = np.bincount([int(found.argmax()) for found in answers], minlength=len(classes))
    order = np.argsort(-votes, kind="stable")
    return ", ".join(f"{votes[k]} of {len(answers)} arms say {classes[k]}" for k in order if votes[k])


def _buys(
    value: Mapping[str, Any], prepared: Prepared, load: Callable[[str], Predictor], n: int, seed: int
) -> dict[str, Any]:
    """What adapting is expected to give, and how many labels would give as much."""
    classes = tasks.find(value["task"]).kind == "class"
    expected = _expected(value) if classes else {}
    curve = _curve(value, prepared, load, seed) if classes else None
    found: dict[str, Any] = {"expected": expected, "curve": None, "bought": None, "worth": None}
    if curve is None:
        return found
    found["curve"] = {"labels": list(curve.sizes), "accuracy": [round(1 - error, 4) for error in curve.errors]}
    a, b, c = curve.laws.T
    reached = 1 - (a + b * n**-c)
    found["bought"] = {
        "labels": n,
        "accuracy": _rounded(reached[0], np.quantile(reached[1:], 0.025), np.quantile(reached[1:], 0.975)),
    }
    found["worth"] = {
        name: _rounded(*worth(curve, (1 - guess["value"], 1 - guess["high"], 1 - guess["low"])))
        for name, guess in expected.items()
    }
    return found


def _rounded(value: float, low: float, high: float) -> dict[str, float | None]:
    """JSON has no infinity: None is a number that is never reached."""
    return {
        name: None if math.isinf(number) else round(float(number), 4)
        for name, number in (("value", value), ("low", low), ("high", high))
    }


def _expected(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The accuracy on the target of the adapted arm and of its reference: measured, or estimated from confidence."""
    adapted = value["adapted"] if value["model"] == value["reference"] else value["model"]
    rows = {row["name"]: row for row in value["arms"]}
    found = {}
    for name in dict.fromkeys((adapted, value["reference"])):
        if name is None:
            continue
        scores = rows[name]["label_free"].get("validators", {})
        guesses = [min(max(scores[key], 0.0), 1.0) for key in ("atc", "doc") if key in scores]
        if rows[name]["target"]:
            interval = rows[name]["target"]["intervals"]["accuracy"]
            point = rows[name]["target"]["metrics"]["accuracy"]
            low, high = interval or (point, point)
            found[name] = {"value": point, "low": low, "high": high, "by": "evaluation"}
        elif guesses:
            found[name] = {
                "value": float(np.mean(guesses)), "low": min(guesses), "high": max(guesses), "by": "confidence"
            }  # fmt: skip
    return found


def _curve(value: Mapping[str, Any], prepared: Prepared, load: Callable[[str], Predictor], seed: int) -> Curve | None:
    """Heads on the reference's features, taught by a few source rows, and judged by held-out ones.

    Features that were trained flatter the rows that they were trained with; then the curve draws from one half of the
    held-out rows and counts errors on the other.
    """
    arm, data = value["reference"] or value["model"], prepared.data
    row = next(row for row in value["arms"] if row["name"] == arm)
    model, held = load(arm), data.source_validation
    if held is None or data.source is None or len(held) < FEWEST or model.sparse or not data.same_task:
        return None
    if row["steps"]:
        pool, judge = held.select(np.arange(0, len(held), 2)), held.select(np.arange(1, len(held), 2))
    else:
        pool, judge = data.source.select(np.arange(min(POOL, len(data.source)))), held
    assert pool.labels is not None and judge.labels is not None
    labels, task = pool.labels, data.source_task
    taught, asked = (model.features(rows, prepared.wholes) for rows in (pool, judge))
    mean, scale = taught.mean(axis=0), taught.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0)
    taught, asked = (taught - mean) / scale, (asked - mean) / scale

    def error(rows: np.ndarray) -> float:
        head = task.solve(taught[rows], labels[rows], PENALTY)
        weight, bias = (p.detach().numpy() for p in (head.weight, head.bias))
        answers = task.decode({"logits": asked @ weight.T + bias}).prediction
        return float((answers != judge.labels).mean())

    return learning_curve(error, labels, seed)
