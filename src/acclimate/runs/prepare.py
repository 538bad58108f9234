"""From a recipe (or objects) to the data that training is handed, with everything checked first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain, Rows, Schema, join
from acclimate.domains.labels import apply_label_map, load_label_map
from acclimate.domains.leaks import scan
from acclimate.domains.read import read
from acclimate.domains.schema import check_pair
from acclimate.domains.split import split
from acclimate.errors import DataError
from acclimate.methods.base import Data
from acclimate.runs.recipe import Recipe
from acclimate.tasks import registry as tasks
from acclimate.tasks.regress import Regress


@dataclass(frozen=True)
class Renamed:
    """Rows of a table whose columns are called otherwise than in the source."""

    rows: Rows
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: np.ndarray) -> Any:
        return self.rows.take(index).set_axis(list(self.names), axis=1)


@dataclass(frozen=True)
class Prepared:
    """Domains, split and checked.

    Attributes:
        data: what methods are handed; rows in an order that depends on content alone.
        setting: transductive, inductive, or source_only (no target).
        notes: what was found in the data by itself, for people.
        report: the `data` part of the result.
    """

    data: Data
    setting: str
    notes: tuple[str, ...]
    report: dict[str, Any]

    @property
    def schema(self) -> Schema:
        """Of the inputs that the model will read."""
        domain = self.data.source or self.data.labelled_target
        assert domain is not None
        return domain.schema


def read_source(recipe: Recipe, objects: Sequence[Any] | None = None) -> Domain | None:
    """The labelled source; several are joined."""
    places = list(objects if objects is not None else recipe.source)
    if not places:
        return None
    return join([_renamed_labels(_read(place, recipe, recipe.input, recipe.label), recipe) for place in places])


def read_target(recipe: Recipe, source: Domain | None, objects: Sequence[Any] | None = None) -> Domain | None:
    """The target's rows. Its label column is read only if the recipe permits it, and never as an input."""
    places = list(objects if objects is not None else recipe.target)
    if not places:
        return None
    inputs = recipe.target_input or (source.schema.inputs if source is not None else ()) or recipe.input
    label = recipe.target_label
    domains = []
    for place in places:
        domain = _read(place, recipe, inputs, label, source)
        if label is None:
            domain = domain.sealed()
        domains.append(_renamed_labels(domain, recipe))
    target = join(domains)
    if source is not None and source.schema.modality == "table" and target.schema.inputs != source.schema.inputs:
        rows = Renamed(target.rows, source.schema.inputs)
        target = replace(target, rows=rows, schema=replace(target.schema, inputs=source.schema.inputs))
    return target


def _read(
    place: Any, recipe: Recipe, inputs: tuple[str, ...], label: str | None, like: Domain | None = None
) -> Domain:
    if isinstance(place, Domain):
        return place
    names = [name for name in (recipe.label, recipe.target_label) if name is not None and name not in inputs]
    modality = recipe.modality or (like.schema.modality if like is not None else None)
    return read(
        place, input=inputs or None, label=label, group=recipe.group, modality=modality, exclude=tuple(names)
    )


def _renamed_labels(domain: Domain, recipe: Recipe) -> Domain:
    if recipe.label_map is None or domain.labels is None:
        return domain
    return replace(domain, labels=apply_label_map(domain.labels, load_label_map(recipe.label_map)))


def prepare(recipe: Recipe, source: Domain | None, target: Domain | None) -> Prepared:
    """Check, split and describe the domains.

    Raises:
        DataError: domains that do not fit each other or the task.
    """
    if source is None and (target is None or target.labels is None):
        raise DataError("nothing to learn from: give --source, or a --target with --target-label")
    if source is not None and source.labels is None:
        raise DataError(f"{source.name}: the source has no labels; name their column with --label")
    if source is not None and target is not None:
        check_pair(source, target)
    labelled = target if target is not None and target.labels is not None else None
    first = source or labelled
    assert first is not None
    source_task = tasks.create(recipe.task, first)
    target_task = source_task if labelled is None else tasks.create(source_task.name, labelled)
    if source is not None and (
        isinstance(source_task, Regress) or set(target_task.config().get("classes", ())) <= set(source_task.config().get("classes", ()))
    ):
        target_task = source_task  # the target shows some of the source's classes: the same question
    parts = _halves(source, recipe), _halves(labelled, recipe)
    data = Data(*parts[0], None if target is None else _canonical(target.sealed()), *parts[1], source_task, target_task)
    setting = "inductive" if labelled is not None else "transductive" if target is not None else "source_only"
    notes = tuple(dict.fromkeys(note for d in (source, target) if d is not None for note in d.notes))
    if recipe.task is None:
        notes += (f"task: {source_task.name}, found from the labels",)
    return Prepared(data, setting, notes, _report(data, source, target))


def _halves(domain: Domain | None, recipe: Recipe) -> tuple[Domain | None, Domain | None]:
    if domain is None:
        return None, None
    train, validation = split(domain, recipe.validation, recipe.seed)
    return domain.select(train), domain.select(validation) if len(validation) else None


def _canonical(domain: Domain) -> Domain:
    return domain.select(domain.order)


def _report(data: Data, source: Domain | None, target: Domain | None) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for name, domain in (("source", source), ("target", target)):
        if domain is None:
            continue
        leak = scan(domain)
        report[name] = {
            "name": domain.name,
            "rows": len(domain),
            "hash": domain.fingerprint,
            "duplicates": {"exact": leak.exact, "near": leak.near, "conflicting": leak.conflicting},
        }
        if domain.labels is not None:
            values, counts = np.unique(domain.labels.astype(str), return_counts=True)
            if len(values) <= 100:
                report[name]["classes"] = {str(v): int(c) for v, c in zip(values, counts, strict=True)}
    if source is not None and target is not None:
        shared = scan(source.sealed(), target.sealed())
        report["overlap"] = {"exact": shared.exact, "near": shared.near}
    for name in ("source", "source_validation", "target", "labelled_target", "labelled_target_validation"):
        domain = getattr(data, name)
        report.setdefault("split", {})[name] = 0 if domain is None else len(domain)
    return report
