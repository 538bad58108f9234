"""Columns of a frame as inputs: numbers or categories, texts, and which modality they are."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from acclimate.domains.domain import Modality
from acclimate.domains.labels import ABSURD, canonical_one, row_name
from acclimate.errors import DataError

TEXT_BYTES = 10_000_000
"""A longer text is refused."""
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>", "#n/a"})
"""What a cell of an otherwise numeric column of a text file may say for a missing number, in any case."""


def typed(frame: pd.DataFrame, *, from_text: bool, where: str, categories: Container[str] = ()) -> pd.DataFrame:
    """The columns as float64 (missing: NaN) or as strings of object dtype (missing or empty: None).

    Args:
        frame: any columns.
        from_text: all cells are text (CSV): a column whose cells are all numbers becomes numeric.
        where: for messages.
        categories: columns that stay strings whatever their cells look like.

    Raises:
        DataError: numbers that are infinite or beyond 1e30, or cells that hold lists, dates or the like.
    """
    found = {name: _typed(frame[name], from_text, where, name in categories) for name in frame}
    return pd.DataFrame(found, index=frame.index)


def _typed(series: pd.Series, from_text: bool, where: str, category: bool) -> pd.Series:
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    name = series.name
    if category:
        return _categories(series, where)
    if from_text:
        series = _parsed(series)
    elif series.dtype == object:
        kinds = {type(value) for value in series if not _is_missing(value)}
        if kinds <= {int, float, bool} or all(issubclass(k, (int, float, np.number, np.bool_)) for k in kinds):
            series = pd.Series([np.nan if _is_missing(v) else _float(v) for v in series], index=series.index)
    if pd.api.types.is_complex_dtype(series.dtype):
        raise DataError(f"{where}: column '{name}' holds complex numbers")
    if pd.api.types.is_bool_dtype(series.dtype) or pd.api.types.is_numeric_dtype(series.dtype):
        numbers = pd.Series(series.to_numpy(dtype=np.float64, na_value=np.nan), index=series.index)
        _check_numbers(numbers, where, name)
        return numbers
    return _categories(series, where)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return np.inf


def _categories(series: pd.Series, where: str) -> pd.Series:
    found = [_category(value, where, series.name) for value in series]
    check_texts((value or "" for value in found), series.index, f"{where}: column '{series.name}'")
    return pd.Series(found, index=series.index, dtype=object)


def _parsed(series: pd.Series) -> pd.Series:
    """Cells of a text file as numbers where all of them are, else as they stand."""
    cells = series.astype(object).where(series.notna(), "")
    missing = cells.map(lambda cell: cell.strip().lower() in MISSING).astype(bool)
    try:
        numbers = pd.to_numeric(cells.where(~missing, np.nan).astype(object))
    except (ValueError, TypeError):
        return cells
    return numbers.map(_float) if numbers.dtype == object else numbers.astype(np.float64)


def nearly_numbers(table: pd.DataFrame) -> list[str]:
    """A sentence for each column of categories of which at least nine cells in ten are numbers, and some are not."""
    said = []
    for name in table:
        cells = table[name].dropna()
        if cells.dtype != object or not len(cells):
            continue
        words = cells[pd.to_numeric(cells, errors="coerce").isna()]
        if 0 < len(words) <= len(cells) / 10:
            said.append(
                f"column '{name}' is read as categories, since {len(words)} of {len(cells)} cells "
                f"are no numbers, such as {str(words.iloc[0])[:40]!r}; leave them empty to read it as numbers"
            )
    return said


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def _category(value: Any, where: str, column: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    if _is_missing(value):
        return None
    if isinstance(value, (bool, int, float, np.generic)) and not isinstance(value, (np.datetime64, np.timedelta64)):
        return canonical_one(value)
    raise DataError(
        f"{where}: column '{column}' holds {type(value).__name__} values; inputs are numbers, categories or texts"
    )


def _check_numbers(numbers: pd.Series, where: str, column: Any) -> None:
    bad = np.flatnonzero(np.abs(numbers.to_numpy()) > ABSURD)
    if len(bad):
        raise DataError(
            f"{where}: column '{column}' holds numbers that are infinite or beyond {ABSURD:g} in {len(bad)} rows; "
            f"the first is {row_name(numbers.index[bad[0]])}: {numbers.iloc[bad[0]]}"
        )


def texts(frame: pd.DataFrame, where: str) -> np.ndarray:
    """One text a row ``[n]`` (object dtype).

    Several columns are joined by newlines, the only ones before the last column's text: it is what a task asks about,
    and the others (a question) are what is asked. A list of words is a text, too.

    Raises:
        DataError: a missing text (an empty one is allowed), or one of more than 10 MB; names the row.
    """
    parts = [_texts(frame[name], where) for name in frame]
    parts[:-1] = [[" ".join(text.splitlines()) for text in part] for part in parts[:-1]]
    joined = parts[0] if len(parts) == 1 else ["\n".join(row) for row in zip(*parts, strict=True)]
    check_texts(joined, frame.index, where)
    result = np.empty(len(frame), dtype=object)
    result[:] = joined
    return result


def check_texts(values: Iterable[str], places: Iterable[Any], where: str) -> None:
    """Raise a DataError for a text of more than 10 MB, or one that UTF-8 cannot hold; names the row."""
    for text, place in zip(values, places, strict=True):
        if text.isascii() and len(text) <= TEXT_BYTES:
            continue
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise DataError(
                f"{where}: {row_name(place)} holds half a character (a lone surrogate at {error.start})"
            ) from None
        if size > TEXT_BYTES:
            raise DataError(f"{where}: {row_name(place)} holds a text of more than {TEXT_BYTES:,} bytes")


def _texts(series: pd.Series, where: str) -> list[str]:
    values = series.tolist()
    for i, value in enumerate(values):
        if isinstance(value, str):
            continue
        if _is_missing(value):
            raise DataError(
                f"{where}: column '{series.name}' has no text in {row_name(series.index[i])}; "
                "remove that row or put an empty text"
            )
        if isinstance(value, (list, tuple, np.ndarray)) and all(isinstance(word, str) for word in value):
            values[i] = _sentence(value, f"{where}: column '{series.name}', {row_name(series.index[i])}")
            continue
        if isinstance(value, (list, dict, tuple, bytes, np.ndarray)):
            kind = type(value).__name__
            raise DataError(f"{where}: column '{series.name}' holds {kind} values, expected texts")
        values[i] = canonical_one(value)
    return values


def _sentence(words: Iterable[str], where: str) -> str:
    """Words with a space between each two."""
    for word in words:
        if len(word.split()) != 1 or word != word.strip():
            raise DataError(f"{where}: a list of words holds {word!r}; a word has no space in it, and is not empty")
    return " ".join(words)


def found_modality(frame: pd.DataFrame, where: str) -> Modality:
    """Whether typed columns are a text or a table.

    Raises:
        DataError: it could be either; says what to pass.
    """
    strings = [name for name in frame if frame[name].dtype == object]
    sentences = [name for name in strings if _like_sentences(frame[name].dropna())]
    if len(frame.columns) == 1 and strings:
        values = frame[strings[0]].dropna()
        if sentences or _like_texts(values):
            return "text"
        raise DataError(
            f"{where}: column '{strings[0]}' holds short strings, texts or categories alike; "
            "pass modality text or table"
        )
    if sentences:
        raise DataError(
            f"{where}: columns {', '.join(map(repr, sentences))} hold sentences beside other columns; pass modality "
            "text (the columns are joined, one a line) or table (each distinct string is a category); of a question "
            "and its text, --task answer reads the answer's place"
        )
    return "table"


def _like_sentences(values: pd.Series) -> bool:
    """Mostly several words, and mostly different ones."""
    return len(values) > 0 and _words(values) >= 3 and values.nunique() > len(values) / 2


def _like_texts(values: pd.Series) -> bool:
    """A lone column is more readily text: several words, or long strings that differ (scripts without spaces)."""
    if not len(values):
        return False
    different = values.nunique() > len(values) / 2
    return _words(values) >= 3 or (different and float(np.median(values.map(len))) >= 10)


def _words(values: pd.Series) -> float:
    return float(np.median([len(value.split()) for value in values]))


def join_names(names: Sequence[str]) -> str:
    """Names for people, long lists cut."""
    shown = ", ".join(map(str, names[:12]))
    return shown if len(names) <= 12 else f"{shown}, ... ({len(names)} in all)"
