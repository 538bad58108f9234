"""Labels as canonical strings, label maps, and labels as numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.errors import DataError

ABSURD = 1e30
"""Numbers beyond this are refused: they overflow float32 sooner or later."""

SEVERAL = "|"
"""Between the names of several label columns."""

_WHOLE = re.compile(r"([+-]?)(0|[1-9][0-9]*)(?:\.0*)?")


def canonical_one(value: Any) -> str:
    """One value as its canonical string, ``""`` for a missing one.

    1, 1.0, True-like integers of NumPy, "1.0" and "+1" are "1"; "01" stays "01"; booleans and the words
    true and false in any case are "true" and "false"; other strings are stripped.
    """
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("true", "false"):
            return text.lower()
        whole = _WHOLE.fullmatch(text)
        if whole:
            return _signed(whole[1], whole[2])
        return text
    if value is None:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        number = float(value)
        if math.isnan(number):
            return ""
        if number.is_integer() and abs(number) < 1e16:
            return str(int(number))
        return repr(number) if isinstance(value, float) and not isinstance(value, np.floating) else str(value)
    if isinstance(value, bytes):
        return canonical_one(value.decode("utf-8", "replace"))
    text = str(value).strip()
    return "" if text in ("NaT", "<NA>", "nan") else text


def canonical_groups(values: Iterable[Any]) -> np.ndarray:
    """Groups of people ``[n]`` as canonical strings; what is missing is a group of its own, ``(missing)``."""
    return np.array([canonical_one(value) or "(missing)" for value in values], dtype=object)


def _signed(sign: str, digits: str) -> str:
    return f"-{digits}" if sign == "-" and digits != "0" else digits


def label_columns(label: str | None, columns: Container[str] = ()) -> tuple[str, ...]:
    """The columns that a label names: itself, or several with ``|`` between them (``"NR-AR|SR-p53"``) where ``columns``
    have none of the whole name; none for None.
    """
    if label is None:
        return ()
    return (label,) if label in columns else tuple(label.split(SEVERAL))


def together(columns: Sequence[Any]) -> np.ndarray:
    """Several labels of each row as one ``[n]``: a JSON list of canonical strings, null where one is missing."""
    found = [canonical_with_missing(column)[0] for column in columns]
    rows = zip(*found, strict=True)
    return np.array([json.dumps([value or None for value in row], ensure_ascii=False) for row in rows], dtype=object)


def row_name(position: Any) -> str:
    """A row for people: counted from 1, the header not counted."""
    return f"row {position + 1}" if isinstance(position, (int, np.integer)) else f"row {position!r}"


def _place(values: Any, k: int) -> str:
    """The row of a value, by the index of pandas where it has one: some rows of a file keep their numbers."""
    return row_name(values.index[k] if hasattr(values, "iloc") else k)


def as_json(value: Any) -> Any:
    """Lists and mappings as JSON text; anything else as it is."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(value, Mapping):
        value = {key: item.tolist() if isinstance(item, np.ndarray) else item for key, item in value.items()}
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | tuple | dict) else value


def canonical(values: Any, where: str = "labels", partial: bool = False) -> np.ndarray:
    """Labels or groups ``[n]`` as canonical strings (object dtype); with ``partial``, None where there is none.

    Raises:
        DataError: some are missing (None, NaN or empty) and that is not ``partial``, or are no plain values.
    """
    result, missing = canonical_with_missing(values, where)
    if partial:
        result[missing] = None
    elif missing.any():
        first = _place(values, int(np.flatnonzero(missing)[0]))
        raise DataError(
            f"{where}: {int(missing.sum())} of {len(result)} rows have no value (the first is {first}); "
            "fill them in, remove those rows, or leave them out: FILE?COLUMN!="
        )
    return result


def canonical_with_missing(values: Any, where: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Canonical strings ``[n]``, ``""`` where missing, and the mask ``[n]`` of the missing ones.

    Raises:
        DataError: a row holds several values, or a text that UTF-8 cannot.
    """
    flat = np.asarray(values, dtype=object) if isinstance(values, (list, tuple)) else np.asarray(values)
    if flat.ndim == 2 and flat.shape[1] == 1:
        flat = flat[:, 0]
    if flat.ndim != 1:
        raise DataError(f"labels must be one value a row, found an array of shape {list(flat.shape)}")
    seen: dict[Any, str] = {}
    result = np.empty(len(flat), dtype=object)
    items = list(flat) if flat.dtype in (np.float16, np.float32) else flat.tolist()
    for i, value in enumerate(items):
        key = (type(value), value) if isinstance(value, (str, int, float, bool)) else None
        if isinstance(value, (list, tuple, dict, set, np.ndarray)):
            kind = type(value).__name__
            raise DataError(
                f"{where}: {_place(values, i)} holds a {kind}, {str(value)[:60]}; expected one word or number. "
                "Lists of answers are for --task answer, of tags for --task tag, of items for --task rank"
            )
        if key is None:
            result[i] = canonical_one(value)
        elif key in seen:
            result[i] = seen[key]
        else:
            result[i] = seen.setdefault(key, canonical_one(value))
    broken = [text for text in set(result) if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)]
    if broken:
        raise DataError(f"{where}: {min(broken)!a} holds half a character, as names do that are not UTF-8; rename it")
    missing = result == ""
    nan = np.array([text.lower() == "nan" for text in result], dtype=bool)
    if nan.any() and all(is_number(text) for text in set(result[~(missing | nan)])):
        missing |= nan  # among numbers "NaN" is no class name
    return np.where(missing, "", result), missing


def is_number(value: object) -> bool:
    """Whether what it is written as reads as a number."""
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def load_label_map(path: str | Path) -> dict[str, str]:
    """A label map from a JSON object of old name to new name; both become canonical.

    Raises:
        DataError: missing file, not JSON, or not an object of plain values.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot read the label map ({error.strerror})") from None
    except ValueError as error:
        raise DataError(f"{path}: the label map is not JSON ({error})") from None
    if not isinstance(found, dict) or not found:
        raise DataError(f'{path}: a label map is a JSON object such as {{"4": "positive", "1": "negative"}}')
    for old, new in found.items():
        if isinstance(new, (dict, list)) or canonical_one(new) == "" or canonical_one(old) == "":
            raise DataError(f"{path}: label '{old}' is mapped to {json.dumps(new)}; expected a name or a number")
    return {canonical_one(old): canonical_one(new) for old, new in found.items()}


def apply_label_map(labels: np.ndarray, mapping: Mapping[str, str]) -> np.ndarray:
    """Canonical labels ``[n]`` with new names; labels that the map does not name stay."""
    return np.array([mapping.get(label, label) for label in labels], dtype=object)


def as_numbers(labels: np.ndarray, where: str = "labels") -> np.ndarray:
    """Labels ``[n]`` as float64, for regression.

    Raises:
        DataError: a label is no number, NaN, infinite or beyond 1e30; names the first such row.
    """
    result = np.empty(len(labels), dtype=np.float64)
    for i, label in enumerate(labels):
        try:
            result[i] = float(label)
        except (TypeError, ValueError):
            raise DataError(f"{where}: row {i + 1} holds '{label}', which is not a number") from None
    bad = ~(np.abs(result) <= ABSURD)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{where}: {int(bad.sum())} rows are not usable numbers (NaN, infinite or beyond {ABSURD:g}); "
            f"the first is row {first + 1}: {labels[first]}"
        )
    return result
