"""Several runs on one page, and as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acclimate.files import read_json
from acclimate.runs import result
from acclimate.runs.report import figures
from acclimate.runs.report.blocks import arm, listed, paragraphs, section, split, table
from acclimate.runs.report.page import put
from acclimate.runs.report.verdict import sentence_of
from acclimate.runs.report.words import NOTHING, Words, number
from acclimate.runs.seal import evaluations

MORE = ("epsilon", "membership_auc", "gap")
"""Columns that are there where a run has such a figure: what privacy was spent; what the surest attack of the last
audit tells of the model to use; the largest gap between groups of people in the first metric, on the target or, while
that is sealed, on held-out source rows."""


def compare_runs(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Of each run what stands beside the others', as JSON values.

    Raises:
        DataError: one of them is not a finished run.
    """
    return [_row(folder, result.load(folder)) for folder in folders]


def _row(folder: Path, value: Mapping[str, Any]) -> dict[str, Any]:
    used = arm(value, value["model"])
    assert used is not None
    found, last = used["target"], next(reversed(evaluations(value)), None)
    return {
        "run": str(folder),
        "method": value["method"],
        "backbone": value["backbone"],
        "tune": value["tune"],
        "seed": value["seed"],
        "decision": value["decision"],
        "verdict": value["verdict"] if len(value["arms"]) > 1 else None,
        "model": value["model"],
        "primary": value["primary"],
        "higher_is_better": value.get("higher_is_better", True),
        "epsilon": None if value["privacy"] is None else max(value["privacy"]["spent"].values()),
        "membership_auc": _told(folder, value["model"]),
        "gap": _gap(value.get("fairness")),
        "value": None if found is None else found["metrics"][value["primary"]],
        "interval": None if found is None else found["intervals"][value["primary"]],
        "rows": None if found is None else found["n"],
        "data": None if found is None else found["data"],
        "hash": None if last is None else last["hash"],
    }


def _told(folder: Path, model: str) -> float | None:
    """What the best attack of an audit tells of members through an arm; None where none was made."""
    if not (folder / "audit.json").is_file():
        return None
    attacks = read_json(folder / "audit.json")["arms"].get(model, {})
    return max((float(attack["auc"]) for attack in attacks.values()), default=None)


def _gap(fairness: Mapping[str, Any] | None) -> float | None:
    """The largest gap between groups in the first metric (accuracy, or mean absolute error) over all columns."""
    found = None if fairness is None else fairness["target"] or fairness["source"]
    gaps = [next(iter(each.values())) for each in (found or {"gaps": {}})["gaps"].values() if each]
    return max(map(float, gaps), default=None)


def write_comparison(folders: Sequence[Path], out: Path, language: str | None) -> Path:
    """The page of several runs: whether they can be compared at all, and if so which is best, and by how much."""
    words, rows = Words(language or "en"), compare_runs(folders)
    title = words("several.title", n=len(rows))
    names = _names(folders)
    measured = [(name, row) for name, row in zip(names, rows, strict=True) if row["value"] is not None]
    sentence, comparable = _sentence(measured, words)
    metric = words.metric(rows[0]["primary"])
    points = [(name, row["value"], row["interval"], "accent") for name, row in measured]
    values = "; ".join(f"{name} {words.between(score, bounds)}" for name, score, bounds, _ in points)
    caption = words("several.figure", metric=metric)
    caption = caption[:1].upper() + caption[1:]
    described = words("arms.figure.desc", metric=metric, values=values)
    alike = len({row["primary"] for row in rows}) == 1
    picture = figures.dots("runs", caption, described, metric, points) if points and alike else ""
    text = paragraphs(*_comparable(rows, measured, words))
    more = _more(rows)
    lines = [_line(name, row, words, more) for name, row in zip(names, rows, strict=True)]
    columns = [words(f"several.{name}") for name in ("run", "method", "decision", "verdict")]
    columns += [
        words("arms.target", metric=metric),
        words("several.data"),
        words("several.rows"),
        words("several.seed"),
    ]
    columns += [words(f"several.{name}") for name in more]
    numbers = (4, 6, *range(7, len(columns)))
    held = table(words("several.caption"), columns, lines, numbers=numbers)
    verdicts = [_verdict(name, folder, words) for name, folder in zip(names, folders, strict=True)]
    named = [words("several.run"), words("verdict.title")]
    page = {
        "title": title,
        "kind": words("several.kind"),
        "run": title,
        "kicker": "",
        "verdict": {
            **{"mark": "info" if comparable else "caution", "badge": words("several.kind"), "sentence": sentence},
            **{"figure": "", "caption": "", "more": [], "why": [], "next": [], "tiles": []},
        },
        "sections": [
            section("runs", words("several.figures"), [], [split(picture, caption, text) or text, held]),
            section("verdicts", words("several.verdicts"), [], [table(words("several.caption"), named, verdicts)]),
        ],
    }  # fmt: skip
    return put(out, page, words)


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, or their whole paths where two are called the same."""
    short = [folder.resolve().name for folder in folders]
    return short if len(set(short)) == len(short) else [str(folder) for folder in folders]


def _more(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in MORE if any(row[name] is not None for row in rows)]


def _line(name: str, row: Mapping[str, Any], words: Words, more: Sequence[str]) -> list[Any]:
    sealed = row["value"] is None
    verdict = words(f"verdict.short.{row['verdict'] or 'sealed'}") if row["verdict"] or sealed else NOTHING
    scored = NOTHING if row["value"] is None else (number(row["value"]), words.interval(row["interval"]))
    rows = "" if row["rows"] is None else f"{row['rows']:,}"
    decision = words(f"decision.{row['decision']}")
    return [name, (row["method"], f"{row['backbone']}, {row['tune']}"), (decision, row["model"]), verdict, scored,
            row["data"] or NOTHING, rows, row["seed"],
            *(NOTHING if row[key] is None else number(row[key]) for key in more)]  # fmt: skip


def _verdict(name: str, folder: Path, words: Words) -> list[Any]:
    return [name, sentence_of(result.load(folder), words)[1]]


def _same_rows(measured: Sequence[tuple[str, Mapping[str, Any]]]) -> bool:
    return len({row["hash"] for _, row in measured}) == 1


def _comparable(
    rows: Sequence[Mapping[str, Any]], measured: Sequence[tuple[str, Mapping[str, Any]]], words: Words
) -> list[str]:
    """Whether the figures can be held against each other."""
    said = []
    metrics = list(dict.fromkeys(row["primary"] for row in rows))
    if len(metrics) > 1:
        said.append(words("several.metrics", metrics=listed(words, [words.metric(name) for name in metrics])))
    if len(measured) > 1:
        counted = words.count("row", measured[0][1]["rows"])
        said.append(words("several.same", rows=counted) if _same_rows(measured) else words("several.other"))
    if len(measured) < len(rows):
        said.append(words("several.sealed"))
    return said


def _sentence(measured: Sequence[tuple[str, Mapping[str, Any]]], words: Words) -> tuple[str, bool]:
    """Which run is best, where that can be said."""
    if not measured:
        return words("several.none"), False
    if len({row["primary"] for _, row in measured}) > 1 or not _same_rows(measured):
        return words("several.other"), False
    if len(measured) == 1:
        ((name, row),) = measured
        return words("several.one", run=name, metric=words.metric(row["primary"]), value=number(row["value"])), False
    sign = 1 if measured[0][1]["higher_is_better"] else -1
    name, best = max(measured, key=lambda pair: sign * pair[1]["value"])
    end = 1 if sign > 0 else 0
    close = [
        other
        for other, row in measured
        if other != name and row["interval"] is not None and sign * (row["interval"][end] - best["value"]) >= 0
    ]
    said = {"run": name, "metric": words.metric(best["primary"]), "value": number(best["value"])}
    if close:
        return words("several.best_close", others=listed(words, close), **said), True
    return words("several.best", **said), True


def as_text(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The rows for a table on a terminal."""
    words, more = Words("en"), _more(rows)
    return [
        {
            "run": row["run"],
            "method": row["method"],
            "decision": row["decision"],
            "verdict": row["verdict"] or ("sealed" if row["value"] is None else "none"),
            f"target {row['primary']} (95 %)" if len({r["primary"] for r in rows}) == 1 else "target (95 %)": (
                "" if row["value"] is None else words.between(row["value"], row["interval"])
            ),
            "evaluated on": row["data"] or "",
            "rows": str(row["rows"] or ""),
            "seed": str(row["seed"]),
            **{words(f"several.{key}"): "none" if row[key] is None else number(row[key]) for key in more},
        }
        for row in rows
    ]
