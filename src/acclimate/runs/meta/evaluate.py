"""How well a model learns new classes: many episodes, the mean and its interval, and plain baselines beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.backbones.passthrough import PassThrough
from acclimate.domains.episodes import Episodes
from acclimate.errors import DataError, SettingsError
from acclimate.files import write_json
from acclimate.runs.features import Features
from acclimate.runs.meta import learned, plan
from acclimate.runs.meta.assess import Sheet, assess, mean, summed
from acclimate.runs.meta.baselines import baselines
from acclimate.runs.meta.learned import RECORD, Learned
from acclimate.runs.recipe import Recipe, parse, read
from acclimate.settings import build
from acclimate.tasks.answers import Metric
from acclimate.training.device import Place

SHARED = 0.01
"""Share of the rows that may be among those trained on: the same text, or number, may come about twice."""


def evaluate(
    folder: Path,
    data: Any,
    *,
    episodes: int = 600,
    label: str | None = None,
    input: str | list[str] | None = None,
    group: str | None = None,
    shape: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
) -> dict[str, Any]:
    """Answer episodes of classes (or groups) that training did not see, and write the figures into the run.

    Beside the model stands the nearest class mean on the modality's plain features, and on the backbone as it was if
    that is a pretrained one; of numbers, the mean of the support rows.

    Args:
        folder: of the meta-training.
        data: labelled rows, anything `acclimate.read` takes.
        episodes: how many.
        label: the label column; default as in training.
        input: input columns, if they are named otherwise than in training.
        group: the group column; default as in training.
        shape: what differs from the training episodes: ways, shots, queries.
        seed: from which the episodes are drawn.
        device: where to answer.
        force: also classes and rows that were trained on; that is written down.

    Raises:
        DataError: classes or rows that were trained on.
        SettingsError: a head of other ways.
    """
    taught, said = Learned.load(folder), learned.record(folder)
    recipe = parse(read(folder / "recipe.yaml"), str(folder / "recipe.yaml"))
    form = build(plan.Shape, {**recipe.episodes, **(shape or {})}, "episodes")
    if episodes < 2:
        raise SettingsError(f"episodes must be at least 2 for an interval, found {episodes}")
    wanted: Recipe = replace(
        recipe,
        label=label or recipe.label,
        input=recipe.input if input is None else (input,) if isinstance(input, str) else tuple(input),
        group=group or recipe.group,
    )
    domain = plan.read(wanted, [data], form.groups)
    if domain.schema.modality != said["modality"]:
        raise DataError(f"{domain.name} is {domain.schema.modality}, but the model reads {said['modality']}")
    drawn = plan.episodes(form, domain, plan.count(form.ways or 1, "ways"), seed)
    _check_ways(taught, drawn)
    overlap = _overlap(folder, drawn)
    known = overlap["names"] > 0 or overlap["rows"] > SHARED * len(domain)
    if known and not force:
        raise DataError(_trained_on(overlap, drawn, form.groups))
    where = taught.place(device)
    sheet = _ours(taught, drawn, episodes, where)
    primary = taught.model.task.primary
    value: dict[str, Any] = {
        "data": domain.name,
        "rows": len(domain),
        "hash": domain.fingerprint,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "episodes": episodes,
        "shape": {"ways": form.ways, "shots": form.shots, "queries": form.queries, "groups": form.groups},
        "primary": primary.name,
        "metrics": summed(sheet),
        "baselines": {
            name: {**summed(other), "difference": mean(sheet[primary.name] - other[primary.name])}
            for name, other in baselines(taught, recipe, drawn, episodes, where).items()
        },
        "trained_on": {**overlap, "forced": known},
    }
    value["verdict"] = _verdict(value["baselines"], primary)
    write_json(folder / RECORD, {**said, "evaluations": [*said["evaluations"], value]})
    return value


def _check_ways(taught: Learned, drawn: Episodes) -> None:
    classes, labels = taught.model.task.config().get("classes", ()), drawn.domain.labels
    assert labels is not None, "episodes have labels"
    keeps = taught.learner.headed and drawn.groups == "tasks" and len(classes) > 0
    if keeps and (foreign := sorted(set(labels.astype(str)) ^ set(classes))):
        raise DataError(
            f"{drawn.domain.name}: the head learned the classes {list(classes)}; these rows differ in {foreign[:5]}"
        )
    if taught.learner.headed and drawn.labelled_by_place and drawn.ways != len(classes):
        raise SettingsError(
            f"method '{taught.learner.name}' learned a head of {len(classes)} ways, and these episodes have "
            f"{drawn.ways}; train it with --ways {drawn.ways}, or take one without a head, such as protonet"
        )


def _overlap(folder: Path, drawn: Episodes) -> dict[str, int]:
    """How many of the classes (or groups), and of the rows, training learned from."""
    ids, names = learned.trained_on(folder)
    return {
        "names": int(np.isin(np.unique(drawn.names[drawn.pools.rows]), names).sum()),
        "rows": int(np.isin(drawn.domain.ids, ids).sum()),
    }


def _trained_on(overlap: Mapping[str, int], drawn: Episodes, groups: str) -> str:
    what = "groups" if groups == "tasks" else "classes"
    names = len(np.unique(drawn.names[drawn.pools.rows]))
    return (
        f"{drawn.domain.name}: {overlap['names']} of {names} {what} and {overlap['rows']} of {len(drawn.domain)} rows "
        f"were trained on: the figures would say nothing of new {what}. Select others (FILE?column=value), or --force "
        "evaluates all the same and writes that down"
    )


def _ours(taught: Learned, drawn: Episodes, count: int, where: Place) -> Sheet:
    model, real = taught.model, taught.model.backbone
    if not taught.frozen:
        return assess(taught.learner, model, taught.parts, drawn, count, where)
    read = learned.on_features(drawn, Features(real, (model.layer,), where), model.layer)
    model.backbone = PassThrough(real, model.layer)
    try:
        return assess(taught.learner, model, taught.parts, read, count, where)
    finally:
        model.backbone = real


def _verdict(baselines: Mapping[str, Mapping[str, Any]], primary: Metric) -> str:
    """Whether meta-training is better than each baseline by more than chance, worse than one, or neither."""
    sign = 1.0 if primary.higher_is_better else -1.0
    bounds = [sorted((sign * b["difference"]["low"], sign * b["difference"]["high"])) for b in baselines.values()]
    if any(high < 0 for _, high in bounds):
        return "hurt"
    return "helped" if all(low > 0 for low, _ in bounds) else "no_evidence"
