"""Any source as a stream of frames with their domains, in constant memory: what `predict` reads."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from acclimate.domains import from_files, from_series, from_tables
from acclimate.domains.arrays import selected
from acclimate.domains.domain import Domain, Modality, Schema, Shapes
from acclimate.domains.locator import Locator, column_of, parse
from acclimate.domains.read import read
from acclimate.domains.request import Request
from acclimate.domains.series import SeriesRows
from acclimate.domains.tables import TABLES, TableFile, suffix_of
from acclimate.errors import DataError

SIZE = 4096
"""Rows of one chunk."""


def stream(
    source: Any,
    input: str | Sequence[str] | None = None,
    modality: Modality | None = None,
    *,
    size: int = SIZE,
    typed: bool = False,
    like: Schema | None = None,
    shapes: Shapes = "",
) -> Iterator[tuple[pd.DataFrame, Domain]]:
    """Chunks of a source: what to show of each row, and its inputs as a domain without labels.

    Of tables the frame has all columns in their order; cells of CSV and TSV are the file's own text, so that they
    can be written again as they were; of series it is the row where each window ends, and all of it is in memory. Of
    folders and zips the frame has the column ``path``, of anything else ``row``, from 0; of series in arrays that are
    cut up also ``start``, the step of the row with which a window begins.

    Args:
        source: whatever `read` takes.
        input: input columns or array, as for `read`.
        modality: as for `read`; a model knows its own.
        size: rows of a chunk at most.
        typed: give columns of text formats one type for the whole file (numbers where every cell is one and nothing
            is lost: "01" stays text), as Parquet and Arrow need it. Costs a first pass through the file.
        shapes: as for `read`: files of masks or boxes are no rows.
        like: as for `read`: without it a column's type depends on the rows of the chunk.

    Raises:
        DataError: as `read`.
    """
    place = parse(source) if isinstance(source, (str, Path)) else None
    inputs = (input,) if isinstance(input, str) else tuple(input) if input else None
    wanted = Request(inputs, modality=modality, like=like, strict=True)
    if place is not None and not place.on_hub:
        path = place.existing()
        suffix = suffix_of(path)
        if suffix in TABLES and modality == "series":
            shown, whole = from_series.shown_table(place, path, wanted, every=True)
            return _of_ends(shown, whole, size, typed)
        if suffix in TABLES and modality not in ("image", "audio"):
            return _of_table(place, path, wanted, size, typed)
        if path.is_dir() or from_files.is_one_file(path) or (suffix == ".zip" and "member" not in place.select):
            return _of_files(place, path, modality, size, shapes)
    if isinstance(source, pd.DataFrame) and modality == "series":
        return _of_ends(*from_series.read_frame(source, wanted), size, typed)
    if isinstance(source, pd.DataFrame):
        return _of_frame(source, wanted, size, typed)
    whole = read(source, input=input, modality=modality, like=like)
    if isinstance(whole.rows, SeriesRows) and (shown := from_series.places(whole.rows))["start"].any():
        return _of_ends(shown, whole, size, typed)
    return _of_domain(whole, size)


def _of_table(
    place: Locator, path: Path, wanted: Request, size: int, typed: bool
) -> Iterator[tuple[pd.DataFrame, Domain]]:
    file = TableFile(path)
    select = place.rows()
    planned = from_tables.plan(file.columns, wanted, [column_of(key) for key in select], str(path))
    types = _types(file) if typed and file.format in ("csv", "tsv", "jsonl") else {}
    start = 0
    modality, found = planned.modality, False
    for chunk in _rechunked(file.chunks(file.columns), size):
        frame = chunk.set_axis(pd.RangeIndex(start, start + len(chunk)), axis=0)
        start += len(frame)
        if select:
            frame = frame[selected(frame, select)]
        if not len(frame):
            continue
        asked = replace(planned, modality=modality)
        domain = from_tables.of_frame(frame, asked, str(path), from_text=file.is_text)
        modality, found = domain.schema.modality, True
        shown = frame.reset_index(drop=True)
        yield (_cast(shown, types) if types else shown), domain
    if not found:
        raise DataError(f"{place}: no rows")


def _of_frame(source: pd.DataFrame, wanted: Request, size: int, typed: bool) -> Iterator[tuple[pd.DataFrame, Domain]]:
    whole = from_tables.read_frame(source, wanted)
    shown = source.set_axis([str(c) for c in source.columns], axis=1).reset_index(drop=True)
    objects = [c for c in shown if shown[c].dtype == object] if typed else []
    types = {str(c): _folded(_kind(value) for value in shown[c]) for c in objects}
    for index in _blocks(len(whole), size):
        frame = shown.iloc[index].reset_index(drop=True)
        yield (_cast(frame, types) if types else frame), whole.select(index)


def _of_ends(shown: pd.DataFrame, whole: Domain, size: int, typed: bool) -> Iterator[tuple[pd.DataFrame, Domain]]:
    """Windows, and of each the row where it ends."""
    shown, sealed = shown.reset_index(drop=True), whole.sealed()
    types = {str(c): _folded(map(_text_kind, shown[c])) for c in shown if shown[c].dtype == object} if typed else {}
    for index in _blocks(len(whole), size):
        frame = shown.iloc[index].reset_index(drop=True)
        yield (_cast(frame, types) if types else frame), sealed.select(index)


def _of_files(
    place: Locator, path: Path, modality: Modality | None, size: int, shapes: Shapes
) -> Iterator[tuple[pd.DataFrame, Domain]]:
    files, names, kind = from_files.selected_files(place, path, modality, shapes)
    if not names:
        raise DataError(f"{place}: no rows")
    for index in _blocks(len(names), size):
        chunk = [names[i] for i in index]
        yield pd.DataFrame({"path": chunk}), from_files.of_names(files, chunk, kind, place)


def _of_domain(domain: Domain, size: int) -> Iterator[tuple[pd.DataFrame, Domain]]:
    sealed = domain.sealed()
    for index in _blocks(len(domain), size):
        yield pd.DataFrame({"row": index}), sealed.select(index)


def _blocks(n: int, size: int) -> Iterator[np.ndarray]:
    return (np.arange(start, min(start + size, n)) for start in range(0, n, size))


def _rechunked(frames: Iterable[pd.DataFrame], size: int) -> Iterator[pd.DataFrame]:
    """The same rows in frames of ``size`` rows at most."""
    for frame in frames:
        for start in range(0, len(frame), size):
            yield frame.iloc[start : start + size]


_INT = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(?=[.eE])(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_EXACT = 1 << 53
"""Whole numbers beyond this are not all floats: a column of such ones and of fractions is text."""
_ARROW = {"int": pa.int64(), "long": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}


def _types(file: TableFile) -> dict[str, str]:
    """The kind of each column of a text format, by a pass through the file."""
    found = dict.fromkeys(file.columns, "")
    of = _text_kind if file.is_text else _kind
    for frame in file.chunks(file.columns):
        for column in file.columns:
            found[column] = _folded((of(value) for value in frame[column].tolist()), found[column])
    return found


def _folded(kinds: Iterable[str], start: str = "") -> str:
    return reduce(_wider, set(kinds), start)


def _wider(one: str, other: str) -> str:
    """The kind that holds both: none < int < float, int < long, and anything else is text."""
    if one == other or not other:
        return one
    if not one:
        return other
    if "int" in (one, other) and {one, other} & {"long", "float"}:
        return other if one == "int" else one
    return "str"


def _text_kind(cell: Any) -> str:
    if not isinstance(cell, str) or not cell:
        return ""
    if _INT.fullmatch(cell) and cell != "-0":
        return _kind(int(cell))
    return "float" if _FLOAT.fullmatch(cell) else "str"


def _kind(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, (int, np.integer)):
        size = abs(int(value))
        return "int" if size <= _EXACT else "long" if size < 1 << 63 else "str"
    return "float" if isinstance(value, (float, np.floating)) else "str"


def _cast(frame: pd.DataFrame, types: Mapping[str, str]) -> pd.DataFrame:
    """The frame with the columns of ``types`` as Arrow types; what is no plain value becomes its JSON or text."""
    cast = {
        c: pd.Series(_converted(frame[c], kind), dtype=pd.ArrowDtype(_ARROW.get(kind, pa.string())))
        for c, kind in types.items()
    }
    return frame.assign(**cast)


def _converted(series: pd.Series, kind: str) -> list[Any]:
    values = [None if _kind(value) == "" else value for value in series.tolist()]
    if kind in ("int", "long", "float"):
        number = float if kind == "float" else int
        return [None if value in (None, "") else number(value) for value in values]
    if kind == "bool":
        return values
    return [value if value is None or isinstance(value, str) else _as_text(value) for value in values]


def _as_text(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, default=str)


def free_name(name: str, taken: Container[str]) -> str:
    """The name of an added column, which must not replace one of the input's."""
    while name in taken:
        name = f"acclimate_{name}"
    return name
