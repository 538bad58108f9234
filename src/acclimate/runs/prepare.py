"""From domains to the data that training is handed, with everything checked first."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from acclimate.backbones import registry as backbones
from acclimate.domains import audio
from acclimate.domains.columns import nearly_numbers
from acclimate.domains.domain import INTERACTIONS, Domain, Schema
from acclimate.domains.interactions import acquainted
from acclimate.domains.leaks import scan
from acclimate.domains.molecules import LIKE, grouped, smiles_like
from acclimate.domains.schema import check_kinds
from acclimate.domains.split import split
from acclimate.errors import DataError, SettingsError
from acclimate.methods.data import Data
from acclimate.runs.columns import differing, target_columns
from acclimate.runs.reading import known
from acclimate.runs.recipe import Recipe
from acclimate.runs.remarks import strangers, unjudged
from acclimate.selection.shares import stated
from acclimate.selection.shifts import other_units
from acclimate.tasks import registry as tasks
from acclimate.tasks.base import Task
from acclimate.trust.fairness.groups import check as check_groups

FEWEST_PEOPLE = 4
"""Two must be held out to be told apart from each other, and two be left to learn from; of fewer none are held out."""
LOOKED_AT = 10_000
"""Rows in which oddities of columns are looked for."""


@dataclass(frozen=True)
class Prepared:
    """Domains, split and checked.

    Attributes:
        data: what methods are handed; rows in an order that depends on content alone.
        setting: transductive, inductive, or source_only (no target).
        notes: what was found in the data by itself, for people.
        report: the `data` part of the result.
        wholes: source and target before any split, without labels; what frozen features are cached for.
        shares: the target's class shares as the recipe states them, in the order of the task's classes, or None.
    """

    data: Data
    setting: str
    notes: tuple[str, ...]
    report: dict[str, Any]
    wholes: tuple[Domain, ...]
    shares: np.ndarray | None = None

    @property
    def schema(self) -> Schema:
        """Of the inputs that the model will read."""
        domain = self.data.source or self.data.labelled_target
        assert domain is not None
        return domain.schema

    def target_inputs(self, recipe: Recipe) -> tuple[tuple[str, ...], Schema | None]:
        """What the target calls the inputs that are read of it, and its schema where these are other columns."""
        data = self.data
        named, own = target_columns(recipe, data.source)
        if data.difference is None or data.target is None or not data.target.schema.inputs:
            return named, None
        schema = data.target.schema
        return (*named, *own) if named else schema.inputs, schema


def prepare(recipe: Recipe, source: Domain | None, target: Domain | None) -> Prepared:
    """Check, split and describe the domains.

    Raises:
        DataError: domains that do not fit each other or the task.
    """
    if recipe.episodes:
        raise SettingsError("episodes are those of `acclimate meta-train`; leave them out")
    if any(domain is not None and domain.schema.modality in INTERACTIONS for domain in (source, target)):
        source, target = acquainted(source, target)
    first = source if source is not None else target
    if recipe.task is not None and first is not None and first.labels is None and recipe.label is None:
        learned = tasks.find(recipe.task).self_labelled
        source, target = (None if domain is None else learned(domain) for domain in (source, target))
    labelled = None
    if target is not None and target.labels is not None:
        labelled = target.select(np.flatnonzero(known(target)))
    first = source or labelled
    if first is None:
        raise DataError("nothing to learn from: give --source, or a --target with --target-label")
    if source is not None and source.labels is None:
        raise DataError(
            f"{source.name}: the source has no labels; name their column with --label "
            "(NPZ: the array's name, often y; folders, zips and svmlight: label)"
        )
    if source is not None:
        check_groups(source.sensitive)
    if source is not None and target is not None:
        check_kinds(source, target)
    usual = {"users": "rank", "pairs": "rate"}.get(first.schema.modality)
    source_task = tasks.create(recipe.task or usual, first, _writes(recipe, first)).given(recipe.head)
    target_task = _task_of(labelled, source_task, source, recipe)
    if labelled is not None:
        target_task.check(labelled)
    unlabelled = None if target is None else _canonical(_once(target, labelled).sealed())
    averages = recipe.method.get("name") == "auto" and source_task.kind == "class"
    choosing = averages and source is not None
    given = (None, labelled) if choosing else _halves(labelled, recipe, target_task)
    held_out = recipe
    if labelled is not None and first.schema.modality in INTERACTIONS:
        held_out = replace(recipe, validation=0.0)  # a cold user's rows of the source are all that is known of him
    halves = _halves(source, held_out, source_task), given
    source_task, target_task = _learned(source_task, target_task, halves[0][0], given[0])
    data = Data(*halves[0], unlabelled, *halves[1], source_task, target_task)
    setting = "inductive" if labelled is not None else "transductive" if target is not None else "source_only"
    notes = tuple(dict.fromkeys(note for d in (source, target) if d is not None for note in d.notes))
    if first.schema.modality == "table":
        notes += tuple(nearly_numbers(first.rows.take(first.order[:LOOKED_AT])))
    if first.schema.modality == "text" != recipe.modality and smiles_like(first.rows.take(first.order[:LIKE])):
        notes += ("these texts look like molecules (SMILES), and are read as plain texts: --modality molecule",)
    if first.schema.modality == "audio":
        notes += tuple(note for d in (source, target) if d is not None for note in audio.remarks(d.sealed()))
    if source is not None:
        notes += tuple(other_units(source.sealed()))
    if data.difference is not None:
        notes += differing(data.difference)
    if recipe.task is None:
        notes += (f"task: {source_task.name}, found from the labels",)
    if labelled is not None and target is not None and len(labelled) < len(target):
        notes += (f"target labels: {len(labelled)} of {len(target)} rows have one",)
        target = target.sealed()
    wholes = tuple(domain.sealed() for domain in (source, target) if domain is not None)
    notes += unjudged(data) + strangers(data, labelled)
    for task, domain in ((source_task, source), (target_task, labelled)):
        notes += task.remarks(domain) if domain is not None and domain.labels is not None else ()
    shares, remark = _stated(recipe, target_task, target)
    return Prepared(data, setting, notes + remark, _report(data, source, target, labelled), wholes, shares)


def _once(target: Domain, labelled: Domain | None) -> Domain:
    """The target without those rows that lack a label and are there with one, too: a plan that was filled in."""
    if labelled is None or len(labelled) == len(target):
        return target
    return target.select(np.flatnonzero(known(target) | ~np.isin(target.ids, labelled.ids)))


def _stated(recipe: Recipe, task: Task, target: Domain | None) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The target's class shares that the recipe states, if any, and what to remark of them."""
    if recipe.target_shares is None:
        return None, ()
    if task.kind != "class" or target is None:
        lacking = "a target" if target is None else "classes, and these labels are numbers"
        raise SettingsError(f"target_shares are shares of the target's classes: there must be {lacking}")
    return stated(recipe.target_shares, task.config()["classes"])


def _task_of(labelled: Domain | None, source_task: Task, source: Domain | None, recipe: Recipe) -> Task:
    """The task on the target's labels: the source's, unless they show a class (a person) that the source has not."""
    known = {"class": "classes", "vector": "people"}.get(source_task.kind)
    if labelled is None or labelled.labels is None or source is None or known is None:
        return source_task
    if set(labelled.labels) <= set(source_task.config()[known]):
        return source_task
    return tasks.create(source_task.name, labelled).given(recipe.head)


def _learned(source_task: Task, target_task: Task, source: Domain | None, target: Domain | None) -> tuple[Task, Task]:
    """Both tasks as training asks them of these rows; one where they were one."""
    first = source if source is not None else target
    if first is None:
        return source_task, target_task
    learned = source_task.learned_from(first)
    if target_task == source_task:
        return learned, learned
    return learned, target_task if target is None else target_task.learned_from(target)


def _writes(recipe: Recipe, first: Domain) -> bool:
    """Whether the task has the form that it takes where the backbone comes with what answers."""
    if recipe.task is None or not tasks.has_written(recipe.task):
        return False
    return backbones.writes(recipe.backbone.get("name") or backbones.default(first.schema.modality))


def _halves(domain: Domain | None, recipe: Recipe, task: Task) -> tuple[Domain | None, Domain | None]:
    if domain is None:
        return None, None
    share = recipe.validation
    if task.kind == "vector":  # who is held out must be new, and rows of one person belong together
        domain = replace(domain, groups=domain.labels)
        people = len(np.unique(np.asarray(domain.labels).astype(str)))
        share = max(share, 2 / people) if share and people >= FEWEST_PEOPLE else 0.0
    train, validation = split(grouped(domain, recipe.split), share, recipe.seed, stratify=task.kind == "class")
    return domain.select(train), domain.select(validation) if len(validation) else None


def _canonical(domain: Domain) -> Domain:
    return domain.select(domain.order)


def _report(data: Data, source: Domain | None, target: Domain | None, labelled: Domain | None) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for name, domain, told in (("source", source, source), ("target", target, labelled)):
        if domain is None:
            continue
        leak = scan(domain)
        report[name] = {
            "name": domain.name,
            "rows": len(domain),
            "hash": domain.fingerprint,
            "duplicates": {"exact": leak.exact, "near": leak.near, "conflicting": leak.conflicting},
        }
        if told is not None and told.labels is not None and data.task.kind == "number":
            report[name]["range"] = np.quantile(data.task.values(told.labels), (0, 0.5, 1)).tolist()
        if told is not None and told.labels is not None and data.task.kind in ("class", "vector"):
            values, counts = np.unique(told.labels.astype(str), return_counts=True)
            if len(values) <= 100:
                report[name]["classes"] = {str(v): int(c) for v, c in zip(values, counts, strict=True)}
    if source is not None and target is not None:
        shared = scan(source.sealed(), target.sealed())
        apart = data.difference
        report["columns"] = None if apart is None else {name: list(found) for name, found in asdict(apart).items()}
        report["overlap"] = {"exact": shared.exact, "near": shared.near}
    for name in ("source", "source_validation", "target", "labelled_target", "labelled_target_validation"):
        domain = getattr(data, name)
        report.setdefault("split", {})[name] = 0 if domain is None else len(domain)
    return report
