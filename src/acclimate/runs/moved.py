"""``acclimate explain RUN --kind moved``: what adaptation moved in the network, and what it forgot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.errors import SettingsError
from acclimate.files import write_json
from acclimate.runs import result
from acclimate.runs.arms import Arm, fitted_backbone, plan
from acclimate.runs.predictor import Predictor
from acclimate.runs.report import moved as report
from acclimate.runs.reread import reread
from acclimate.selection.bootstrap import evaluate
from acclimate.trust.explain.faithful import shuffled
from acclimate.trust.moved.cka import FEWEST, layers_of, linear_cka, same

FILE = "moved.json"
MOST = 400
"""Rows of each domain that are read."""
Load = Callable[[str], Predictor]


def moved(
    folder: Path,
    load: Load,
    out: Path,
    *,
    arm: str | None = None,
    others: Sequence[Path] = (),
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    backbones: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """How alike each layer is before and after training, on rows of both domains; and accuracy on the source.

    Writes ``moved.json`` into ``out``, and a section of the run's report. No label of the target is read.

    Args:
        folder: of a finished run.
        load: the model of an arm by the arm's name.
        out: folder of the file.
        arm: the one that is asked; the adapted one by default.
        others: runs of the same recipe with other seeds, which give the band.
        source: objects in the place of the recipe's source locators.
        target: the same of the target.
        backbones: networks from Python, as in `execute.adapt`.
        seed: of the random weights.

    Raises:
        DataError: an unfinished run, or rows that are gone or changed.
        SettingsError: no such arm, a task that reads more than one vector a row, or other runs with other networks.
    """
    value = result.load(folder)
    recipe, prepared, _ = reread(folder, "run.moved", source=source, target=target)
    plans = {one.name: one for one in plan(recipe, prepared, backbones)}
    name = arm or value["adapted"]
    if name not in plans or name not in {row["name"] for row in value["arms"]}:
        raise SettingsError(f"--arm {name}: no such arm; there are {', '.join(row['name'] for row in value['arms'])}")
    model = load(name)
    if model.network.task.reads != "row":
        raise SettingsError(
            f"moved: task '{model.task}' reads parts of rows, and layers are compared by one vector a row"
        )
    data = prepared.data
    sides = {"source": data.source_validation or data.source, "target": data.target}
    rows = {side: _some(domain) for side, domain in sides.items() if domain is not None and len(domain) >= FEWEST}
    before = fitted_backbone(plans[name], prepared, recipe.seed, backbones)
    still = same(before, model.network.backbone)
    found: dict[str, Any] = {
        "kind": "moved",
        "arm": name,
        "tune": plans[name].tune.kind,
        "backbone": plans[name].backbone,
        "pretrained": before.spec.pretrained,
        "moved": not still,
        "why": _why(plans[name]) if still else None,
        "rows": {side: len(domain) for side, domain in rows.items()},
        "layers": [] if still else _layers(before, model, rows, seed, [_model_of(other, name) for other in others]),
        "seeds": 1 + len(others),
        "forgotten": _forgotten(value, name, load, data.source_validation),
        "output": str(out / FILE),
    }
    write_json(out / FILE, found)
    report.write(folder, found)
    return found


def _some(domain: Domain) -> Domain:
    """The first rows by their content, without labels: a sample that no file order can change."""
    return domain.select(domain.sealed().order[:MOST]).sealed()


def _why(arm: Arm) -> str:
    """Why no weight of the network differs."""
    if arm.tune.kind == "frozen":
        above = ", though the bottleneck above it has learned" if arm.tune.bottleneck else ""
        return f"the network was frozen: not one of its weights could move{above}"
    return "not one weight of the network differs from before"


def _model_of(folder: Path, name: str) -> Predictor:
    from acclimate.runs.run import Run

    try:
        return Run(folder).arm(name)
    except SettingsError as error:
        raise SettingsError(f"--other-seed {folder}: {error}; give runs of the same recipe") from None


def _layers(
    before: Any, model: Predictor, rows: Mapping[str, Domain], seed: int, others: Sequence[Predictor]
) -> list[dict[str, Any]]:
    """Of each layer and domain the likeness to before, its band over seeds, and that of random weights."""
    names = list(before.spec.layers)
    for other in others:
        if list(other.network.backbone.spec.layers) != names:
            raise SettingsError("--other-seed: a run with another network; only seeds of one recipe make a band")
    found: list[dict[str, Any]] = [{"layer": name} for name in names]
    for side, domain in rows.items():
        first = layers_of(before, domain, names)
        after = [layers_of(one.network.backbone, domain, names) for one in (model, *others)]
        with shuffled(before, seed):
            floor = layers_of(before, domain, names)
        for k, name in enumerate(names):
            alike = [_number(linear_cka(first[name], each[name])) for each in after]
            known = [value for value in alike if value is not None]
            found[k][side] = {
                "cka": alike[0],
                "low": min(known) if others and known else None,
                "high": max(known) if others and known else None,
                "floor": _number(linear_cka(first[name], floor[name])),
            }
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _forgotten(value: Mapping[str, Any], name: str, load: Load, held: Domain | None) -> dict[str, Any] | None:
    """The primary metric on held-out source rows of the source's model and of this one, on the same rows."""
    reference = value["reference"]
    if reference is None or reference == name or held is None or held.labels is None:
        return None
    models = {one: load(one) for one in (reference, name)}
    task = models[name].network.task
    if task != models[reference].network.task:
        return None
    answers = {one: model.answers(held, cached=True) for one, model in models.items()}
    scores = evaluate(task, answers, held.labels, held.groups, baseline=reference)
    metric = task.primary.name
    return {
        "metric": metric,
        "higher_is_better": task.primary.higher_is_better,
        "reference": reference,
        "rows": len(held),
        "before": scores[reference].metrics[metric],
        "after": scores[name].metrics[metric],
        "difference": asdict(scores[name].differences[metric]),
    }
