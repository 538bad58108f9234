"""A look at two domains before anything is trained: what they are, how far apart, what could be done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from acclimate.backbones.registry import default
from acclimate.domains.domain import INTERACTIONS, Domain
from acclimate.methods.registry import METHODS, create, find, works_with
from acclimate.runs.arms import create_backbone, suits
from acclimate.runs.columns import shared
from acclimate.runs.look import look
from acclimate.runs.prepare import Prepared, prepare
from acclimate.runs.reading import read_source, read_target
from acclimate.runs.recipe import Recipe
from acclimate.runs.shares import contradiction
from acclimate.selection.advice import advise
from acclimate.selection.shifts import most_shifted
from acclimate.settings import build
from acclimate.training.settings import Tune

NOTHING: dict[str, Any] = {
    **{"gap": None, "mmd": None, "kind": None, "shares": None, "shifts": []},
    **{"examples": {"source_like": [], "target_like": []}, "recommendation": None, "seconds": None},
}
UNSEEN = {
    "sealed": "concept shift (the same rows with other labels) leaves no trace in inputs; only target labels show it",
    "permitted": "concept shift was looked for among the permitted target labels alone",
}


def inspect(
    recipe: Recipe, *, source: Sequence[Any] | None = None, target: Sequence[Any] | None = None, top: int = 10
) -> dict[str, Any]:
    """What source and target are, as JSON values; labels of the target are read only if the recipe permits it.

    Args:
        recipe: names the domains, and the backbone on whose features the gap is measured.
        source: objects in the place of the recipe's source locators.
        target: objects in the place of the target locators.
        top: how many shifts are told.

    Returns:
        What docs/result.md lists. Without a target or a column that both have, or where a side has fewer than 10 rows,
        there is no gap.

    Raises:
        AcclimateError: domains that cannot be read or do not fit each other.
    """
    labelled = read_source(recipe, source)
    unlabelled = read_target(recipe, labelled, target)
    found = prepare(recipe, labelled, unlabelled)
    data, modality = found.data, found.schema.modality
    task = data.source_task if data.source is not None else data.target_task
    works = _suited(recipe, found)
    lacking = {need for need, there in data.has.items() if not there}
    permitted = [name for name in METHODS if set(find(name).needs) & lacking == {"target_labels"}]
    between = dict(NOTHING)
    if labelled is not None and unlabelled is not None:
        # users and items say nothing by themselves: there is no gap to see before vectors are learned
        pair = None if modality in INTERACTIONS else shared(labelled, unlabelled)
        if pair is not None:
            held = np.isin(
                labelled.ids, labelled.ids[:0] if data.source_validation is None else data.source_validation.ids
            )
            between |= _between(recipe, found, *pair, held, works)
            between["shifts"] = [asdict(shift) for shift in most_shifted(*pair, top)]
    return {
        "setting": found.setting,
        "task": task.name,
        "modality": modality,
        "inputs": list(found.schema.inputs),
        "data": {**found.report, "notes": [*found.notes, *contradiction(between["shares"])]},
        **between,
        "methods": works,
        "with_target_labels": permitted if unlabelled is not None and recipe.target_label is None else [],
    }


def _suited(recipe: Recipe, found: Prepared) -> list[str]:
    """The methods that the data suit, and the backbone that is named or the default one, with its usual tuning."""
    modality = found.schema.modality
    settings = {key: value for key, value in recipe.backbone.items() if key != "name"}
    network = create_backbone(recipe.backbone.get("name") or default(modality), modality, settings, recipe.seed)
    tune = build(Tune, {"kind": "frozen" if network.spec.pretrained else "full", **recipe.tune}, "tune")
    return [name for name in works_with(found.data) if name == "auto" or suits(create(name), found.data, network, tune)]


def _between(
    recipe: Recipe, found: Prepared, source: Domain, target: Domain, held: np.ndarray, works: Sequence[str]
) -> dict[str, Any]:
    """What frozen features say; nothing where a side has too few rows."""
    begun = time.monotonic()
    seen = look(recipe, found, source, target, held)
    if seen is None:
        return {}
    advice = advise(
        seen.kind,
        seen.gap.proxy_a_distance,
        works,
        rows=seen.gap.rows,
        shares_certain=seen.shares is not None and not seen.shares["doubts"],
        hinge=0.0 if seen.shares is None else seen.shares["hinge"],
        trainable_text=seen.trainable and found.schema.modality == "text",
    )
    return {
        "gap": {**asdict(seen.gap), "backbone": seen.backbone, "layer": seen.layer},
        "mmd": None if seen.mmd is None else asdict(seen.mmd),
        "kind": {**asdict(seen.kind), "unseen": UNSEEN["sealed" if recipe.target_label is None else "permitted"]},
        "shares": seen.shares,
        "examples": seen.examples,
        "recommendation": {"options": advice.options, "reasons": list(advice.reasons)},
        "seconds": {"features": seen.seconds, "rest": round(time.monotonic() - begun - seen.seconds, 2)},
    }
