"""The target rows by which source rows are judged, and where their labels come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from acclimate.domains.domain import Domain, join
from acclimate.domains.labels import apply_label_map
from acclimate.errors import DataError, SettingsError
from acclimate.runs import seal
from acclimate.runs.predictor import Predictor
from acclimate.runs.prepare import Prepared
from acclimate.runs.reading import label_map
from acclimate.runs.recipe import MEMORY, Recipe
from acclimate.seeds import generator
from acclimate.tasks.base import Task

FEWEST = 20
"""Rows of the target below which nothing is judged."""
SURE = 0.5
"""The share of its own answers that a model is held to, those it is surest of."""
Origin = Literal["opened", "permitted", "predicted"]


@dataclass(frozen=True)
class Asked:
    """Labelled rows of the target.

    Attributes:
        domain: rows with labels, all of which the task knows.
        origin: labels that were "opened" for this, "permitted" to the run before, or "predicted" by the model itself.
        column: of the labels that were opened, or permitted.
        notes: what to know of them, a sentence each.
    """

    domain: Domain
    origin: Origin
    column: str | None = None
    notes: tuple[str, ...] = ()

    def halves(self, seed: int) -> tuple[Domain, Domain]:
        """Two halves, in neither of which is a row or group of the other: one to score by, one to judge by."""
        keys = self.domain.ids if self.domain.groups is None else self.domain.groups.astype(str)
        units, owner = np.unique(keys, return_inverse=True)
        first = (generator(seed, "influence", "halves").permutation(len(units)) % 2 == 0)[owner]
        return self.domain.select(np.flatnonzero(first)), self.domain.select(np.flatnonzero(~first))


def asked(
    folder: Path,
    value: dict[str, Any],
    recipe: Recipe,
    prepared: Prepared,
    model: Predictor,
    task: Task,
    *,
    data: Sequence[Any],
    label: str | None,
    input: str | list[str] | None,
    force: bool,
) -> Asked:
    """The rows to judge by: with ``label`` their labels are opened, which is written into the run.

    Without it no label is read that the run had no permission for: held-out rows whose labels were permitted serve, or
    the model's own answers, where it is surest.

    Raises:
        DataError: too few rows, no labels, or rows that were trained on with their labels.
        SettingsError: no rows at all, or a task whose own answers teach nothing.
    """
    if label is not None:
        return _opened(folder, value, recipe, model, task, data or _places(recipe), label, input, force)
    held = prepared.data.labelled_target_validation
    if not data and held is not None and len(held) >= FEWEST:
        return Asked(held, "permitted", recipe.target_label)
    if task.kind != "class":
        raise SettingsError(
            f"influence: to say what helps, task '{task.name}' needs labels of the target, for its own answers have no "
            "error; open some with --target-label COLUMN --data FILE"
        )
    rows = join([model.read(place, input=input).sealed() for place in data]) if data else prepared.data.target
    if rows is None:
        raise SettingsError(f"influence: {folder} has no target; name rows with --data FILE")
    answers = model.answers(rows, cached=True)
    assert answers.confidence is not None
    kept = np.sort(np.argsort(-answers.confidence, kind="stable")[: max(1, round(SURE * len(rows)))])
    _enough(rows.name, len(kept), "of the model's surest answers")
    told = replace(rows.select(kept), labels=answers.prediction[kept])
    note = (
        f"no label of the target was read: rows are judged by the {len(kept)} of {len(rows)} answers of which the "
        "model is surest, so 'helped' means made it surer of what it says anyway; --target-label COLUMN judges by "
        "the truth"
    )
    return Asked(told, "predicted", notes=(note,))


def _places(recipe: Recipe) -> list[Any]:
    if MEMORY in recipe.target or not recipe.target:
        raise SettingsError("influence: --target-label needs rows with labels; name them with --data FILE")
    return list(recipe.target)


def _opened(
    folder: Path,
    value: dict[str, Any],
    recipe: Recipe,
    model: Predictor,
    task: Task,
    data: Sequence[Any],
    label: str,
    input: str | list[str] | None,
    force: bool,
) -> Asked:
    """Rows with their labels, once it is sure that they can be used; then the seal is opened."""
    domain = join([model.read(place, input=input, label=label) for place in data])
    if domain.labels is None:
        raise DataError(f"{domain.name}: no labels in '{label}'; name their column with --target-label")
    domain = replace(domain, labels=apply_label_map(domain.labels, label_map(recipe)))
    task.check(domain, learned=False)
    assert domain.labels is not None
    notes = []
    if task.possible:
        strange = np.array([not set(task.named(name)) <= set(task.possible) for name in domain.labels])
        if strange.any():
            notes.append(
                f"{int(strange.sum())} of {len(domain)} rows have classes that the model lacks, and are left out"
            )
            domain = domain.select(np.flatnonzero(~strange))
    _enough(domain.name, len(domain), f"with a label in '{label}' that the model knows")
    seen = seal.check_rows(folder, domain, force)
    domain = domain.select(domain.order)
    seal.record(folder, value, domain, label, seen, "influence")
    if seen["trained_on"]:
        notes.append(f"{seen['trained_on']} of these rows were trained on with their labels: what is said flatters")
    return Asked(domain, "opened", label, tuple(notes))


def _enough(name: str, count: int, which: str) -> None:
    if count < FEWEST:
        raise DataError(f"{name}: {count} rows {which}; at least {FEWEST} are needed to say what helped")
