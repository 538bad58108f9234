"""From a recipe to what a pretraining is handed: rows without labels, an encoder and a method, all checked first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acclimate import settings
from acclimate.backbones import registry as backbones
from acclimate.backbones.base import Backbone
from acclimate.domains.domain import Domain, join
from acclimate.domains.schema import check_kinds, difference
from acclimate.domains.split import split
from acclimate.errors import DataError, SettingsError
from acclimate.methods.pretrain.base import Pretraining
from acclimate.methods.registry import PRETRAINING, find_pretraining
from acclimate.runs.arms import epochs_by_default
from acclimate.runs.reading import read_target
from acclimate.runs.recipe import Recipe
from acclimate.settings import build
from acclimate.training.settings import Training, Tune

HELD_OUT = 0.1
"""Share of the rows of each domain that is held out, unless the user says otherwise."""
MOST_HELD_OUT = 500
"""Most rows of a domain that are held out: enough to see whether the loss falls on rows that were not learned."""


SPEAK_OF_LABELS = ("target_label", "target_shares", "label_map", "task", "episodes")
"""Settings of a recipe that mean nothing here."""


@dataclass(frozen=True)
class Lesson:
    """Everything that a pretraining is made of.

    Attributes:
        wholes: the domains by side ("source", "target"), without labels.
        train: the rows that are learned from, by side.
        held_out: rows that are only looked at, by side; a side may lack them.
        method: what is learned.
        backbone: who learns.
        tune: what happens to its weights.
        training: settings of the loop.
        recipe: with every default written out.
    """

    wholes: Mapping[str, Domain]
    train: Mapping[str, Domain]
    held_out: Mapping[str, Domain]
    method: Pretraining
    backbone: Backbone
    tune: Tune
    training: Training
    recipe: Recipe

    @property
    def fingerprints(self) -> dict[str, str]:
        """Hashes of all rows, by side and part."""
        held_out = {f"{side}_held_out": rows for side, rows in self.held_out.items()}
        return {name: rows.fingerprint for name, rows in {**self.train, **held_out}.items()}

    @property
    def found(self) -> dict[str, Any]:
        """What the data are, as plain values."""
        held_out = {side: len(self.held_out.get(side, ())) for side in self.wholes}
        notes = dict.fromkeys(note for domain in self.wholes.values() for note in domain.notes)
        sides = {
            side: {"name": rows.name, "rows": len(rows), "held_out": held_out[side], "hash": rows.fingerprint}
            for side, rows in self.wholes.items()
        }
        if self.recipe.input == ("*",) and self.recipe.label is None:
            notes["--input '*' takes every column; if a label is among them, --label NAME keeps it out"] = None
        return {**sides, "notes": list(notes)}


def prepare(recipe: Recipe, source: Sequence[Any] | None = None, target: Sequence[Any] | None = None) -> Lesson:
    """Read inputs alone, hold rows out, make method and backbone, and refuse what cannot be.

    Raises:
        AcclimateError: see `acclimate.errors`.
    """
    for key in SPEAK_OF_LABELS:
        if getattr(recipe, key):
            raise SettingsError(f"pretraining reads no labels: leave {key} out (label keeps a column from the inputs)")
    if recipe.privacy:
        raise SettingsError("privacy: pretraining is never private; only adapt is")
    wholes = _read(recipe, source, target)
    modality = next(iter(wholes.values())).schema.modality
    method = _method(recipe, modality)
    halves = {side: _halves(domain, recipe) for side, domain in wholes.items()}
    train = {side: half[0] for side, half in halves.items()}
    held_out = {side: half[1] for side, half in halves.items() if half[1] is not None}
    name = recipe.backbone.get("name") or backbones.default(modality)
    chosen = {key: value for key, value in recipe.backbone.items() if key != "name"}
    backbone = backbones.create(name, modality, chosen, recipe.seed)
    _fit(backbone, list(train.values()))
    method.encoder(backbone)
    tune = _tune(recipe, backbone)
    training = _training(recipe, method, backbone, tune, train)
    resolved = replace(
        recipe,
        method=method.recipe(),
        backbone={"name": name, **chosen},
        tune=settings.as_dict(tune),
        training=settings.as_dict(training),
    )
    return Lesson(wholes, train, held_out, method, backbone, tune, training, resolved)


def _read(recipe: Recipe, source: Sequence[Any] | None, target: Sequence[Any] | None) -> dict[str, Domain]:
    """The domains that are given, both read as a target is: their inputs alone."""
    as_target = replace(recipe, target=recipe.source, target_input=())
    first = read_target(as_target, None, source)
    second = read_target(recipe, first, target)
    if first is not None and second is not None:
        check_kinds(first, second)
    found = {side: domain for side, domain in (("source", first), ("target", second)) if domain is not None}
    if not found:
        raise DataError("nothing to learn from: give --source, --target or both")
    return found


def _method(recipe: Recipe, modality: str) -> Pretraining:
    name = recipe.method.get("name") or ("mlm" if modality == "text" else "simclr")
    kind = find_pretraining(name)
    if modality not in kind.reads:
        works = [other for other in PRETRAINING if modality in find_pretraining(other).reads]
        raise SettingsError(
            f"method '{name}' learns from {', '.join(kind.reads)}, and these rows are {modality}; "
            f"methods that would work: {', '.join(works) or 'none'}"
        )
    return build(kind, {k: v for k, v in recipe.method.items() if k != "name"}, f"method {name}")


def _halves(domain: Domain, recipe: Recipe) -> tuple[Domain, Domain | None]:
    """Rows to learn from and rows held out, in an order that depends on content alone."""
    train, held = split(domain, recipe.validation, recipe.seed, stratify=False)
    train, held = np.concatenate([train, held[MOST_HELD_OUT:]]), held[:MOST_HELD_OUT]
    if len(train) < 2:
        raise DataError(f"{domain.name}: {len(train)} row to learn from; at least 2 are needed")
    return domain.select(train), domain.select(held) if len(held) > 1 else None


def _fit(backbone: Backbone, domains: Sequence[Domain]) -> None:
    """Learn the preprocessing from all rows; where columns differ, the encoder of each domain from its own."""
    if len(domains) < 2 or difference(*domains) is None:
        backbone.fit(join(domains))
        return
    if not backbone.links:
        raise SettingsError(
            f"source and target have other columns, and backbone '{backbone.spec.name}' reads one kind of row only; "
            "mlp trains an encoder for each domain"
        )
    backbone.fit(domains[0])
    backbone.link(domains[1])


def _tune(recipe: Recipe, backbone: Backbone) -> Tune:
    tune = build(Tune, {"kind": "full", **recipe.tune}, "tune")
    if tune.kind == "frozen" or not backbone.spec.trainable:
        raise SettingsError(
            f"pretraining changes the backbone: '{backbone.spec.name}' cannot be changed"
            if tune.kind != "frozen"
            else "pretraining changes the backbone: use --tune full, gradual, discriminative, lora or l2sp"
        )
    for key in ("layer", "bottleneck"):
        if getattr(tune, key) is not None:
            raise SettingsError(f"tune.{key}: pretraining teaches the backbone's own output; leave it out")
    return tune


def _training(
    recipe: Recipe, method: Pretraining, backbone: Backbone, tune: Tune, train: Mapping[str, Domain]
) -> Training:
    fewest = min(len(domain) for domain in train.values())
    given = {
        "epochs": epochs_by_default(backbone, tune),
        "batch_size": min(method.batch_size, fewest),
        **recipe.training,
    }
    training = build(Training, given, "training")
    if training.batch_size > fewest:
        raise SettingsError(
            f"training.batch_size {training.batch_size} is more than the {fewest} rows of a domain: a batch would hold "
            "rows twice"
        )
    if training.keep not in (None, "last") or training.patience is not None:
        raise SettingsError("training.keep and training.patience judge a model by its answers; pretraining has none")
    return training
