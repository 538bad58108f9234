"""From a recipe (or objects) to domains: what of the source and of the target is read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.columns import join_names
from acclimate.domains.domain import Domain, join
from acclimate.domains.interactions import read_interactions
from acclimate.domains.labels import apply_label_map, label_columns, load_label_map
from acclimate.domains.locator import named_label, parse
from acclimate.domains.read import read
from acclimate.domains.tables import TABLES, TableFile, need_columns, suffix_of
from acclimate.errors import DataError, SettingsError
from acclimate.runs.columns import fitted, target_columns, there
from acclimate.runs.places import of_sites
from acclimate.runs.recipe import Recipe
from acclimate.tasks import registry as tasks


def read_source(recipe: Recipe, objects: Sequence[Any] | None = None, people: bool = True) -> Domain | None:
    """The labelled source; several are joined. Without ``people`` no column of groups need be there; none is an input
    either way, unless it was named.
    """
    places = of_sites(objects if objects is not None else recipe.source, recipe.site, recipe.target)
    if not places:
        return None
    domains: list[Domain] = []
    for place in places:
        _check_label(place, recipe)
        shapes = "" if recipe.task is None else tasks.find(recipe.task).shapes
        label = recipe.label or shapes or named_label(place)
        like = domains[0] if domains else None
        domain = _read(place, recipe, recipe.input, label, like, sensitive=recipe.sensitive if people else ())
        domains.append(_renamed_labels(domain, recipe))
    return join([fitted(domain, domains[0].schema) for domain in domains])


def read_target(recipe: Recipe, source: Domain | None, objects: Sequence[Any] | None = None) -> Domain | None:
    """The target's rows. Its label column is read only if the recipe permits it, and never as an input.

    Where it is permitted, rows may lack a label (None), and one of several tables its column: they serve as inputs
    alone. Of a table only the source's columns are kept, as far as they are there, or those that ``target_input`` names
    in their place; columns of its own only where ``target_input`` names them, with a plus before the name: a column
    that nobody named may tell the label.

    Raises:
        DataError: no column is there, or labels were permitted, but there are none.
        SettingsError: a column of its own that is none.
    """
    places = list(objects if objects is not None else recipe.target)
    if not places:
        return None
    named, own = target_columns(recipe, source)
    shared = source.schema.inputs if source is not None else ()
    every = recipe.target_input == ("*",)
    inputs = ("*",) if every else (*(named or shared or recipe.input), *own)
    optional = () if named or source is None or source.schema.modality not in ("table", "series") else shared
    label = recipe.target_label
    domains = []
    for place in places:
        if label is not None and len(places) > 1 and not _has(place, label):
            domain = _read(place, recipe, inputs, None, source, optional=optional)
            domains.append(replace(domain, labels=np.full(len(domain), None, dtype=object)))
            continue
        own_groups = recipe.sensitive if source is None else ()
        domain = _read(place, recipe, inputs, label, source, optional=optional, partial=True, sensitive=own_groups)
        domains.append(domain.sealed() if label is None else _renamed_labels(domain, recipe))
    first = domains[0].schema
    like = source.schema if source is not None else replace(first, inputs=named or first.inputs)
    if optional:
        like = there(like, domains)
        if not like.inputs and not own:
            need_columns(shared, first.inputs, f"{domains[0].name}, which has none of the source's columns")
    target = join([fitted(domain, like, named, own) for domain in domains])
    if label is not None and (target.labels is None or not known(target).any()):
        raise DataError(f"{target.name}: training on target labels is permitted, but no row has one in '{label}'")
    return target


def _columns(place: Any) -> list[str] | None:
    """The columns of a table's file, which tells them before it is read; None of anything else."""
    if not isinstance(place, str | Path):
        return None
    at = parse(place)
    return None if at.on_hub or suffix_of(Path(at.path)) not in TABLES else TableFile(at.existing()).columns


def _has(place: Any, column: str) -> bool:
    """Whether rows may have this column."""
    columns = _columns(place)
    return columns is None or column in columns


def _check_label(place: Any, recipe: Recipe) -> None:
    """Refuse a label that the source lacks and the target has, with the options that say what is probably meant."""
    columns = _columns(place)
    if columns is None or recipe.label is None:
        return
    lacking = [name for name in label_columns(recipe.label, columns) if name not in columns]
    if not lacking or not any(lacking[0] in (_columns(target) or ()) for target in recipe.target):
        return
    others = [name for name in columns if name not in (*recipe.input, recipe.group)]
    example = f"--label {shlex.quote(others[0])}" if others and recipe.input != ("*",) else "--label COLUMN"
    raise DataError(
        f"{place}: the source has no column '{lacking[0]}', and --label names what is learned from the source (its "
        f"other columns: {join_names(others)}). The target has '{lacking[0]}': to let its labels be learned from too, "
        f"say {example} --target-label {shlex.quote(lacking[0])}"
    )


def _read(
    place: Any,
    recipe: Recipe,
    inputs: tuple[str, ...],
    label: str | None,
    like: Domain | None = None,
    *,
    optional: tuple[str, ...] = (),
    partial: bool = False,
    sensitive: tuple[str, ...] = (),
) -> Domain:
    if isinstance(place, Domain):
        return place
    if recipe.user is not None or recipe.item is not None or recipe.task in ("rate", "rank"):
        return interactions(place, recipe)
    labels = (*label_columns(recipe.label), *label_columns(recipe.target_label))
    names = [name for name in labels if name not in inputs]
    task = None if recipe.task is None else tasks.find(recipe.task)
    modality = recipe.modality or (like.schema.modality if like is not None else None)
    if modality is None and task is not None and task.reads != "row":
        modality = task.modality
    return read(
        place,
        input=inputs or None,
        label=label,
        group=_group(recipe, label, modality),
        modality=modality,
        exclude=(*names, *(name for name in recipe.sensitive if name not in inputs)),
        sensitive=sensitive,
        partial=partial,
        optional=optional,
        like=None if like is None else like.schema,
        structured=task is not None and task.structured,
        shapes="" if task is None else task.shapes,
    )


def _group(recipe: Recipe, label: str | None, modality: str | None) -> str | None:
    """Groups keep labelled rows together, and can tell of labels; series are cut within theirs."""
    return recipe.group if label is not None or modality == "series" else None


def interactions(place: Any, recipe: Recipe) -> Domain:
    """Users and items as the task reads them: pairs to be rated, or users to rank items for.

    Raises:
        SettingsError: a column is not named, or the task is another one.
    """
    if recipe.sensitive:
        raise SettingsError("sensitive columns are those of tables; interactions of users and items have none")
    if recipe.user is None or recipe.item is None:
        raise SettingsError("interactions of users and items need both --user and --item")
    if recipe.task not in ("rate", "rank"):
        raise SettingsError(f"--user and --item are for --task rate and --task rank; task is {recipe.task}")
    if recipe.task == "rate" and recipe.rating is None:
        raise SettingsError("task rate needs --rating, the column of the ratings")
    return read_interactions(
        place,
        user=recipe.user,
        item=recipe.item,
        rating=recipe.rating,
        items=recipe.items,
        users=recipe.users,
        by="users" if recipe.task == "rank" else "pairs",
        hit=recipe.hit if recipe.task == "rank" else None,
    )


def _renamed_labels(domain: Domain, recipe: Recipe) -> Domain:
    if domain.labels is None:
        return domain
    return replace(domain, labels=apply_label_map(domain.labels, label_map(recipe)))


def label_map(recipe: Recipe) -> dict[str, str]:
    """Old labels to new ones, read from the file if the recipe names one.

    Raises:
        DataError: the file is missing or no label map.
    """
    given = recipe.label_map or {}
    return given if isinstance(given, dict) else load_label_map(given)


def known(domain: Domain) -> np.ndarray:
    """Which rows have a label ``[n]`` bool."""
    assert domain.labels is not None
    return np.array([label is not None for label in domain.labels], dtype=bool)
