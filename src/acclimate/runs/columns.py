"""Inputs as a model reads them: the columns that it was trained on, found by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acclimate.domains.columns import join_names
from acclimate.domains.domain import Domain, Rows, Schema
from acclimate.domains.request import checked_ids
from acclimate.domains.rows import row_of
from acclimate.domains.schema import Difference, difference
from acclimate.domains.tables import need_columns
from acclimate.errors import DataError, SettingsError
from acclimate.methods.data import Data
from acclimate.runs.recipe import Recipe

UNLINKED = "source and target share no column: without target labels nothing tells which class is which"


@dataclass(frozen=True)
class Columns:
    """Some columns of other rows, in an order and under names of their own."""

    rows: Rows
    places: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int) -> str:
        return row_of(self.rows, index)

    def take(self, index: np.ndarray) -> Any:
        taken, places = self.rows.take(index), list(self.places)
        if isinstance(taken, np.ndarray):
            return taken[:, places]
        return taken.iloc[:, places].set_axis(list(self.names), axis=1)


def fitted(domain: Domain, like: Schema, named: Sequence[str] = (), own: Sequence[str] = ()) -> Domain:
    """The domain with the input columns of ``like``, and with others only where they are its ``own``.

    They are found by name. Only columns that a person named take the places of others, one for one.

    Args:
        domain: rows of any kind; only where both sides know their columns is there something to do.
        like: what the model reads.
        named: columns of the domain in the place of those of ``like``, or none.
        own: columns of the domain that are kept beside those, under their names.

    Raises:
        DataError: a column is not there, or too many or too few are named.
    """
    known, wanted = domain.schema.inputs, (*like.inputs, *own)
    chosen = (*(named or like.inputs), *own)
    columns = domain.schema.modality == like.modality and like.modality in ("table", "array")
    if not columns or not known or not wanted or known == chosen == wanted:
        return domain
    need_columns(chosen, known, f"{domain.name}, which needs the source's columns unless its own are named")
    if len(chosen) != len(wanted):
        raise DataError(
            f"{domain.name}: {len(named)} input columns are named ({', '.join(named)}) for the source's "
            f"{len(like.inputs)} ({', '.join(like.inputs)}); name one for each, and further ones of the target as +NAME"
        )
    rows = Columns(domain.rows, tuple(known.index(name) for name in chosen), wanted)
    words = tuple(new for new, old in zip(wanted, chosen, strict=True) if old in domain.schema.categories)
    schema = replace(domain.schema, inputs=wanted, categories=words)
    return replace(domain, rows=rows, ids=checked_ids(rows, like.modality, domain.name), schema=schema)


def there(like: Schema, domains: Sequence[Domain]) -> Schema:
    """The schema with those of its columns that all domains have; as it is where none is there, or not for tables."""
    if like.modality != "table" or any(domain.schema.modality != "table" for domain in domains):
        return like
    found = tuple(name for name in like.inputs if all(name in domain.schema.inputs for domain in domains))
    return replace(like, inputs=found, categories=tuple(name for name in like.categories if name in found))


def shared(source: Domain, target: Domain) -> tuple[Domain, Domain] | None:
    """Both domains with the columns that both have; None where that is none."""
    found = difference(source, target)
    if found is None:
        return source, target
    if not found.shared:
        return None
    both = [name for name in source.schema.categories if name in found.shared]
    like = replace(source.schema, inputs=found.shared, categories=tuple(both))
    return fitted(source, like), fitted(target, like)


def narrowed(data: Data) -> Domain | None:
    """Held-out rows of the source as a target without some of its columns would show them; None where it lacks none,
    or has columns of its own in their place.
    """
    found, rows = data.difference, data.source_validation
    if found is None or rows is None or not found.shared or not found.source or found.target:
        return None
    return fitted(rows, there(rows.schema, [replace(rows, schema=replace(rows.schema, inputs=found.shared))]))


def target_columns(recipe: Recipe, source: Domain | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """From ``target_input``, the target's names for the source's columns, or none, and columns of its own.

    Raises:
        SettingsError: a label or group among them; own columns without a table as source, or one of the source's.
    """
    every = recipe.target_input == ("*",)
    named = () if every else tuple(name for name in recipe.target_input if not name.startswith("+"))
    own = tuple(dict.fromkeys(name[1:] for name in recipe.target_input if name.startswith("+")))
    if own and (source is None or source.schema.modality != "table"):
        raise SettingsError(
            f"--target-input +{own[0]}: only beside a source that is a table has a target its own columns"
        )
    aside = {recipe.label, recipe.target_label, recipe.group}
    aside |= set() if source is None else {source.schema.label, source.schema.group}
    for name in recipe.target_input:
        if name.removeprefix("+") in aside:
            raise SettingsError(f"--target-input {name}: a label or group is never an input")
    for name in own:
        if source is not None and name in source.schema.inputs:
            raise SettingsError(f"--target-input +{name}: the source has a column '{name}' too; leave it out")
    return named, own


def differing(found: Difference) -> tuple[str, ...]:
    """What differs and what is done about it, for people."""
    notes = []
    if found.source:
        notes.append(
            f"only the source has {join_names(found.source)}: source_only and plain put its mean or most frequent "
            "category there, other methods train an encoder for each domain"
        )
    if found.target:
        notes.append(
            f"only the target has {join_names(found.target)}: source_only and plain leave it out, other methods train "
            "an encoder for each domain"
        )
    if not found.shared:
        notes.append(UNLINKED)
    return tuple(notes)
