"""`RUN/trust/NAME.json`: what any part of the program adds to the report. The form is documented in docs/result.md."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.errors import DataError
from acclimate.files import read_json, write_json

FOLDER = "trust"
LEVELS = ("info", "good", "caution", "bad")
LANGUAGES = ("en", "zh")
FIGURES: dict[str, tuple[str, ...]] = {
    "lines": ("series",),
    "scatter": ("series",),
    "bars": ("labels", "series"),
    "dots": ("labels", "series"),
    "heatmap": ("rows", "columns", "values"),
}
"""Kinds of figures, and the keys without which there is nothing to draw."""


def write_section(folder: Path, section: Mapping[str, Any]) -> Path:
    """Write a section of the report into ``RUN/trust``, in the place of an older one of that name; returns its file.

    Helps whoever measured something that a reader of the run should know; the page shows it without knowing what it is.
    It hurts where a section tells what follows from labels of the target and does not say so by ``opened``.

    Args:
        folder: of the run.
        section: as docs/result.md says; checked here, so that a report cannot fail on it later.

    Raises:
        DataError: it does not have that form.
    """
    check(section, "section")
    path = folder / FOLDER / f"{section['name']}.json"
    write_json(path, dict(section))
    return path


def sections(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The sections of a run by name, and why a file was left out, a sentence each: a report never fails."""
    found, problems = [], []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            section = read_json(path)
            check(section, str(path))
            found.append(section)
        except DataError as error:
            problems.append(str(error))
        except (OSError, ValueError) as error:
            problems.append(f"{path}: not readable ({error})")
    return found, problems


def check(section: Any, where: str) -> None:
    """Refuse what is not a section.

    Raises:
        DataError: says which key, what was found and what was expected.
    """
    _expect(isinstance(section, Mapping), where, "a JSON object", section)
    name = section.get("name")
    known = isinstance(name, str) and re.fullmatch(r"[a-z0-9_]+", name)
    _expect(bool(known), f"{where}: name", "small letters, digits and underscores", name)
    _expect(_is_text(section.get("title")), f"{where}: title", TEXT, section.get("title"))
    _expect(_is_text(section.get("summary", "")), f"{where}: summary", TEXT, section.get("summary"))
    level = section.get("level", "info")
    _expect(level in LEVELS, f"{where}: level", f"one of {', '.join(LEVELS)}", level)
    _expect(isinstance(section.get("opened", False), bool), f"{where}: opened", "true or false", section.get("opened"))
    sentences = section.get("sentences", [])
    whole = isinstance(sentences, list) and all(_is_text(each) for each in sentences)
    _expect(whole, f"{where}: sentences", f"a list; each is {TEXT}", sentences)
    for key, each in (("table", _check_table), ("figure", _check_figure)):
        if section.get(key) is not None:
            each(section[key], f"{where}: {key}")


TEXT = 'a text, or one for each language as {"en": ..., "zh": ...}'


def _is_text(value: Any) -> bool:
    """A text, or the same in both languages."""
    if isinstance(value, Mapping):
        return set(value) == set(LANGUAGES) and all(isinstance(each, str) for each in value.values())
    return isinstance(value, str)


def _check_table(table: Any, where: str) -> None:
    columns: Any = table.get("columns") if isinstance(table, Mapping) else None
    whole = isinstance(columns, list) and bool(columns) and all(_is_text(name) for name in columns)
    _expect(whole, f"{where}.columns", f"a list; each is {TEXT}", columns)
    for row in table.get("rows", []):
        whole = isinstance(row, list) and len(row) == len(columns) and all(_is_cell(cell) for cell in row)
        _expect(whole, f"{where}.rows", f"lists of {len(columns)} cells (texts, numbers, null)", row)


def _check_figure(figure: Any, where: str) -> None:
    kind = figure.get("kind") if isinstance(figure, Mapping) else None
    _expect(kind in FIGURES, f"{where}.kind", f"one of {', '.join(FIGURES)}", kind)
    for key in FIGURES[str(kind)]:
        value = figure.get(key)
        _expect(isinstance(value, list) and bool(value), f"{where}.{key}", "a list that is not empty", value)
    if kind == "heatmap":
        shape = len(figure["rows"]), len(figure["columns"])
        values = figure["values"]
        whole = len(values) == shape[0] and all(len(row) == shape[1] and all(map(_is_number, row)) for row in values)
        _expect(whole, f"{where}.values", f"{shape[0]} lists of {shape[1]} numbers or null", values)
        return
    for series in figure["series"]:
        _expect(isinstance(series, Mapping), f"{where}.series", "objects", series)
        _expect(_is_text(series.get("name", "")), f"{where}.series: name", TEXT, series.get("name"))
        needed = ("x", "y") if kind in ("lines", "scatter") else ("values",)
        count = len(series.get("x") or []) if "x" in needed else len(figure["labels"])
        for key in (*needed, *(bound for bound in ("low", "high") if bound in series)):
            value = series.get(key)
            whole = isinstance(value, list) and len(value) == count and all(map(_is_number, value)) and count > 0
            _expect(whole, f"{where}.series: {key}", f"a list of {count} numbers or null", value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def _is_cell(value: Any) -> bool:
    return _is_text(value) or _is_number(value)


def _expect(true: bool, where: str, expected: str, found: Any) -> None:
    if not true:
        shown = repr(found)
        raise DataError(f"{where}: expected {expected}, found {shown if len(shown) < 80 else shown[:80] + '...'}")
