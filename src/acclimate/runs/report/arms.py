"""The section of the page on the models: every arm side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acclimate.runs.report import figures
from acclimate.runs.report.blocks import Block, bullets, paragraphs, section, split, table
from acclimate.runs.report.parts import duration
from acclimate.runs.report.words import Words, number, sign

SCORES = ("infomax", "agreement", "atc")
"""Scores without labels that the page shows."""


def arms(value: Mapping[str, Any], words: Words) -> Block:
    """Every arm with its intervals, as dots and as a table."""
    primary, opened = value["primary"], any(row["target"] for row in value["arms"])
    permitted = not opened and any(row["target_validation"] for row in value["arms"])
    side = "target" if opened else "target_validation" if permitted else "source_validation"
    metric = words.metric(primary)
    rows = _ordered(value, side)
    points = [
        (row["name"], row[side]["metrics"][primary], row[side]["intervals"][primary], _shade(row, value))
        for row in rows
        if row[side]
    ]
    plain = value.get("baselines", {}) if opened else {}
    points += [(name, each["metrics"][primary], each["intervals"][primary], "muted") for name, each in plain.items()]
    scored = [name for name in SCORES if any(row["label_free"].get(name) is not None for row in rows)]
    lead = [words("arms.lead.source"), *([words("arms.lead.sealed")] if scored else [])]
    if opened:
        counted = words.count("row", next(row[side]["n"] for row in rows if row[side]))
        lead = [words("arms.lead.opened", rows=counted)]
    elif permitted:
        lead = [words("arms.lead.permitted")]
    title = words("arms.figure", metric=metric)
    title = title[:1].upper() + title[1:]
    values = "; ".join(f"{name} {words.between(score, bounds)}" for name, score, bounds, _ in points)
    described = words("arms.figure.desc", metric=metric, values=values)
    picture = figures.dots("arms", title, described, metric, points) if points else ""
    warned = [
        (f"{row['name']}: {words.told(text)[0]}", words.told(text)[1])
        for row in value["arms"]
        for text in row["warnings"]
    ]
    lower = "" if value.get("higher_is_better", True) else words("arms.lower", metric=metric)
    meant = [words(f"arms.meant.{name}") for name in scored] + ([words("arms.glossary")] if scored else [])
    text = paragraphs(lower, words("sentence.gap").join(meant))
    return section(
        "arms",
        words("arms.title"),
        lead,
        [
            split(picture, title, text) or text,
            _table(value, rows, plain, words),
            bullets(words("arms.warnings"), warned),
        ],
    )


def _ordered(value: Mapping[str, Any], side: str) -> list[Mapping[str, Any]]:
    """The best first where there are figures of the target, else as they were trained."""
    rows, primary = list(value["arms"]), value["primary"]
    if side == "source_validation":
        return rows
    sign = -1 if value.get("higher_is_better", True) else 1
    known = sorted((row for row in rows if row[side]), key=lambda row: sign * row[side]["metrics"][primary])
    return [*known, *(row for row in rows if not row[side])]


def _shade(row: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    if row["name"] == value["adapted"]:
        return "target"
    return "source" if row["name"] == value["reference"] else "muted"


def _table(
    value: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], plain: Mapping[str, Any], words: Words
) -> Block | None:
    """All arms, then plain answers of the task, which are none."""
    primary = value["primary"]
    metric = words.metric(primary)
    columns = [words("arms.arm"), words("arms.target", metric=metric), words("arms.difference"),
               words("arms.source", metric=metric), words("arms.infomax"), words("arms.agreement"), words("arms.atc"),
               words("arms.backbone"), words("arms.seconds")]  # fmt: skip
    lines = []
    for row in rows:
        target, source, free = row["target"] or row["target_validation"], row["source_validation"], row["label_free"]
        against = (row["target"] or {}).get("differences", {}).get(primary)
        bounds = None if against is None or against["low"] is None else words.signed_interval(against)
        scores = [free.get(name) for name in SCORES]
        lines.append(
            [
                (row["name"] + ("\u00a0*" if row["name"] == value["model"] else ""), words(f"role.{row['role']}")),
                _figure(target, primary, words),
                "" if against is None else (sign(against["value"]), bounds or ""),
                _figure(source, primary, words),
                *("" if score is None else number(score) for score in scores),
                (row["backbone"], row["tune"]),
                duration(row["seconds"]),
            ]
        )
    told = words("role.baseline")
    lines += [[(name, told), _figure(each, primary, words), *[""] * 7] for name, each in plain.items()]
    strong = next((k for k, row in enumerate(rows) if row["name"] == value["model"]), -1)
    return table(words("arms.caption"), columns, lines, numbers=range(1, 7), strong=strong)


def _figure(found: Mapping[str, Any] | None, primary: str, words: Words) -> str | tuple[str, str]:
    return "" if not found else (number(found["metrics"][primary]), words.interval(found["intervals"][primary]))
