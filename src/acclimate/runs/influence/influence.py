"""``acclimate explain RUN --kind influence``: scores of source rows, and whether removing them shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.errors import DataError, SettingsError
from acclimate.files import write_json
from acclimate.methods.ensemble.auto import Auto
from acclimate.runs import result
from acclimate.runs.arms import Arm, plan
from acclimate.runs.influence.asked import Asked, asked
from acclimate.runs.influence.study import FORMS, Study, check
from acclimate.runs.predictor import Predictor
from acclimate.runs.report import influence as report
from acclimate.runs.report.shown import show
from acclimate.runs.reread import reread
from acclimate.selection.bootstrap import interval
from acclimate.trust.influence.removal import Removed, answer, chosen

FILE = "influence.json"
TOP = 10
REMOVE = 0.05
Said = Callable[[str], None]


def influence(
    folder: Path,
    load: Callable[[str], Predictor],
    out: Path,
    *,
    data: Sequence[Any] = (),
    label: str | None = None,
    input: str | list[str] | None = None,
    arm: str | None = None,
    remove: float = REMOVE,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    backbones: Mapping[str, Any] | None = None,
    force: bool = False,
    seed: int = 0,
    say: Said = lambda sentence: None,
) -> dict[str, Any]:
    """Which source rows helped or hurt on the target, checked by training again without them (docs/influence.md).

    Writes ``influence.json`` with the score of every row into ``out``, and a section of the run's report.

    Args:
        folder: of a finished run.
        load: the model of an arm by the arm's name.
        out: folder of the file.
        data: rows of the target to judge by; the run's target by default.
        label: their column of labels: opens the seal, which is recorded. Without it no sealed label is read.
        input: input columns of ``data`` where they are named otherwise.
        arm: whose rows; that of the deployed model by default, or its reference where it learns from other arms.
        remove: share of the source that is removed for the check, from the top, the bottom and at random; 0: no check.
        source: objects in the place of the recipe's source locators.
        target: the same of the target.
        backbones: networks from Python, as in `execute.adapt`.
        force: judge also by rows that were trained on with labels.
        seed: of the halves of the target's rows and of the random rows that are removed.
        say: called with what is going on.

    Returns:
        What `acclimate explain --kind influence --json` prints.

    Raises:
        DataError: an unfinished run, rows that are gone or changed, too few of them.
        SettingsError: an arm or task of which no influence can be told.
    """
    value = result.load(folder)
    if value["privacy"] is not None:
        raise SettingsError(f"influence: {folder} was trained privately, and this tells of single rows of its source")
    study, whole, notes = study_of(folder, load, arm, source=source, target=target, backbones=backbones)
    if remove:
        chosen(np.zeros(len(study.source)), remove, seed)  # what is wrong with it shows before labels are opened
    judges = asked(
        folder, value, study.recipe, study.prepared, study.model, study.task, data=data, label=label, input=input,
        force=force,
    )  # fmt: skip
    say(f"scoring {len(study.source)} source rows by {len(judges.domain)} rows of the target")
    scores = study.scores(judges.domain)
    found = {
        "kind": "influence",
        "arm": study.arm.name,
        "form": study.form,
        "about": FORMS[study.form],
        "source": {"name": whole.name, "rows": len(study.source)},
        "target": {
            "name": judges.domain.name, "rows": len(judges.domain), "labels": judges.origin, "column": judges.column
        },
        "loss": float(study.losses(judges.domain)[0].mean()),
        **_extremes(study, whole, scores),
        "check": _check(study, judges, remove, seed, say) if remove else None,
        "notes": [*notes, *judges.notes],
        "output": str(out / FILE),
    }  # fmt: skip
    rows = _rows(study, whole, scores, np.arange(len(scores)))
    write_json(out / FILE, {**found, "rows": sorted(rows, key=lambda row: (row["domain"], row["row"]))})
    report.write(folder, found)
    return found


def study_of(
    folder: Path,
    load: Callable[[str], Predictor],
    arm: str | None = None,
    *,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    backbones: Mapping[str, Any] | None = None,
) -> tuple[Study, Domain, list[str]]:
    """An arm of a run with its rows, the source as it is read, and what to note; arguments as of `influence`."""
    recipe, prepared, whole = reread(folder, "ac.influence", source=source, target=target)
    if whole is None:
        raise DataError(f"{folder}: the run learned from the target alone; there are no source rows to score")
    if not prepared.data.same_task:
        raise SettingsError(f"{folder}: source and target have other labels, so that no source row bears on the head")
    one, record, notes = _arm(result.load(folder), plan(recipe, prepared, backbones), arm, load)
    return Study(one, recipe, prepared, load(one.name), record, backbones), whole, notes


def _arm(
    value: Mapping[str, Any], arms: Sequence[Arm], name: str | None, load: Callable[[str], Predictor]
) -> tuple[Arm, Mapping[str, Any], list[str]]:
    """The arm, its record, and a note where it is not the deployed one."""
    records, plans = {row["name"]: row for row in value["arms"]}, {arm.name: arm for arm in arms}
    wanted, notes = name or value["model"], []
    if name is None and isinstance(plans[wanted].method, Auto) and value["reference"] is not None:
        notes = [f"'{wanted}' learns from other arms: the rows of '{value['reference']}' are told, on which these rest"]
        wanted = value["reference"]
    if wanted not in records or wanted not in plans:
        known = ", ".join(sorted(records.keys() & plans.keys()))
        raise SettingsError(f"--arm {wanted}: no such arm; there are {known}")
    network = load(wanted).network
    check(plans[wanted], network.head, network.task.reads)
    return plans[wanted], records[wanted], notes


def _check(study: Study, judges: Asked, share: float, seed: int, say: Said) -> dict[str, Any]:
    """What removing rows does: chosen by one half of the target's rows, judged by the other."""
    first, judged = judges.halves(seed)
    scores = study.scores(first)
    before, metric = study.losses(judged)
    sets = chosen(scores, share, seed)
    total, done = sum(map(len, sets.values())), 0
    found: dict[str, list[Removed]] = {}
    for name, drawn in sets.items():
        found[name] = []
        for rows in drawn:
            done += 1
            say(f"training again without {len(rows)} rows ({name}), {done} of {total}")
            found[name].append(study.without(rows, judged, study.predicted(rows, first)))
    content = judged.ids if judged.groups is None else judged.groups

    def bounds(values: np.ndarray) -> tuple[float, float] | None:
        return interval(lambda weight: float(weight @ values / weight.sum()), len(values), content, seed=seed)

    told = {name: [_told(one, before) for one in each] for name, each in found.items()}
    return {
        "share": share,
        "removed": len(sets["harmful"][0]),
        "judged": len(judged),
        "primary": study.task.primary.name,
        "before": {"loss": float(before.mean()), "metric": metric},
        "harmful": told["harmful"][0],
        "helpful": told["helpful"][0],
        "random": told["random"],
        "removing_harmful_helps": answer(found["harmful"][0], found["random"], before, bounds, helps=True),
        "removing_helpful_hurts": answer(found["helpful"][0], found["random"], before, bounds, helps=False),
    }


def _told(removed: Removed, before: np.ndarray) -> dict[str, float | None]:
    return {
        "predicted": removed.predicted,
        "measured": removed.change(before),
        "metric": removed.metric,
    }


def _extremes(study: Study, whole: Domain, scores: np.ndarray) -> dict[str, list[dict[str, Any]]]:
    """The rows that helped and hurt most, as people can see them."""
    order = np.argsort(-scores, kind="stable")
    helpful, harmful = order[scores[order] > 0][:TOP], order[::-1][scores[order[::-1]] < 0][:TOP]
    return {
        name: [
            {**row, "shown": shown}
            for row, shown in zip(_rows(study, whole, scores, rows), show(study.source, rows.tolist()), strict=True)
        ]
        for name, rows in (("helpful", helpful), ("harmful", harmful))
    }


def _rows(study: Study, whole: Domain, scores: np.ndarray, rows: np.ndarray) -> list[dict[str, Any]]:
    """Rows by the file that they are of, their place in it from 0, content, label and score."""
    source, names = study.source, whole.name.split(" + ")
    at = positions(source, whole)[rows]
    origin = np.zeros(len(whole), dtype=np.int64) if whole.origin is None else whole.origin
    names = names if len(names) == int(origin.max(initial=0)) + 1 else [whole.name]
    starts = [int(np.flatnonzero(origin == k)[0]) if len(names) > 1 else 0 for k in range(len(names))]
    assert source.labels is not None
    found = []
    for row, place in zip(rows, at, strict=True):
        part = int(origin[place]) if len(names) > 1 else 0
        found.append({
            "row": int(place) - starts[part],
            "domain": names[part],
            "id": source.ids[row].decode(),
            "label": str(source.labels[row]),
            "score": float(scores[row]),
            "predicted_change": float(scores[row]) if study.form == "influence" else None,
        })  # fmt: skip
    return found


def positions(part: Domain, whole: Domain) -> np.ndarray:
    """Where the rows of a part stand in the whole ``[n]``: the k-th of equal content and label is the k-th there."""
    assert part.labels is not None and whole.labels is not None
    places: dict[tuple[bytes, str], list[int]] = {}
    for row in range(len(whole) - 1, -1, -1):
        places.setdefault((whole.ids[row], str(whole.labels[row])), []).append(row)
    return np.array([places[(part.ids[row], str(part.labels[row]))].pop() for row in range(len(part))], dtype=np.int64)
