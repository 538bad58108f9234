"""Domains from tables: files, DataFrames and Arrow tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from acclimate.domains import ids, molecules, tables
from acclimate.domains.arrays import NumberRows, matching
from acclimate.domains.columns import found_modality, join_names, texts, typed
from acclimate.domains.domain import Domain, Modality, Rows, Schema, Subset
from acclimate.domains.labels import label_columns, row_name
from acclimate.domains.locator import Locator, column_of
from acclimate.domains.request import Request, checked_ids, finish, said, sensitive_columns, side_columns
from acclimate.domains.rows import ArrowRows, FrameRows, ListRows
from acclimate.domains.tables import TableFile, need_columns
from acclimate.errors import DataError

SAMPLE = 4096
SMILES = ("smiles", "smi", "canonical_smiles", "mol")
"""What columns of molecules are often called."""
"""Rows of an Arrow table by which its modality is found."""
ROW_NUMBERS = re.compile(r"|Unnamed: 0|__index_level_[0-9]+__")
"""Names that pandas gives to an index in CSV (written, and read again) and Parquet."""


def plan(columns: Sequence[str], wanted: Request, selecting: Sequence[str], where: str) -> Request:
    """The request with columns in place of ``"*"``, checked against the columns that there are.

    Columns named one by one stand for those of ``like`` in their order; those of ``"*"`` are found by name.

    Raises:
        DataError: no input named, a column that is not there, or a label or group that is also an input.
    """
    notes: tuple[str, ...] = ()
    if wanted.input is None:
        raise DataError(f"{where}: name the input column (--input NAME); columns found: {', '.join(map(str, columns))}")
    labels = label_columns(wanted.label, columns)
    named = [*labels, *([] if wanted.group is None else [wanted.group])]
    inputs_too = [name for name in wanted.sensitive if wanted.input and name in wanted.input]
    aside_of = [name for name in wanted.sensitive if name not in inputs_too]
    need_columns(wanted.sensitive, columns, where)
    if wanted.input == ("*",):
        aside = {*named, *wanted.exclude, *selecting, *aside_of}
        numbers = [c for c in columns if ROW_NUMBERS.fullmatch(c) and c not in aside]
        inputs = tuple(c for c in columns if c not in aside and c not in numbers)
        if numbers:
            notes = (f"left out as row numbers: {', '.join(map(repr, numbers))}; name them to have them as inputs",)
        if not inputs:
            raise DataError(f"{where}: no input column is left; columns found: {', '.join(columns)}")
    else:
        inputs = tuple(dict.fromkeys(wanted.input))
    there = tuple(c for c in inputs if c in columns or c not in wanted.optional) or inputs
    need_columns([*there, *named, *selecting], columns, where)
    for what, names in (("label", labels), ("group", (wanted.group,))):
        for name in names:
            if name in inputs:
                raise DataError(f"{where}: column '{name}' is both input and {what}")
    rest = [c for c in columns if c not in (*inputs, *named, *wanted.exclude, *selecting, *aside_of)]
    if rest and len(there) < len(inputs):
        notes = (*notes, f"{where}: not read: {join_names(rest)}; rename one that is the same under another name")
    if aside_of:
        notes = (*notes, f"sensitive, and no input: {join_names(aside_of)}")
    if inputs_too:
        notes = (*notes, f"sensitive, and an input as you named it: {join_names(inputs_too)}")
    if set(wanted.sensitive) & set(labels):
        raise DataError(f"{where}: column '{labels[0]}' is both label and sensitive")
    if wanted.like is None:
        return replace(wanted, input=there, notes=notes)
    theirs = wanted.like.inputs
    called = zip(theirs, theirs if wanted.input == ("*",) else inputs, strict=False)
    words = frozenset(b for a, b in called if a in wanted.like.categories)
    return replace(wanted, input=there, categories=words, notes=notes)


def read_table(locator: Locator, path: Path, wanted: Request) -> Domain:
    """A domain from a CSV, TSV, JSONL, Parquet or Arrow file."""
    file = TableFile(path)
    where = str(path)
    select = locator.rows()
    wanted = plan(file.columns, wanted, [column_of(key) for key in select], where)
    inputs = list(wanted.input or ())
    aside = beside(wanted, select, file.columns)
    if file.format in ("parquet", "arrow"):
        side = together(file, aside) if aside else pd.DataFrame()
        return of_arrow(file.table(inputs), side, wanted, where, locator)
    frame = together(file, list(dict.fromkeys([*inputs, *aside])))
    keep = matching(frame, select, where)
    frame = frame if keep is None else frame.iloc[keep]
    return of_frame(frame, wanted, where, from_text=file.is_text, locator=locator)


def beside(wanted: Request, select: Iterable[str], columns: Sequence[str]) -> list[str]:
    """Columns that hold labels and groups, and those that a locator selects by."""
    aside = [
        *label_columns(wanted.label, columns),
        wanted.group,
        *wanted.sensitive,
        *(column_of(key) for key in select),
    ]
    return list(dict.fromkeys(name for name in aside if name is not None))


def together(file: TableFile, columns: list[str]) -> pd.DataFrame:
    """The columns of a file as one frame."""
    chunks = list(file.chunks(columns))
    if not chunks or not sum(map(len, chunks)):
        raise DataError(f"{file.path}: no rows")
    return pd.concat(chunks, ignore_index=True)


def read_frame(frame: pd.DataFrame, wanted: Request, name: str = "DataFrame") -> Domain:
    """A domain from a pandas DataFrame."""
    frame = frame.set_axis([str(c) for c in frame.columns], axis=1).reset_index(drop=True)
    if not frame.columns.is_unique:
        raise DataError(
            f"{name}: column names occur twice: {join_names(list(frame.columns[frame.columns.duplicated()]))}"
        )
    return of_frame(frame, plan(list(frame.columns), wanted, (), name), name, from_text=False)


def of_frame(
    frame: pd.DataFrame, wanted: Request, where: str, *, from_text: bool, locator: Locator | None = None
) -> Domain:
    """A domain from a frame that holds all that a planned request names. The frame's index is each row's place
    in the file, for messages.
    """
    if not len(frame):
        raise DataError(f"{where}: no rows")
    dropped: tuple[str, ...] = ()
    if wanted.modality == "molecule":
        frame, dropped = _molecules(frame, wanted, where)
    raw = frame[list(wanted.input or ())]
    modality = wanted.modality
    columns = (
        None
        if modality in ("text", "molecule")
        else typed(raw, from_text=from_text, where=where, categories=wanted.categories)
    )
    if modality is None:
        assert columns is not None
        modality = found_modality(columns, where)
    rows: Rows
    if modality == "text":
        rows = ListRows(texts(raw, where), frame.index.to_numpy())
        found = ids.hash_texts(rows.values)
    elif modality == "molecule":
        rows = ListRows(texts(raw, where), frame.index.to_numpy())
        found = molecules.hash_molecules(rows.values.tolist())
    elif modality in ("table", "array"):
        assert columns is not None
        rows, found = _number_rows(columns, modality, where)
    else:
        raise DataError(
            f"{where}: columns of this table cannot be read as {modality}; put the files in a folder or zip "
            "beside a metadata.csv with a column file_name"
        )
    labels, groups = side_columns(frame, wanted, where)
    return finish(
        rows,
        found,
        schema_of(modality, wanted, columns),
        name=where if locator is None else locator.name,
        labels=labels,
        groups=groups,
        locator=locator,
        notes=(*said(modality, _reason(modality, wanted), wanted.modality is not None), *wanted.notes, *dropped),
        sensitive=sensitive_columns(frame, wanted),
    )


def _molecules(frame: pd.DataFrame, wanted: Request, where: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows that hold a molecule, and a note on the others.

    Raises:
        DataError: not one column, none is readable, or all must be.
    """
    if len(wanted.input or ()) != 1:
        raise DataError(f"{where}: molecules are in one column of SMILES, found {join_names(wanted.input or ())}")
    smiles = texts(frame[list(wanted.input or ())], where).tolist()
    mask = molecules.readable(smiles)
    if mask.all():
        return frame, ()
    told = molecules.unreadable(smiles, [row_name(place) for place in frame.index], mask, where)
    if wanted.strict or not mask.any():
        raise DataError(f"{told}; mend or remove them")
    return frame[mask], (f"left out: {told}",)


def _number_rows(columns: pd.DataFrame, modality: Modality, where: str) -> tuple[Rows, np.ndarray]:
    if modality == "table":
        return FrameRows(columns), ids.hash_frame(columns)
    words = [str(c) for c in columns if columns[c].dtype == object]
    if words:
        raise DataError(f"{where}: modality array needs numbers, but these columns are not: {join_names(words)}")
    rows = NumberRows(columns.to_numpy(dtype=np.float32))
    return rows, checked_ids(rows, "array", where)


def of_arrow(
    table: pa.Table, side: pd.DataFrame, wanted: Request, where: str, locator: Locator | None = None
) -> Domain:
    """A domain from the input columns of an Arrow table; ``side`` holds the columns of labels, groups and selection.

    Large tables stay where they are, as texts and files do; of a small one the columns are taken out, because single
    rows are then read faster.
    """
    select = {} if locator is None else locator.rows(*(("split", "config") if locator.on_hub else ()))
    keep = matching(side, select, where)
    if not table.num_rows:
        raise DataError(f"{where}: no rows")
    modality = wanted.modality or _arrow_modality(table, where, np.arange(table.num_rows) if keep is None else keep)
    notes = (*said(modality, _reason(modality, wanted), wanted.modality is not None), *wanted.notes)
    whole = ArrowRows(table, modality, where, wanted.categories)
    if keep is not None:
        side = side.iloc[keep]
    if modality in ("array", "molecule") or (modality == "table" and table.nbytes <= tables.IN_MEMORY):
        inputs = whole.raw(np.arange(table.num_rows) if keep is None else keep)
        frame = inputs.assign(**{str(c): side[c].to_numpy(dtype=object) for c in side if c not in inputs})
        domain = of_frame(frame, replace(wanted, modality=modality), where, from_text=False, locator=locator)
        return replace(domain, notes=notes)
    rows: Rows = whole if keep is None else Subset(whole, keep)
    labels, groups = side_columns(side, wanted, where)
    return finish(
        rows,
        checked_ids(rows, modality, where),
        schema_of(modality, wanted, whole.take(np.arange(1)) if modality == "table" else None),
        name=where if locator is None else locator.name,
        labels=labels,
        groups=groups,
        locator=locator,
        notes=notes,
        sensitive=sensitive_columns(side, wanted),
    )


def _arrow_modality(table: pa.Table, where: str, rows: np.ndarray) -> Modality:
    if len(table.schema) == 1 and (
        pa.types.is_struct(table.schema[0].type) or pa.types.is_binary(table.schema[0].type)
    ):
        raise DataError(f"{where}: column '{table.schema[0].name}' holds files; pass modality image or audio")
    places = rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64))]
    return found_modality(typed(ArrowRows(table, "table", where).raw(places), from_text=False, where=where), where)


def schema_of(modality: Modality, wanted: Request, columns: pd.DataFrame | None) -> Schema:
    """The schema of a planned request and the typed columns that it found."""
    inputs = tuple(wanted.input or ())
    words = () if modality != "table" or columns is None else tuple(c for c in inputs if columns[c].dtype == object)
    return Schema(modality, inputs, wanted.label, wanted.group, words)


def _reason(modality: Modality, wanted: Request) -> str:
    inputs = wanted.input or ()
    if modality == "text":
        hint = "; of molecules pass --modality molecule" if inputs[0].lower() in SMILES else ""
        return f"column '{inputs[0]}' holds texts{hint}"
    return f"{len(inputs)} columns of numbers or categories: {join_names(inputs)}"
