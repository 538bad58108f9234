"""Which columns of new rows stand for those that a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acclimate.domains.domain import Domain, Schema
from acclimate.domains.locator import parse
from acclimate.domains.tables import TABLES, TableFile, suffix_of
from acclimate.errors import DataError
from acclimate.runs.columns import fitted
from acclimate.runs.store import Card


class Layout:
    """The names of a model's columns: the source's, the target's, and those of data at hand."""

    def __init__(self, card: Card):
        self._card = card

    def columns(self, data: Any, asked: str | Sequence[str] | None) -> list[str] | None:
        """The input columns of ``data``: those asked for, else the target's or the source's names for them.

        None where data have no columns, or the modality needs none.
        """
        names = [asked] if isinstance(asked, str) else asked
        if names is not None and list(names) != ["*"]:
            return list(names)
        known = names_in(data)
        if known is None or self._card.schema.modality not in ("text", "table", "molecule"):
            return None
        return list(self.of(known)[1] or self._card.schema.inputs)

    def of(self, known: Sequence[str]) -> tuple[Schema, Sequence[str]]:
        """Of rows with these columns, what is read, and their names for it; no names where they are the source's.

        They are the target's where all of its columns are there, unless only columns of the source are lacking and
        all of these are there too.
        """
        card, found = self._card, set(known)
        names = [card.target_inputs, *([] if card.target is None else [card.target.inputs])]
        there = next((columns for columns in names if columns and found.issuperset(columns)), ())
        if not there or card.target is None:
            return card.schema, there
        own = set(card.target.inputs) - set(card.schema.inputs)
        whole = not own and found.issuperset(card.schema.inputs)
        return (card.schema, ()) if whole else (card.target, there)

    def fitted(self, data: Any, domain: Domain, asked: str | Sequence[str] | None) -> Domain:
        """A domain that was read from ``data``, as the model takes it."""
        if not isinstance(data, Domain):
            return self.fit(domain, domain.schema.inputs)
        return self.fit(domain, self.columns(data, asked) or ())

    def fit(self, domain: Domain, named: Sequence[str] = ()) -> Domain:
        """A domain as the model takes it; ``named`` are its columns that stand for the model's, in its order."""
        schema = self._card.schema
        if domain.schema.modality != schema.modality:
            raise DataError(f"{domain.name} is {domain.schema.modality}, but the model reads {schema.modality}")
        like, called = self.of(named or domain.schema.inputs)
        return fitted(domain, like, called if self._card.target is not None and like is self._card.target else named)


def names_in(data: Any) -> Sequence[str] | None:
    """The names of the columns of data, empty if they have some that cannot be told beforehand; None: no columns."""
    if isinstance(data, Domain):
        return data.schema.inputs or None
    if isinstance(data, str | Path):
        place = parse(data)
        table = not place.on_hub and suffix_of(Path(place.path)) in TABLES
        return TableFile(place.existing()).columns if table else ()
    if isinstance(data, list):
        return list(data[0]) if data and isinstance(data[0], dict) else None
    names = getattr(data, "columns", getattr(data, "column_names", None))
    return None if names is None else [str(name) for name in names]
