"""`RUN/report.json`: what the report needs and the rest of the run does not keep. Docs/result.md lists it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.domain import INTERACTIONS, Domain
from acclimate.errors import DataError
from acclimate.files import path_name, read_json
from acclimate.methods.data import Data
from acclimate.runs.columns import shared
from acclimate.runs.evidence import arrays_of
from acclimate.runs.report.drawn import apart, draw, told
from acclimate.runs.report.shown import show
from acclimate.runs.report.view import FILE, SHOWN, read_view
from acclimate.selection.shifts import most_shifted
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import Task
from acclimate.tasks.registry import restore
from acclimate.trust.certainty.calibrate import reliability

VERSION = 1
NAME = "report.json"
EXAMPLES = 12
PICTURES = 6
"""Of masks and boxes, which come in threes."""
SHIFTS = 8
ANSWER = 240
"""Characters of an answer."""


def gather(
    folder: Path,
    value: Mapping[str, Any],
    data: Data,
    wholes: Sequence[Domain],
    records: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """What is kept of a run before any label of the target was opened.

    Labels of the source's held-out rows are used, and no label of the target: not even those that were permitted.

    Args:
        folder: of the run, with its arms.
        value: its result.
        data: what it was trained on.
        wholes: source and target before any split, without labels.
        records: of the arms.
    """
    pair = compared(value)
    arrays = {name: arrays_of(folder / "arms" / path_name(name)) for name in dict.fromkeys((*pair, value["model"]))}
    task = restore(records[value["adapted"]]["task"])
    shifts = _shifts(wholes)
    return {
        "version": VERSION,
        "language": "en",
        "views": [
            {"arm": name, **view}
            for name in pair
            if (view := read_view(folder / "arms" / path_name(name) / FILE)) is not None
        ],
        "classes": _classes(data, task, arrays, value),
        "shifts": shifts,
        "reliability": {
            name: bins(found["source_probabilities"], found["source_labels"])
            for name, found in arrays.items()
            if "source_probabilities" in found and "source_labels" in found
        },
        "changed": _changed_unseen(data, records, arrays, pair, [shift["name"] for shift in shifts]),
        "opened": None,
    }


def opened(
    kept: Mapping[str, Any], value: Mapping[str, Any], task: Task, answers: Mapping[str, Answers], domain: Domain
) -> dict[str, Any]:
    """The same once labels of the target were opened: reliability on them, and changed answers beside the truth.

    Args:
        kept: what `gather` gave, or an earlier evaluation.
        value: the result, with the evaluation.
        task: that was evaluated.
        answers: of the arms, in the order of the domain.
        domain: the labelled rows.
    """
    assert domain.labels is not None
    names = [name for name in dict.fromkeys((*compared(value), value["model"])) if name in answers]
    index = {name: k for k, name in enumerate(task.config().get("classes", ()))}
    encoded = np.array([index.get(str(label), -1) for label in domain.labels])
    reliability = {
        name: bins(probabilities, encoded)
        for name in names
        if (probabilities := answers[name].probabilities) is not None and task.kind == "class"
    }
    changed = None
    pair = [name for name in compared(value) if name in answers]
    if len(pair) == 2:
        said = [(answers[name].prediction, answers[name].confidence) for name in pair]
        first = [shift["name"] for shift in kept.get("shifts", ())]
        changed = _changed(task, domain, pair, said, first, domain.labels)
    return {**kept, "opened": {"rows": len(domain), "reliability": reliability, "changed": changed}}


def read_kept(folder: Path) -> dict[str, Any]:
    """What was kept for the report; empty of a run that kept nothing."""
    try:
        found = read_json(folder / NAME)
        return found if found["version"] == VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def compared(value: Mapping[str, Any]) -> list[str]:
    """The arms whose answers are held against each other: without the target first, if there is such an arm."""
    return list(dict.fromkeys(name for name in (value["reference"], value["adapted"]) if name is not None))


def bins(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Confidence and accuracy in equal ranges of confidence, and their mean distance, weighted by rows (`reliability`).

    Args:
        probabilities: ``[n, classes]``.
        labels: ``[n]`` which class is right; -1: none of them.
    """
    confidence, right = probabilities.max(axis=1).astype(float), probabilities.argmax(axis=1) == labels
    error, found = reliability(confidence, right)
    rows = [
        {"rows": each.rows, "confidence": round(each.confidence, 4), "accuracy": round(each.accuracy, 4)}
        for each in found
    ]
    return {"bins": rows, "ece": round(error, 4), "rows": len(labels)}


def _shifts(wholes: Sequence[Domain]) -> list[dict[str, Any]]:
    """The most shifted columns, words or properties; nothing where there are no two domains that can be compared."""
    if len(wholes) < 2 or wholes[0].schema.modality in INTERACTIONS:
        return []
    pair = shared(wholes[0], wholes[1])
    try:
        return [] if pair is None else [asdict(shift) for shift in most_shifted(*pair, SHIFTS)][:SHIFTS]
    except DataError:  # rows of which no property is known, such as arrays of other shapes
        return []


def _classes(
    data: Data, task: Task, arrays: Mapping[str, Mapping[str, np.ndarray]], value: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Of the points of the views, the class: of the source as labelled, of the target as the adapted arm answers."""
    found = arrays.get(value["adapted"], {})
    if task.kind != "class" or "source_labels" not in found or "target_probabilities" not in found:
        return None
    said = found["target_probabilities"][:SHOWN].argmax(axis=1)
    return {
        "names": list(task.config()["classes"]),
        "source": found["source_labels"][:SHOWN].astype(int).tolist(),
        "target": said.astype(int).tolist(),
    }


def _changed_unseen(
    data: Data,
    records: Mapping[str, Mapping[str, Any]],
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    pair: Sequence[str],
    first: Sequence[str],
) -> dict[str, Any] | None:
    """Target rows that the two arms answer differently; nobody knows here which one is right."""
    if len(pair) < 2 or data.target is None or records[pair[0]]["task"] != records[pair[1]]["task"]:
        return None
    task, said = restore(records[pair[1]]["task"]), []
    for name in pair:
        found = arrays[name]
        if "target_probabilities" in found:
            probabilities = found["target_probabilities"]
            classes = np.array(task.config()["classes"], dtype=object)
            said.append((classes[probabilities.argmax(axis=1)], probabilities.max(axis=1)))
        elif "target_prediction" in found:
            said.append((found["target_prediction"], None))
    if len(said) < 2 or any(len(prediction) != len(data.target) for prediction, _ in said):
        return None
    return _changed(task, data.target, pair, said, first)


def _changed(
    task: Task,
    domain: Domain,
    pair: Sequence[str],
    said: Sequence[tuple[np.ndarray, np.ndarray | None]],
    first: Sequence[str],
    labels: np.ndarray | None = None,
) -> dict[str, Any] | None:
    """Rows whose answers differ, the surest or the furthest first, mended and broken ones in turn where known."""
    (before, sure_before), (after, sure_after) = said
    if task.shapes:
        return _redrawn(task, domain, pair, before, after, labels)
    numeric = task.kind in ("number", "numbers")
    if numeric:
        apart = np.abs(np.asarray(after, dtype=float) - np.asarray(before, dtype=float)).reshape(len(after), -1).sum(1)
        differ = apart > 1e-9
    else:
        differ = np.array([str(one) != str(other) for one, other in zip(before, after, strict=True)], dtype=bool)
        apart = np.ones(len(after)) if sure_after is None else np.asarray(sure_after, dtype=float)
    rows = np.flatnonzero(differ)
    rows = rows[np.argsort(-apart[rows], kind="stable")]
    if task.kind == "class":
        rows = _varied(rows, before, after)
    found: dict[str, Any] = {"before": pair[0], "after": pair[1], "rows": len(rows), "of": len(domain)}
    judged = labels is not None and task.kind == "class"
    if labels is not None and judged:
        was, now = (np.array([str(a) == str(b) for a, b in zip(side, labels, strict=True)]) for side in (before, after))
        mended, broken = rows[now[rows]], rows[was[rows]]
        other = rows[~(now[rows] | was[rows])]
        found |= {"mended": len(mended), "broken": len(broken)}
        rows = _in_turn(mended, broken, other)
    rows = rows[:EXAMPLES]
    examples = []
    for row, shown in zip(rows, show(domain, rows.tolist(), first), strict=True):
        one: dict[str, Any] = {"shown": shown, "before": _said(before[row]), "after": _said(after[row])}
        for name, sure in (("before_sure", sure_before), ("after_sure", sure_after)):
            one[name] = None if sure is None else round(float(sure[row]), 4)
        if labels is not None:
            one["truth"] = _said(labels[row])
        if judged:
            one["effect"] = "mended" if now[row] else "broken" if was[row] else "still_wrong"
        examples.append(one)
    return {**found, "examples": examples}


def _redrawn(
    task: Task,
    domain: Domain,
    pair: Sequence[str],
    before: np.ndarray,
    after: np.ndarray,
    labels: np.ndarray | None,
) -> dict[str, Any]:
    """Images whose masks or boxes differ most, drawn: of figures like these nobody can tell at a glance."""
    differ = apart(before, after, task.shapes)
    rows = np.argsort(-differ, kind="stable")[: min(PICTURES, int((differ > 0).sum()))]
    config = task.config()
    names = config["categories"] if task.shapes == "masks" else config["kinds"]
    examples = []
    for row in rows:
        said = {"before": before[row], "after": after[row], **({} if labels is None else {"truth": labels[row]})}
        one: dict[str, Any] = {"shown": draw(domain, int(row), said, names, task.shapes)}
        one |= {name: told(label, task.shapes) for name, label in said.items()}
        examples.append({**one, "before_sure": None, "after_sure": None})
    counts = {"before": pair[0], "after": pair[1], "rows": int((differ > 0).sum()), "of": len(domain)}
    return {**counts, "examples": examples}


def _varied(rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The rows with the first of each pair of answers before the second of any."""
    seen: Counter[tuple[str, str]] = Counter()
    place = []
    for row in rows:
        pair = str(before[row]), str(after[row])
        place.append(seen[pair])
        seen[pair] += 1
    return rows[np.argsort(place, kind="stable")]


def _in_turn(*groups: np.ndarray) -> np.ndarray:
    """The first of each group, then the second ones, and so on."""
    place = np.concatenate([np.arange(len(group)) for group in groups])
    return np.concatenate(groups)[np.argsort(place, kind="stable")]


def _said(answer: Any) -> str:
    """An answer as text."""
    if isinstance(answer, float | np.floating):
        return f"{answer:.4g}"
    text = " ".join(f"{v:.4g}" for v in answer) if isinstance(answer, np.ndarray) else " ".join(str(answer).split())
    return text if len(text) <= ANSWER else f"{text[:ANSWER]}…"
