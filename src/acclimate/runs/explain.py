"""Explaining the answers of a run: which parts of a row speak for its answer, and whether that can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.domain import INTERACTIONS, Domain
from acclimate.domains.rows import name_of, texts_of
from acclimate.errors import DataError, SettingsError, unknown
from acclimate.files import write_json
from acclimate.runs.predictor import Predictor
from acclimate.runs.report import explain as report
from acclimate.runs.sentences import worded
from acclimate.trust.explain.explain import Explanation, Tell, faithfulness
from acclimate.trust.explain.explain import explain as explained

FILE = "explanations.json"
PAGE = "explanations.html"
LIMIT = 20
"""Rows that are explained unless some are named."""
VERSION = 1


def explain(
    folder: Path,
    model: Predictor,
    data: Any,
    out: Path,
    *,
    input: str | list[str] | None = None,
    rows: Sequence[int] | None = None,
    limit: int = LIMIT,
    answer: str | None = None,
    seed: int = 0,
    language: str | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Explain the answers of a model to some rows, and write `FILE` and `PAGE` into a folder.

    No label is read: a column of labels in the data changes nothing.

    Args:
        folder: of the run, in which ``trust/explain.json`` is written where it is one; or of a model.
        model: of it.
        data: rows as for `predict`.
        out: the folder that is written.
        input: input columns, where they are named otherwise than in training.
        rows: numbers of rows, from 0; None: the first ones.
        limit: how many these are at most.
        answer: the class (or label) that is explained, in the place of what is answered.
        seed: of random orders and random weights.
        language: of the page, en or zh.
        tell: told the progress.

    Returns:
        The content of `FILE`; docs/explanation.md lists it.

    Raises:
        DataError: no rows, or none of this number.
        SettingsError: no such class, or a backbone that knows no parts of a row.
    """
    whole = model.read(data, input=input).sealed()
    index = chosen(whole, rows, limit)
    domain = whole.select(index)
    task = model.network.task
    if answer is not None and answer not in task.explainable:
        known = task.explainable
        reason = f"--class {answer}: answers of task '{task.name}' are explained as they are; leave it out"
        reason = unknown(task.one_of, answer, known) if known else reason
        raise SettingsError(reason)
    said = list(model.answers(domain).prediction)
    asked = [task.told_of(each) for each in said] if answer is None else [answer] * len(domain)
    with model.reading(domain) as (network, own):
        found = explained(network, own, asked, model.place, seed=seed, tell=tell)
    if task.reads == "sentences":
        texts = texts_of(domain.rows)
        found = [replace(each, parts=worded(each.parts, text)) for each, text in zip(found, texts, strict=True)]
    value = {
        "version": VERSION,
        "kind": "attribution",
        "model": dict(model.origin),
        "task": model.task,
        "modality": domain.schema.modality,
        "data": whole.name,
        "score": task.explained,
        "rows": [told_row(domain, k, int(index[k]), said[k], each) for k, each in enumerate(found)],
        "faithfulness": faithfulness(found, seed),
        "notes": notes(
            found,
            len(whole),
            rows is not None,
            model.network.at_test is not None,
            model.origin.get("decision") == "do_not_deploy",
        ),
    }
    value["said"] = [sentence["en"] for sentence in report.told(value)]
    write_json(out / FILE, value)
    report.write_page(out / PAGE, folder, value, found, language)
    if (folder / "result.json").is_file():
        report.write(folder, value)
    return value


def chosen(domain: Domain, rows: Sequence[int] | None, limit: int) -> np.ndarray:
    """The numbers of the rows that are explained.

    Raises:
        DataError: there are none, or none of such a number.
    """
    if not len(domain):
        raise DataError(f"{domain.name}: no rows to explain")
    if rows is None:
        if limit < 1:
            raise SettingsError(f"--limit: at least 1, found {limit}")
        return np.arange(min(limit, len(domain)))
    if not len(rows):
        raise SettingsError("--rows: name at least one row, as in --rows 0,5")
    if outside := [row for row in rows if not 0 <= row < len(domain)]:
        raise DataError(f"{domain.name}: no row {outside[0]}; its {len(domain)} rows are 0 to {len(domain) - 1}")
    return np.array(list(dict.fromkeys(rows)), dtype=np.int64)


def notes(found: Sequence[Explanation], rows: int, named: bool, adapts: bool = False, unfit: bool = False) -> list[str]:
    """What to mind, a sentence each.

    Args:
        found: the explanations.
        rows: how many the data have.
        named: whether the rows were chosen by their numbers.
        adapts: whether the model adapts to each row before it answers.
        unfit: whether the run's decision was not to deploy it.
    """
    said = []
    if unfit:
        said.append("the run decided that this model is not fit for the target (do_not_deploy)")
    if adapts:
        said.append("the model adapts to each row before it answers; it is explained as it is before that")
    if not named and len(found) < rows:
        said.append(f"the first {len(found)} of {rows} rows are explained; --limit and --rows choose others")
    if short := sum(len(each.parts) < 2 for each in found):
        said.append(f"{short} of {len(found)} rows have fewer than two parts: nothing can be told of an order of them")
    return said


def told_row(domain: Domain, place: int, number: int, said: Any, found: Explanation) -> dict[str, Any]:
    """An explanation as JSON.

    Args:
        domain: the rows that are explained.
        place: of the row among them.
        number: of the row in its data.
        said: what the model answers.
        found: the explanation.
    """
    parts = found.parts
    gains = None if found.curves is None else found.curves.gains
    return {
        "row": number,
        "file": name_of(domain.rows, place),
        "ids": ids(domain, place),
        "prediction": plain(said),
        "answer": plain(found.answer),
        "method": found.how,
        "score": round(found.whole, 6),
        "score_without_parts": round(found.blank, 6),
        "parts": [
            {"name": name, "place": where, "score": round(float(value), 6)}
            for name, where, value in zip(parts.names, parts.places, found.scores, strict=True)
        ],
        "gain": None if gains is None else dict(zip(("deletion", "insertion"), map(_short, gains), strict=True)),
        "random_head": _short(found.head),
        "random_backbone": _short(found.backbone),
    }


def ids(domain: Domain, place: int) -> list[str] | None:
    """User, or user and item, of a row that is such."""
    if domain.schema.modality not in INTERACTIONS:
        return None
    frame = domain.rows.take(np.array([place]))
    return [str(frame[name].iloc[0]) for name in domain.schema.inputs if name in frame]


def plain(value: Any) -> Any:
    """A prediction as JSON."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
