"""Domains of series: long tables with a row for each step, NPZ files, and arrays in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from acclimate.domains import series
from acclimate.domains.arrays import ArrayFile, matching
from acclimate.domains.columns import MISSING, join_names, typed
from acclimate.domains.domain import Domain, Schema, Windows
from acclimate.domains.from_arrays import input_array, label_array, named_classes, same_length
from acclimate.domains.from_tables import plan, together
from acclimate.domains.labels import canonical, label_columns, row_name
from acclimate.domains.labels import together as joined_labels
from acclimate.domains.locator import Locator, column_of
from acclimate.domains.request import Request, checked_ids, finish
from acclimate.domains.series import STEPS_LEFT, SeriesRows
from acclimate.domains.tables import TableFile
from acclimate.errors import DataError


@dataclass(frozen=True)
class Steps:
    """The steps of a long table, ordered: recording after recording.

    Attributes:
        frame: all columns that were read; its index is each step's place in the file.
        recordings: canonical name of each recording.
        sizes: steps of each.
        uneven: how many recordings have steps that are not equally far apart in time.
    """

    frame: pd.DataFrame
    recordings: list[str]
    sizes: list[int]
    uneven: int = 0


def read_table(locator: Locator, path: Path, wanted: Request) -> Domain:
    """A domain from a table file with a row for each step of each recording."""
    return shown_table(locator, path, wanted)[1]


def shown_table(locator: Locator, path: Path, wanted: Request, every: bool = False) -> tuple[pd.DataFrame, Domain]:
    """The domain of `read_table`, and the row of the file where each window ends; with ``every`` column."""
    file = TableFile(path)
    windows, last = series.asked_windows(locator, wanted.like, wanted.group)
    select = locator.rows(*series.KEYS)
    planned = _planned(file.columns, wanted, windows, [column_of(key) for key in select], str(path))
    needed = [*planned.input, *_beside(planned, windows, file.columns), *map(column_of, select)]  # type: ignore[misc]
    frame = together(file, file.columns if every else list(dict.fromkeys(needed)))
    keep = matching(frame, select, str(path))
    frame = frame if keep is None else frame.iloc[keep]
    return _of_frame(frame, planned, windows, last, str(path), locator, from_text=file.is_text)


def read_frame(frame: pd.DataFrame, wanted: Request, where: str = "DataFrame") -> tuple[pd.DataFrame, Domain]:
    """The same of a DataFrame."""
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1).reset_index(drop=True)
    windows, last = series.asked_windows(None, wanted.like, wanted.group)
    planned = _planned(list(frame.columns), wanted, windows, (), where)
    return _of_frame(frame, planned, windows, last, where, None, from_text=False)


def _planned(
    columns: Sequence[str], wanted: Request, windows: Windows, selecting: Sequence[str], where: str
) -> Request:
    """The request with names in place of ``"*"``; those of ``like`` are found by name, and may lack."""
    if windows.recording is None:
        raise DataError(f"{where}: which column tells recordings apart (--group NAME)? found: {join_names(columns)}")
    like = wanted.like
    inputs, optional = wanted.input or ("*",), wanted.optional
    if inputs == ("*",) and like is not None and like.inputs:
        inputs, optional = like.inputs, frozenset(like.inputs)
    label = None if wanted.label == STEPS_LEFT and STEPS_LEFT not in columns else wanted.label
    aside = [*selecting, *([] if windows.time is None else [windows.time])]
    asked = replace(wanted, input=inputs, optional=optional, label=label, group=windows.recording, like=None)
    found = plan(columns, asked, aside, where)
    return replace(found, label=wanted.label, like=like, optional=frozenset(inputs) - set(found.input or ()))


def _beside(wanted: Request, windows: Windows, columns: Sequence[str]) -> list[str]:
    """Columns that hold labels, recordings and time."""
    labels = () if wanted.label not in columns and wanted.label == STEPS_LEFT else label_columns(wanted.label, columns)
    return [*labels, *(name for name in (windows.recording, windows.time) if name is not None)]


def _of_frame(
    frame: pd.DataFrame,
    wanted: Request,
    windows: Windows,
    last: bool,
    where: str,
    locator: Locator | None,
    *,
    from_text: bool,
) -> tuple[pd.DataFrame, Domain]:
    if not len(frame):
        raise DataError(f"{where}: no rows")
    steps = _ordered(frame, windows, where)
    names, values = _channels(steps.frame, wanted, where, from_text)
    filled, gaps = series.bridged(values, steps.sizes)
    windows = replace(windows, length=windows.length or series.USUAL, stride=windows.stride or 1)
    rows = SeriesRows(filled, series.cut(steps.sizes, windows, last), windows.length)
    ends = steps.frame.iloc[rows.cut.ends]
    absent = [name for name in names if name in wanted.optional]
    there = [k for k, name in enumerate(names) if name not in absent]
    notes = [
        f"{len(steps.sizes)} recordings, {len(rows)} windows of {windows.length} steps, every {windows.stride}",
        *wanted.notes,
        *series.remarks(
            replace(rows, values=rows.values[:, there]), [names[k] for k in there], gaps, wanted.like is None
        ),
    ]
    if steps.uneven:
        notes.append(
            f"{steps.uneven} of {len(steps.sizes)} recordings have steps that are not equally far apart in "
            f"'{windows.time}': they are read one after the other"
        )
    if absent:
        notes.append(f"has no {join_names(absent)}: read as the source's mean")
    called = where if locator is None else locator.name
    domain = finish(
        rows,
        checked_ids(rows, "series", where),
        Schema("series", names, wanted.label, windows.recording, windows=windows),
        name=called,
        labels=_labels(ends, rows, wanted, where),
        groups=np.array(steps.recordings, dtype=object)[rows.cut.owner],
        locator=locator,
        notes=[f"{called}: {note}" for note in notes],
    )
    return ends.reset_index(drop=True), domain


def _ordered(frame: pd.DataFrame, windows: Windows, where: str) -> Steps:
    """The steps recording after recording, by time; file order where no time is named."""
    groups = canonical(frame[windows.recording], f"{where}: group '{windows.recording}'")
    names, code = np.unique(groups.astype(str), return_inverse=True)
    time = np.arange(len(frame)) if windows.time is None else _times(frame[windows.time], where)
    order = np.lexsort((time, code))
    sizes, uneven = np.bincount(code).tolist(), 0
    apart = np.diff(time[order]), np.diff(code[order]) == 0
    twice = np.flatnonzero((apart[0] == 0) & apart[1])
    if len(twice):
        place = row_name(frame.index[order[twice[0] + 1]])
        raise DataError(
            f"{where}: {place} has the same '{windows.time}' as another row of recording "
            f"'{names[code[order[twice[0]]]]}'; is '{windows.recording}' what tells recordings apart?"
        )
    if windows.time is not None:
        starts = np.cumsum([0, *sizes])
        for start, end in pairwise(starts):
            gaps = np.diff(time[order][start:end])
            uneven += bool(len(gaps)) and bool(gaps.max() > 1.5 * np.median(gaps))
    return Steps(frame.iloc[order], names.tolist(), sizes, uneven)


def _times(values: pd.Series, where: str) -> np.ndarray:
    """Numbers, or dates as seconds."""
    cells = values.astype(object)  # Arrow's own NaN is not missing to pandas
    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.isna().any():
        dates = pd.to_datetime(cells, errors="coerce")
        if dates.isna().any():
            bad = int(dates.isna().to_numpy().argmax())
            raise DataError(
                f"{where}: column '{values.name}' holds '{values.iloc[bad]}' in {row_name(values.index[bad])}, which "
                "is neither a number nor a date"
            )
        numbers = (dates - dates.min()).dt.total_seconds()
    return numbers.to_numpy(dtype=np.float64)


def _channels(frame: pd.DataFrame, wanted: Request, where: str, from_text: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the channels and ``[steps, channels]`` float32; those of ``like`` in its order, NaN where they lack."""
    inputs = wanted.input or ()
    columns = typed(frame[list(inputs)], from_text=from_text, where=where)
    if words := [str(name) for name in columns if columns[name].dtype == object and columns[name].notna().any()]:
        raise DataError(f"{where}: {_wordy(columns, words)}")
    names = inputs
    if wanted.like is not None and wanted.like.inputs:
        names = wanted.like.inputs
        if not wanted.optional and len(inputs) == len(names):
            columns = columns.set_axis(list(names), axis=1)  # named one for one
        elif extra := [name for name in inputs if name not in names]:
            raise DataError(f"{where}: channels that the source does not have: {join_names(extra)}")
    values = columns.reindex(columns=list(names)).to_numpy(dtype=np.float32)
    return names, values


def _wordy(columns: pd.DataFrame, words: Sequence[str]) -> str:
    """What to say of columns that hold words: the first such cell, and the way out."""
    cells = columns[words[0]].dropna()
    cells = cells[[text.lower() not in MISSING for text in cells.astype(str)]]
    odd = cells[pd.to_numeric(cells, errors="coerce").isna()]
    row = min(odd.index)
    others = f"; words are in {join_names(words[1:])}, too" if words[1:] else ""
    return (
        f"channels are numbers, and column '{words[0]}' holds '{str(odd[row])[:40]}' in {row_name(row)} ({len(odd)} of "
        f"{len(columns)} cells are no numbers){others}. Leave such cells empty, or name the channels alone, each with "
        "--input COLUMN"
    )


def _labels(ends: pd.DataFrame, rows: SeriesRows, wanted: Request, where: str) -> np.ndarray | None:
    """The label of each window is that of its last step."""
    if wanted.label is None:
        return None
    if wanted.label == STEPS_LEFT and STEPS_LEFT not in ends:
        return canonical(rows.cut.left, where)
    names = label_columns(wanted.label, ends.columns)
    if len(names) > 1:
        return joined_labels([ends[name] for name in names])
    return canonical(ends[names[0]], f"{where}: label '{names[0]}'", wanted.partial)


def read_arrays(locator: Locator, path: Path, wanted: Request) -> Domain:
    """A domain from an NPZ or NPY file of series ``[n, length]`` or ``[n, channels, length]``."""
    arrays, where = named_classes(ArrayFile(path)), str(path)
    x = locator.one("x") or input_array(wanted, arrays)
    values = arrays[x]
    select = locator.rows("x", "y", *series.KEYS)
    for key in map(column_of, select):
        same_length(arrays[key], len(values), f"{where}: array '{key}'")
    keep = matching(arrays, select, where)
    label = None if wanted.label is None else locator.one("y") or label_array(wanted.label, arrays)

    def side(name: str | None, what: str, partial: bool = False) -> np.ndarray | None:
        if name is None:
            return None
        known = same_length(arrays[name], len(values), f"{where}: array '{name}'")
        return canonical(known if keep is None else known[keep], f"{where}: {what} '{name}'", partial)

    sides = side(label, "label", wanted.partial), side(wanted.group, "group")
    kept = values if keep is None else values[keep]
    return _of_stack(kept, *sides, replace(wanted, label=label), f"{where}: array '{x}'", locator, keep)


def read_stack(inputs: Any, wanted: Request, where: str = "array") -> Domain:
    """A domain from series in memory, without labels."""
    return _of_stack(np.asarray(inputs), None, None, wanted, where, None)


def _of_stack(
    values: np.ndarray,
    labels: np.ndarray | None,
    groups: np.ndarray | None,
    wanted: Request,
    where: str,
    locator: Locator | None,
    numbers: np.ndarray | None = None,
) -> Domain:
    windows, last = series.asked_windows(locator, wanted.like, None)
    stack = series.stacked(values, where, numbers)
    rows, windows, gaps = series.of_stack(stack, windows, last)
    owner = rows.cut.owner
    if groups is None and len(owner) > len(stack):  # windows of one series stay together
        groups = np.array([str(k) for k in range(len(stack))], dtype=object)
    names = [f"channel {k + 1}" for k in range(stack.shape[1])]
    called = where if locator is None else locator.name
    notes = [*_cut_up(stack, rows), *series.remarks(rows, names, gaps, wanted.like is None)]
    return finish(
        rows,
        checked_ids(rows, "series", where),
        Schema("series", (), wanted.label, wanted.group, windows=replace(windows, recording=None)),
        name=called,
        labels=None if labels is None else labels[owner],
        groups=None if groups is None else groups[owner],
        locator=locator,
        notes=[f"{called}: {note}" for note in notes],
    )


def _cut_up(stack: np.ndarray, rows: SeriesRows) -> Iterator[str]:
    """A remark on series that are longer than a window."""
    n, _, steps = stack.shape
    if steps <= rows.length:
        return
    unread = int(places(rows)["start"].min())
    beside = f"; their first {unread} are in none" if unread else ""
    yield f"{n} series of {steps} steps are cut into {len(rows)} windows of {rows.length}{beside}"


def places(rows: SeriesRows) -> pd.DataFrame:
    """Of each window of series in an array the series' ``row`` and the window's ``start``, its first step, from 0."""
    start = np.maximum(rows.cut.ends - rows.cut.begins - rows.length + 1, 0)
    return pd.DataFrame({"row": rows.cut.owner, "start": start})
