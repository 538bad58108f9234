"""What frozen features say of two domains: gap, kind of shift, class shares, telling rows. A part of `inspect`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acclimate.backbones import cache, registry
from acclimate.backbones.agreement import settled
from acclimate.domains.domain import Domain
from acclimate.domains.rows import name_of
from acclimate.runs.prepare import Prepared
from acclimate.runs.recipe import Recipe
from acclimate.runs.shares import doubted, named, told
from acclimate.selection import kinds
from acclimate.selection.gap import LARGEST, Apart, Gap, told_apart
from acclimate.selection.kinds import Kind, Rows
from acclimate.selection.mmd import MMD, mmd
from acclimate.selection.probe import answers, reduced
from acclimate.selection.shares import distance, estimate
from acclimate.training.device import place

FEATURES = {"table": "columns", "array": "columns", "series": "statistics"}
"""By modality, where the gap is measured unless a backbone is named; elsewhere on the pretrained default."""
CHANCE = 0.01
"""The p-value of the MMD up to which the domains are held to differ."""
EXAMPLES = 3
CHARACTERS = 100
FEWEST_HELD = 6


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
        gap: see `selection.gap`.
        mmd: see `selection.mmd`.
        kind: see `selection.kinds`.
        shares: as in result.json; None for numbers or too few labelled rows.
        examples: rows that look most like one domain, from that domain, and how much.
        backbone: on whose features.
        layer: of the backbone.
        trainable: whether that is a pretrained network that could be trained.
        seconds: that reading the features took.
    """

    gap: Gap
    mmd: MMD | None
    kind: Kind
    shares: dict[str, Any] | None
    examples: dict[str, list[dict[str, Any]]]
    backbone: str
    layer: str
    trainable: bool
    seconds: float


def look(recipe: Recipe, found: Prepared, source: Domain, target: Domain, held: np.ndarray) -> Look | None:
    """Look at the features of at most 2,000 rows a side.

    Args:
        recipe: names the backbone.
        found: the domains, prepared.
        source: the columns of the source that the target has too.
        target: likewise; with the labels that the user permitted, if any.
        held: ``[n]`` bool, which rows of the source are its validation rows.

    Returns:
        None if a side has fewer than 10 rows.
    """
    modality, begun = source.schema.modality, time.monotonic()
    name = recipe.backbone.get("name") or FEATURES.get(modality) or registry.default(modality)
    settings = {key: value for key, value in recipe.backbone.items() if key != "name"}
    backbone = registry.create(name, modality, settings, recipe.seed)
    backbone.fit(source.sealed())
    where = place(recipe.device, recipe.precision)
    # Ids are content hashes, so the first ones are a random sample that no file order can change.
    chosen = [domain.order[:LARGEST] for domain in (source.sealed(), target.sealed())]
    sides = [domain.select(rows) for domain, rows in zip((source, target), chosen, strict=True)]
    layer = backbone.spec.default
    sealed, device, precision = [side.sealed() for side in sides], str(where.device), where.precision
    if recipe.precision == "auto":
        precision = settled(backbone, sealed, [layer], device, precision)
    features = [cache.embed(backbone, side, [layer], device=device, precision=precision)[layer][:] for side in sealed]
    seconds = round(time.monotonic() - begun, 2)
    apart = told_apart(features[0], features[1], recipe.seed, sides[0].ids, sides[1].ids)
    if apart is None:
        return None
    rows = Rows(*reduced(features[0], features[1], recipe.seed), content=np.concatenate([side.ids for side in sides]))
    rows, shares = _answered(rows, recipe, found, sides[0], sides[1], held[chosen[0]])
    discrepancy = mmd(rows.source, rows.target, recipe.seed)
    differ = discrepancy is not None and discrepancy.p_value <= CHANCE
    kind = _kind(rows, recipe, found, sides[1], _moved(shares) if differ and shares is not None else 0.0)
    shares = doubted(shares, kind.name)
    return Look(
        gap=apart.gap(recipe.seed),
        mmd=discrepancy,
        kind=kind,
        shares=shares,
        examples=_examples(apart, source, target, chosen),
        backbone=name,
        layer=layer,
        trainable=backbone.spec.pretrained and backbone.spec.trainable,
        seconds=seconds,
    )


def _answered(
    rows: Rows, recipe: Recipe, found: Prepared, source: Domain, target: Domain, held: np.ndarray
) -> tuple[Rows, dict[str, Any] | None]:
    """The rows with what a classifier of the source says of them, and the class shares that follow from it."""
    task = found.data.source_task
    if task.kind != "class" or source.labels is None:
        return rows, None
    classes = task.config()["classes"]
    targets = task.encode(source.labels).numpy()
    if held.sum() < FEWEST_HELD or len(np.unique(targets[~held])) < 2:
        return rows, None
    own, there = answers(rows.source, targets, held, rows.target, len(classes))
    permitted = None
    if target.labels is not None:
        index = {name: k for k, name in enumerate(classes)}
        permitted = np.array([index.get(label, -1) for label in target.labels])
        permitted = permitted if (permitted >= 0).any() else None
    stated = None if found.shares is None or found.data.target_task != task else named(classes, found.shares)
    shares = {"stated": stated, **told(classes, estimate(own, targets[held], there, seed=recipe.seed), there)}
    return Rows(rows.source, rows.target, targets, held, own, there, permitted, rows.content), shares


def _moved(shares: dict[str, Any]) -> float:
    """How far the estimated class shares are from the source's."""
    return distance(*(np.array(list(shares[key].values())) for key in ("source", "estimated")))


def _kind(rows: Rows, recipe: Recipe, found: Prepared, target: Domain, moved: float) -> Kind:
    """The kind of shift; permitted labels that the source does not have settle it."""
    kind, task = kinds.kind(rows, recipe.seed, moved), found.data.source_task
    known = [] if target.labels is None else [label for label in target.labels if label is not None]
    if task.kind != "class" or not set(known) - set(task.config()["classes"]):
        return kind
    sure = {name: float(name == "new_classes") for name in kinds.NAMES}
    return replace(kind, name="new_classes", confidence=1.0, probabilities=sure)


def _examples(
    apart: Apart, source: Domain, target: Domain, chosen: list[np.ndarray]
) -> dict[str, list[dict[str, Any]]]:
    """The rows of either domain that look most like it, and not at all like the other."""
    half = len(apart.source)
    extreme = np.argsort(apart.score[:half])[:EXAMPLES], np.argsort(-apart.score[half:])[:EXAMPLES]
    return {
        "source_like": [_example(source, int(chosen[0][apart.source[k]]), float(apart.score[k])) for k in extreme[0]],
        "target_like": [
            _example(target, int(chosen[1][apart.target[k]]), float(apart.score[half + k])) for k in extreme[1]
        ],
    }


def _example(domain: Domain, row: int, score: float) -> dict[str, Any]:
    """A row by its place in the domain as it is read, counted from 0, its file, and a text's or SMILES' beginning."""
    text = None
    if domain.schema.modality in ("text", "molecule"):
        text = " ".join(str(domain.rows.take(np.array([row]))[0]).split())[:CHARACTERS]
    return {"row": row, "file": name_of(domain.rows, row), "text": text, "score": round(score, 3)}
