"""A look at two domains before anything is trained: what they are, how far apart, what could be done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from acclimate.domains.domain import INTERACTIONS, Domain
from acclimate.errors import SettingsError
from acclimate.runs.columns import shared
from acclimate.runs.kit import accepted, kit
from acclimate.runs.look import look
from acclimate.runs.prepare import Prepared, prepare
from acclimate.runs.reading import read_source, read_target
from acclimate.runs.recipe import Recipe
from acclimate.runs.shares import contradiction
from acclimate.selection.advice import advise
from acclimate.selection.shifts import most_shifted

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
    works, permitted, lacking = _works(recipe, found)
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
        "data": {**found.report, "notes": [*found.notes, *contradiction(between["shares"]), *lacking]},
        **between,
        "methods": works,
        "with_target_labels": permitted if unlabelled is not None and recipe.target_label is None else [],
    }


def _works(recipe: Recipe, found: Prepared) -> tuple[list[str], list[str], tuple[str, ...]]:
    """The methods that would be accepted, those that labels of the target would add, and why there are none.

    Raises:
        SettingsError: a backbone that is named cannot be had, or does not give what the task reads.
    """
    data = found.data
    try:
        chosen = kit(recipe, found, recipe.tune)
    except SettingsError as error:
        if recipe.backbone:
            raise
        return [], [], (str(error),)
    works = accepted(data, chosen)
    judged = replace(data, labelled_target=data.source, labelled_target_validation=data.source_validation)
    return works, [name for name in accepted(judged, chosen) if name not in works], ()


def _between(
    recipe: Recipe, found: Prepared, source: Domain, target: Domain, held: np.ndarray, works: Sequence[str]
) -> dict[str, Any]:
    """What frozen features say; nothing where a side has too few rows."""
    begun = time.monotonic()
    seen = look(recipe, found, source, target, held)
    if seen is None:
        return {}
    ranked = found.data.task.kind == "class" or found.data.labelled_target_validation is not None
    advice = advise(
        seen.kind,
        seen.gap.proxy_a_distance,
        [name for name in works if ranked or name != "auto"],  # it would keep the source's model
        rows=seen.gap.rows,
        shares_certain=seen.shares is not None and not seen.shares["doubts"],
        hinge=0.0 if seen.shares is None else seen.shares["hinge"],
        trainable_text=seen.trainable and found.schema.modality == "text",
        dense=found.data.task.reads == "maps",
        labels=found.data.named,
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
