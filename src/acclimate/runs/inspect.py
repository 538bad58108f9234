"""A look at two domains before anything is trained: what they are, how far apart, what could be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from acclimate.backbones import cache, registry
from acclimate.backbones.agreement import settled
from acclimate.domains.domain import Domain
from acclimate.methods.registry import METHODS, find, works_with
from acclimate.runs.columns import shared
from acclimate.runs.prepare import prepare, read_source, read_target
from acclimate.runs.recipe import Recipe
from acclimate.selection.gap import LARGEST, Gap, gap
from acclimate.selection.shifts import most_shifted
from acclimate.training.device import place

FEATURES = {"table": "columns", "array": "columns"}
"""By modality, where the gap is measured unless a backbone is named; elsewhere on the pretrained default."""


def inspect(
    recipe: Recipe, *, source: Sequence[Any] | None = None, target: Sequence[Any] | None = None, top: int = 10
) -> dict[str, Any]:
    """What source and target are, as JSON values; no label of the target is read.

    Args:
        recipe: names the domains, and the backbone on whose features the gap is measured.
        source: objects in the place of the recipe's source locators.
        target: objects in the place of the target locators.
        top: how many shifts are told.

    Returns:
        ``setting``, ``task``, ``modality``, ``inputs``, ``data`` (as in result.json), ``gap`` and ``shifts``
        (see `gap` and `most_shifted`; of the columns that both have; None and empty without a target or such a column,
        or where a side has fewer than 10 rows),
        ``methods`` that work with these data, and those that would work ``with_target_labels``.

    Raises:
        AcclimateError: domains that cannot be read or do not fit each other.
    """
    labelled = read_source(recipe, source)
    unlabelled = read_target(recipe, labelled, target)
    found = prepare(recipe, labelled, unlabelled)
    data, modality = found.data, found.schema.modality
    task = data.source_task if data.source is not None else data.target_task
    works = works_with(data)
    permitted = [name for name in METHODS if name not in works and "target_labels" in find(name).needs]
    between: dict[str, Any] = {"gap": None, "shifts": []}
    pair = None if labelled is None or unlabelled is None else shared(labelled.sealed(), unlabelled.sealed())
    if pair is not None:
        between = {"gap": _gap(recipe, *pair), "shifts": [asdict(shift) for shift in most_shifted(*pair, top)]}
    return {
        "setting": found.setting,
        "task": task.name,
        "modality": modality,
        "inputs": list(found.schema.inputs),
        "data": {**found.report, "notes": list(found.notes)},
        **between,
        "methods": works,
        "with_target_labels": permitted if unlabelled is not None else [],
    }


def _gap(recipe: Recipe, source: Domain, target: Domain) -> dict[str, Any] | None:
    """The gap on frozen features, and which these are."""
    modality = source.schema.modality
    name = recipe.backbone.get("name") or FEATURES.get(modality) or registry.default(modality)
    settings = {key: value for key, value in recipe.backbone.items() if key != "name"}
    found, layer = measure(name, settings, recipe, source, target)
    return None if found is None else {**asdict(found), "backbone": name, "layer": layer}


def measure(
    name: str, settings: Mapping[str, Any], recipe: Recipe, source: Domain, target: Domain
) -> tuple[Gap | None, str]:
    """The gap on a fresh backbone's default layer, and the layer's name. At most 2,000 rows a side are read."""
    backbone = registry.create(name, source.schema.modality, settings, recipe.seed)
    backbone.fit(source)
    where = place(recipe.device, recipe.precision)
    # Ids are content hashes, so the first ones are a random sample that no file order can change.
    sides = [domain.select(domain.order[:LARGEST]) for domain in (source, target)]
    layer = backbone.spec.default
    kind = where.precision
    if recipe.precision == "auto":
        kind = settled(backbone, sides, [layer], str(where.device), kind)
    one, other = (
        cache.embed(backbone, side, [layer], device=str(where.device), precision=kind)[layer][:] for side in sides
    )
    return gap(one, other, recipe.seed, sides[0].ids, sides[1].ids), layer
