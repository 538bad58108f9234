"""Explaining the gap of a run: which parts of rows tell its target from its source."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.backbones import cache
from acclimate.domains.domain import Domain, join
from acclimate.errors import DataError, SettingsError
from acclimate.files import write_json
from acclimate.runs.explain import LIMIT as JUDGED
from acclimate.runs.explain import VERSION, told_row
from acclimate.runs.given import several
from acclimate.runs.predictor import Predictor
from acclimate.runs.reading import read_source, read_target
from acclimate.runs.recipe import again
from acclimate.runs.report import explain as report
from acclimate.seeds import generator
from acclimate.selection.gap import LARGEST, SMALLEST, gap
from acclimate.trust.explain.apart import SOURCE, TARGET, domain_classifier, telling
from acclimate.trust.explain.explain import Tell, explain, faithfulness

FILE = "domains.json"
PAGE = "domains.html"
LIMIT = 100
"""Rows that are explained; as many as `JUDGED` of them are told one by one, and held against random orders."""


def explain_domains(
    folder: Path,
    model: Predictor,
    out: Path,
    *,
    source: Any = None,
    target: Any = None,
    limit: int = LIMIT,
    seed: int = 0,
    language: str | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Say what tells the domains apart on a model's features, and write `FILE` and `PAGE` into a folder.

    A linear classifier learns to tell the domains apart; rows that it did not learn from, half of each domain, are then
    explained like any other answer, all for the answer "target". No label is read.

    Args:
        folder: of the run, whose report gets a section.
        model: of it, on whose features the domains are told apart.
        out: the folder that is written.
        source: rows, or None: those of the run's recipe.
        target: likewise.
        limit: rows that are explained.
        seed: of the rows, of random orders and random weights.
        language: of the page, en or zh.
        tell: told the progress.

    Returns:
        The content of `FILE`; docs/explanation.md lists it.

    Raises:
        DataError: a domain is lacking, or has too few rows.
        SettingsError: the model's task reads more than one vector of a row, or its rows have no parts.
    """
    network = model.network
    if network.task.reads != "row":
        raise SettingsError(
            f"--kind domains explains what tells one vector of each row apart, and task '{network.task.name}' reads "
            f"{network.task.reads}"
        )
    sides = [side.sealed() for side in _sides(folder, model, source, target)]
    each = max(1, limit // 2)
    for side in sides:
        if len(side) < each + SMALLEST:
            raise DataError(
                f"{side.name}: {len(side)} rows; {each} are explained, and at least {SMALLEST} more are needed to "
                "learn what tells the domains apart: lower --limit or give more rows"
            )
    drawn = [side.order[generator(seed, "domains", k).permutation(len(side))] for k, side in enumerate(sides)]
    rows = [side.select(order[:each]) for side, order in zip(sides, drawn, strict=True)]
    rest = [side.select(order[each : each + LARGEST]) for side, order in zip(sides, drawn, strict=True)]
    layer, device = network.layer, str(model.place.device)
    features = [cache.embed(network.backbone, side, [layer], device=device)[layer][:] for side in rest]
    measured = gap(features[0], features[1], seed, rest[0].ids, rest[1].ids)
    assert measured is not None, "there are rows enough"
    classifier = domain_classifier(network.backbone, layer, features[0], features[1])
    turn = np.arange(2 * each).reshape(2, each).T.flatten()  # one of each domain in turn: the first ones are told
    shown = join(rows).select(turn)
    found = explain(classifier, shown, [TARGET] * len(shown), model.place, judged=JUDGED, seed=seed, tell=tell)
    numbers = np.concatenate([order[:each] for order in drawn])[turn]
    names = np.repeat([SOURCE, TARGET], each)[turn]
    value = {
        "version": VERSION,
        "kind": "domains",
        "model": dict(model.origin),
        "task": model.task,
        "modality": shown.schema.modality,
        "data": [side.name for side in sides],
        "score": "log-odds of the target",
        "gap": {**asdict(measured), "interval": list(measured.interval or ()) or None},
        "parts": telling(found, names == TARGET, seed),
        "rows": [
            {**told_row(shown, k, int(numbers[k]), str(names[k]), each), "domain": str(names[k])}
            for k, each in enumerate(found[:JUDGED])
        ],
        "faithfulness": faithfulness(found[:JUDGED], seed),
        "notes": [],
    }
    value["said"] = [sentence["en"] for sentence in report.told(value)]
    write_json(out / FILE, value)
    report.write_page(out / PAGE, folder, value, found[:JUDGED], language)
    if (folder / "result.json").is_file():
        report.write_domains(folder, value)
    return value


def _sides(folder: Path, model: Predictor, source: Any, target: Any) -> tuple[Domain, Domain]:
    """Source and target: those given, else those of the run's recipe."""
    given = [[model.read(each) for each in several(side)] for side in (source, target)]
    if given[0] and given[1]:
        return join(given[0]), join(given[1])
    if not (folder / "recipe.yaml").is_file():
        raise DataError(f"{folder}: a model without its run, which knows no domains; give --source and --target")
    recipe = again(folder, "ac.explain_domains", source=given[0] or None, target=given[1] or None)
    first = join(given[0]) if given[0] else read_source(recipe, people=False)
    second = join(given[1]) if given[1] else read_target(recipe, first)
    if first is None or second is None:
        lacking = "source" if first is None else "target"
        raise DataError(f"{folder}: the run had no {lacking}; give one with --{lacking}")
    return first, second
