"""Whether two domains can meet in one model, and how their columns differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from acclimate.domains.domain import Domain
from acclimate.domains.labels import is_number
from acclimate.domains.tables import need_columns
from acclimate.errors import DataError

ROWS = 1000
"""Rows of a table by which the types of its columns are compared."""


@dataclass(frozen=True)
class Difference:
    """How the inputs of two domains differ. Of arrays, whose columns have no names, only the widths are told.

    Attributes:
        shared: columns that both have, in the source's order.
        source: columns that only the source has.
        target: columns that only the target has.
    """

    shared: tuple[str, ...]
    source: tuple[str, ...]
    target: tuple[str, ...]


def difference(source: Domain, target: Domain) -> Difference | None:
    """How the inputs of two domains of one modality differ, None where they do not."""
    if source.schema.modality == "table":
        ours, theirs = source.schema.inputs, target.schema.inputs
        shared = tuple(name for name in ours if name in theirs)
        found = Difference(shared, _without(ours, shared), _without(theirs, shared))
        return found if found.source or found.target else None
    if source.schema.modality == "array":
        shapes = [domain.rows.take(np.arange(1)).shape[1:] for domain in (source, target)]
        if shapes[0] != shapes[1]:
            wide = [f"{'x'.join(map(str, shape))} numbers" for shape in shapes]
            return Difference((), (wide[0],), (wide[1],))
    return None


def check_pair(source: Domain, target: Domain) -> None:
    """Raise a DataError unless a model of the source's inputs can read the target's as they are.

    The modality must be the same; a table must have the source's input columns, numbers where the source has
    numbers; arrays must have one shape.
    """
    check_kinds(source, target)
    if source.schema.modality == "table":
        need_columns(source.schema.inputs, target.schema.inputs, f"{target.name}, which needs the source's columns")
        return
    found = difference(source, target)
    if found is not None:
        raise DataError(
            f"rows of different width: {source.name} has {found.source[0]} a row, {target.name} {found.target[0]}"
        )


def check_kinds(source: Domain, target: Domain) -> None:
    """Raise a DataError where what both domains have is not of one kind, whatever else they have.

    The modality must be the same, and the columns that both tables have must hold numbers where the source has numbers;
    series must have one number of channels and steps. Sparse rows must have one width: their columns are known by
    number, so that those of another width are the same columns, cut off elsewhere.
    """
    kinds = source.schema.modality, target.schema.modality
    if kinds[0] != kinds[1]:
        raise DataError(
            f"domains of different kinds: {source.name} is {kinds[0]}, {target.name} is {kinds[1]}; "
            "pass modality if one was taken wrongly"
        )
    if kinds[0] == "table":
        _check_columns(source, target, [name for name in source.schema.inputs if name in target.schema.inputs])
    elif kinds[0] == "series":
        _check_series(source, target)
    elif kinds[0] == "array":
        first = [domain.rows.take(np.arange(1)) for domain in (source, target)]
        if any(map(sparse.issparse, first)) and first[0].shape != first[1].shape:
            raise DataError(
                f"rows of different width: {source.name} has {first[0].shape[1]} numbers a row, {target.name} "
                f"{first[1].shape[1]} (svmlight: fix it with ?features=N)"
            )


def _check_series(source: Domain, target: Domain) -> None:
    shapes = [domain.rows.take(np.arange(1)).shape[1:] for domain in (source, target)]
    if shapes[0] != shapes[1]:
        told = [f"{channels} channels of {length} steps" for channels, length in shapes]
        raise DataError(
            f"series of different shape: {source.name} has {told[0]}, {target.name} {told[1]} (cut windows of one "
            "length with ?window=N; of tables name the channels with --input)"
        )


def _without(names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in others)


def _check_columns(source: Domain, target: Domain, columns: Sequence[str]) -> None:
    ours, theirs = (domain.rows.take(np.arange(min(len(domain), ROWS))) for domain in (source, target))
    for column in columns:
        if ours[column].dtype != object and theirs[column].dtype == object and theirs[column].notna().any():
            example = next((cell for cell in theirs[column].dropna() if not is_number(cell)), "")
            raise DataError(
                f"column '{column}' holds numbers in {source.name}, but text in {target.name} (for example '{example}')"
            )
