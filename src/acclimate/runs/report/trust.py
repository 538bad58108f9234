"""Whether the model can be trusted: calibration, and the sections that other parts of the program wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acclimate.runs.report import figures
from acclimate.runs.report.blocks import Block, bullets, heading, paragraphs, section, split, table
from acclimate.runs.report.drawing import CLASSES
from acclimate.runs.report.sections import sections
from acclimate.runs.report.words import NOTHING, Words, number

WORSE, FAR = 0.05, 0.1
"""Calibration error, more than on the source or in all, from which confidences are no probabilities."""


def trust(value: Mapping[str, Any], kept: Mapping[str, Any], folder: Path, words: Words) -> Block:
    """Calibration where answers have probabilities, then every section of ``RUN/trust``."""
    found, problems = sections(folder)
    blocks: list[Block | None] = _calibration(value, kept, words)
    for each in found:
        blocks += _section(each, words)
    if not blocks:
        blocks = [paragraphs(words("trust.nothing"))]
    left_out = [(words("trust.left_out", why=problem), words.language) for problem in problems]
    return section("trust", words("trust.title"), [words("trust.lead")], [*blocks, bullets("", left_out)])


def _calibration(value: Mapping[str, Any], kept: Mapping[str, Any], words: Words) -> list[Block | None]:
    """How far stated confidence is from accuracy, of the model to use."""
    arm = value["model"]
    own = kept.get("reliability", {}).get(arm)
    opened = ((kept.get("opened") or {}).get("reliability") or {}).get(arm)
    if own is None and opened is None:
        return []
    said, series = [], []
    if own is not None:
        said.append(words("trust.calibration.source", ece=number(own["ece"])))
        series.append((words("trust.on_source"), own, "source"))
    level = "info"
    if opened is not None:
        worse = opened["ece"] > min((own["ece"] if own else 0.0) + WORSE, FAR)
        level = "caution" if worse else "good"
        said.append(words(f"trust.calibration.{'worse' if worse else 'target'}", ece=number(opened["ece"])))
        series.append((words("trust.on_target"), opened, "target"))
    elif "target" in value["data"]:
        said.append(words("trust.calibration.sealed"))
    title = words("trust.figure", arm=arm)
    values = " ".join(
        words("trust.figure.value", where=where, ece=number(found["ece"]), rows=words.count("row", found["rows"]))
        for where, found, _ in series
    )
    labels = words("trust.confidence"), words("trust.accuracy")
    picture = figures.reliability("reliability", title, words("trust.figure.desc", values=values), labels, series)
    name = words(f"level.{level}")
    return [heading(words("trust.calibration"), level, name), split(picture, title, paragraphs(*said))]


def _section(each: Mapping[str, Any], words: Words) -> list[Block | None]:
    """A section of ``RUN/trust``, whatever it is of."""
    level = each.get("level", "info")
    said = [words.said(sentence) for sentence in each.get("sentences", ())]
    opened = words("trust.opened") if each.get("opened") else ""
    text = paragraphs(words.said(each.get("summary", "")), *said, opened)
    caption = words.text((each.get("figure") or {}).get("caption", each["title"]))
    return [
        heading(words.text(each["title"]), level, words(f"level.{level}")),
        split(_figure(each, words), caption, text) or text,
        _table(each, words),
    ]


def _table(each: Mapping[str, Any], words: Words) -> Block | None:
    found = each.get("table")
    if not found:
        return None
    columns = [words.text(name) for name in found["columns"]]
    rows = [[_cell(cell, words) for cell in row] for row in found["rows"]]
    numbers = [
        k for k in range(len(columns)) if all(isinstance(row[k], int | float | None) for row in found["rows"]) and k > 0
    ]
    return table(words.text(found.get("caption", each["title"])), columns, rows, numbers)


def _cell(cell: Any, words: Words) -> str:
    if cell is None:
        return NOTHING
    if isinstance(cell, int):
        return f"{cell:,}"
    return number(cell) if isinstance(cell, float) else words.text(cell)


def _figure(each: Mapping[str, Any], words: Words) -> str:
    """The generic figure of a section."""
    found = each.get("figure")
    if not found:
        return ""
    said = {key: words.text(found.get(key, "")) for key in ("x_label", "y_label")}
    name, title = f"trust-{each['name'].replace('_', '-')}", words.text(each["title"])
    told = words.text(found.get("caption", each.get("summary", each["title"])))
    if found["kind"] == "heatmap":
        named = {key: [words.text(text) for text in found[key]] for key in ("rows", "columns")}
        return figures.heatmap(name, title, told, {**found, **named})
    series = [{**one, "name": words.text(one.get("name", ""))} for one in found["series"]]
    if found["kind"] in ("lines", "scatter"):
        return figures.lines(name, title, told, {**found, **said, "series": series})
    labels = [words.text(label) for label in found["labels"]]
    if found["kind"] == "dots":
        points = [
            (f"{label} {one['name']}".strip(), value, bounds, CLASSES[k % len(CLASSES)])
            for k, one in enumerate(series)
            for label, value, bounds in zip(labels, one["values"], _bounds(one), strict=True)
            if value is not None
        ]
        return figures.dots(name, title, told, said["x_label"], points) if points else ""
    drawn_series = [
        (one["name"], one["values"], _bounds(one), CLASSES[k % len(CLASSES)]) for k, one in enumerate(series)
    ]
    return figures.bars(name, title, told, labels, drawn_series, said["x_label"])


def _bounds(series: Mapping[str, Any]) -> list[Sequence[float] | None]:
    """The interval of each value, where both of its ends are there."""
    count = len(series["values"])
    low, high = (series.get(key) or [None] * count for key in ("low", "high"))
    return [None if None in pair else pair for pair in zip(low, high, strict=True)]
