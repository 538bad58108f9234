"""What is wanted of a source, and what every reader does with rows that it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.domains.domain import Domain, Modality, Rows, Schema, Shapes
from acclimate.domains.locator import Locator
from acclimate.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 1 << 15
"""Rows that are looked at together while a domain is checked and hashed."""
MEDIA_BLOCK = 64
"""The same of images and sounds, which are large."""


@dataclass(frozen=True)
class Request:
    """What of a source is wanted; without ``label`` stay away from labels.

    Attributes:
        partial: rows may lack a label.
        structured: a label may be a list or a mapping, which is kept as JSON.
        shapes: images have masks or boxes beside them, which ``label`` may name.
        optional: inputs that are left out where the source has no such column.
        like: of the table whose columns of categories are such here too.
        strict: rows that cannot be read are refused, where a domain may leave them out: `predict` answers every row.
        categories: input columns that are never read as numbers, whatever their cells look like.
        notes: what was found while the request was planned, for people.
        sensitive: columns of groups of people, by which results are told apart; inputs only if ``input`` names them.
    """

    input: tuple[str, ...] | None = None
    label: str | None = None
    group: str | None = None
    modality: Modality | None = None
    exclude: tuple[str, ...] = ()
    partial: bool = False
    structured: bool = False
    shapes: Shapes = ""
    optional: frozenset[str] = frozenset()
    like: Schema | None = None
    strict: bool = False
    categories: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()


def finish(
    rows: Rows,
    ids: np.ndarray,
    schema: Schema,
    *,
    name: str,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    locator: Locator | None = None,
    notes: Sequence[str] = (),
    sensitive: Mapping[str, np.ndarray] | None = None,
) -> Domain:
    """The domain of checked rows.

    Raises:
        DataError: there are no rows.
    """
    if not len(rows):
        raise DataError(f"{name}: no rows")
    place = None if locator is None else str(locator if locator.on_hub else _absolute(locator))
    return Domain(name, schema, rows, ids, labels, groups, place, tuple(notes), sensitive=sensitive or {})


def _absolute(locator: Locator) -> Locator:
    return replace(locator, path=str(Path(locator.path).expanduser().absolute()))


def checked_ids(rows: Rows, modality: Modality, where: str) -> np.ndarray:
    """Ids ``[n]`` of rows, looked at block by block: bad numbers and broken content are found on the way."""
    from acclimate.domains import ids, molecules
    from acclimate.domains.arrays import check_finite

    found, size = [], MEDIA_BLOCK if modality in ("image", "audio") else BLOCK // 16 if modality == "series" else BLOCK
    for start in range(0, len(rows), size):
        block = rows.take(np.arange(start, min(start + size, len(rows))))
        if modality == "text":
            found.append(ids.hash_texts(block))
        elif modality == "image":
            found.append(ids.hash_pixels(block))
        elif modality == "molecule":
            found.append(molecules.hash_molecules(block))
        elif modality == "table":
            found.append(ids.hash_frame(block))
        elif modality == "audio":
            found.append(ids.hash_bytes(str(rate).encode() + samples.tobytes() for samples, rate in block))
        else:
            check_finite(np.nan_to_num(block, nan=0.0) if modality == "series" else block, where, start)
            found.append(ids.hash_array(block))
    return np.concatenate(found) if found else np.empty(0, dtype=ids.ID)


def said(modality: Modality, reason: str, given: bool) -> tuple[str, ...]:
    """The note that tells people which modality was found, and why; none where they said it themselves."""
    return () if given else (f"modality {modality}: {reason}",)


def side_columns(frame: pd.DataFrame, wanted: Request, where: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Canonical labels and groups out of a frame's columns."""
    from acclimate.domains.labels import as_json, canonical, label_columns, together

    labels = None
    if wanted.label is not None:
        names = label_columns(wanted.label, frame.columns)
        if len(names) > 1:
            values: Any = together([frame[name] for name in names])
        else:
            values = frame[names[0]].map(as_json) if wanted.structured else frame[names[0]]
        labels = canonical(values, f"{where}: label '{wanted.label}'", wanted.partial)
    groups = None if wanted.group is None else canonical(frame[wanted.group], f"{where}: group '{wanted.group}'")
    return labels, groups


def sensitive_columns(frame: pd.DataFrame, wanted: Request) -> dict[str, np.ndarray]:
    """The groups of people by column, as canonical strings; see `canonical_groups`."""
    from acclimate.domains.labels import canonical_groups

    return {name: canonical_groups(frame[name]) for name in wanted.sensitive}
