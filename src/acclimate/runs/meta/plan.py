"""From a recipe to what a meta-training is handed: episodes, a learner and a model, all checked first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acclimate import settings
from acclimate.backbones import registry as backbones
from acclimate.backbones.base import Backbone
from acclimate.domains.domain import Domain, join
from acclimate.domains.episodes import Count, Episodes, Grouping, span
from acclimate.errors import DataError, SettingsError
from acclimate.methods.meta.base import Learner
from acclimate.methods.registry import find_meta
from acclimate.runs.reading import read_source
from acclimate.runs.recipe import Recipe
from acclimate.seeds import derive, generator
from acclimate.settings import build
from acclimate.tasks import registry as tasks
from acclimate.tasks.base import Task
from acclimate.tasks.classify import Classify
from acclimate.tasks.sites import Width
from acclimate.training.settings import Training, Tune

DEFAULTS = {"batch_size": 4, "steps": 2000, "clip": 10.0, "weight_decay": 0.0}
"""Of a meta-training, where they differ from those of `Training`; `batch_size` counts episodes."""
HELD_OUT = 0.1
"""Share of the classes (or groups, where these are tasks) that is held out, unless the user says otherwise."""
BOTTLENECK = 128
"""Width of the layer that learns on frozen features, unless the user says otherwise."""
RATE_OF_NUMBERS = 0.01
"""Inner learning rate of a regression unless the user says otherwise, as for the sinusoids of Finn et al. 2017."""
FOREIGN = ("target", "target_input", "target_label", "target_shares")
"""Settings of a recipe that mean nothing here."""


@dataclass(frozen=True)
class Shape:
    """What an episode is.

    Attributes:
        ways: classes of an episode, or a range such as "5-20"; 5 by default. Where groups are tasks: all classes, or 1:
            rows are drawn whatever their label.
        shots: labelled rows of each class, or a range.
        queries: further rows of each class, which are answered.
        groups: ignore; within: the classes of an episode are of one group (an alphabet); tasks: an episode is one group
            (a domain, a user, a machine).
        turns: each image turned by a quarter, a half and three quarters is of a class of its own.
    """

    ways: int | str | None = None
    shots: int | str = 1
    queries: int = 15
    groups: Grouping = "ignore"
    turns: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything that a meta-training is made of.

    Attributes:
        episodes: what is learned from.
        held_out: episodes of classes or groups that are not learned from; None where there are too few.
        learner: who learns to learn.
        backbone: whose features it reads.
        task: what a head asks.
        tune: what happens to the backbone's weights.
        training: settings of the loop.
        recipe: with every default written out.
        notes: what was found in the data, for people.
    """

    episodes: Episodes
    held_out: Episodes | None
    learner: Learner
    backbone: Backbone
    task: Task
    tune: Tune
    training: Training
    recipe: Recipe
    notes: tuple[str, ...]

    @property
    def fingerprints(self) -> dict[str, str]:
        """Hashes of the rows that are learned from, and of those held out."""
        held = {} if self.held_out is None else {"held_out": self.held_out.domain.fingerprint}
        return {"train": self.episodes.domain.fingerprint, **held}

    @property
    def found(self) -> dict[str, Any]:
        """What the data are, as plain values."""
        domain, held = self.episodes.domain, self.held_out
        tasks_held = 0 if held is None else len(np.unique(held.names[held.pools.rows]))
        return {
            "name": domain.name,
            "modality": domain.schema.modality,
            "rows": len(domain),
            "task": self.task.name,
            "episodes": settings.as_dict(build(Shape, self.recipe.episodes, "episodes")),
            "classes": self.episodes.classes,
            "left_out": self.episodes.pools.left_out,
            "held_out": tasks_held if held is None or held.groups == "tasks" else held.classes,
            "notes": list(self.notes),
        }


def prepare(recipe: Recipe, source: Sequence[Any] | None = None) -> Plan:
    """Read, hold classes out, make learner and backbone, and refuse what cannot be.

    Raises:
        AcclimateError: see `acclimate.errors`.
    """
    for key in FOREIGN:
        if getattr(recipe, key):
            raise SettingsError(f"meta-training has no target: leave {key} out")
    if recipe.privacy:
        raise SettingsError("privacy: meta-training is never private; only adapt is")
    shape = build(Shape, recipe.episodes, "episodes")
    domain = read(recipe, source, shape.groups)
    if shape.groups != "ignore" and len(set(domain.groups if domain.groups is not None else ())) < 2:
        raise SettingsError(
            f"groups {shape.groups}: all rows are of one group; name --group COLUMN, or several sources"
        )
    task, ways = asked(recipe, shape, domain)
    learner, notes = _learner(recipe, task)
    whole = episodes(shape, domain, ways, recipe.seed)
    if learner.headed and not isinstance(whole.ways, int):
        raise SettingsError(
            f"method '{learner.name}' learns a head of so many ways: episodes.ways is one number, found {shape.ways}; "
            "protonet and others without a head take a range"
        )
    train, held, remarks = _halves(whole, recipe)
    name = recipe.backbone.get("name") or backbones.default(domain.schema.modality)
    chosen = {key: value for key, value in recipe.backbone.items() if key != "name"}
    backbone = backbones.create(name, domain.schema.modality, chosen, recipe.seed)
    backbone.fit(train.domain)
    tune = _tune(recipe, backbone, shape.turns)
    resolved = replace(
        recipe,
        method=learner.recipe(),
        backbone={"name": name, **chosen},
        tune=settings.as_dict(tune),
        training=settings.as_dict(training := _training(recipe)),
        episodes=settings.as_dict(replace(shape, ways=_shown(train.ways))),
    )
    notes = (*dict.fromkeys(domain.notes), *notes, *remarks)
    return Plan(train, held, learner, backbone, task, tune, training, resolved, notes)


def read(recipe: Recipe, objects: Sequence[Any] | None, groups: Grouping) -> Domain:
    """The labelled rows; several domains are joined, and each is a group where nothing else is.

    Raises:
        DataError: there are none.
    """
    places = list(objects if objects is not None else recipe.source)
    if not places:
        raise DataError("nothing to learn from: give --source")
    labelled = replace(recipe, label=recipe.label or "label")
    each = [read_source(replace(labelled, source=(str(place),)), [place]) for place in places]
    domains = [domain for domain in each if domain is not None]
    if groups != "ignore" and all(domain.groups is None for domain in domains):
        domains = [replace(d, groups=np.full(len(d), d.name, dtype=object)) for d in domains]
    return join(domains)


def asked(recipe: Recipe, shape: Shape, domain: Domain) -> tuple[Task, Count]:
    """The task of a head, and the ways of an episode."""
    if shape.groups != "tasks":
        if recipe.task == "regress":
            raise SettingsError("a regression has no classes to draw: give --group COLUMN --groups tasks")
        ways = count(shape.ways or 5, "ways")
        return Classify(tuple(str(k) for k in range(span(ways)[1]))), ways
    task = tasks.create(recipe.task, domain)
    if task.kind not in ("class", "number"):
        raise SettingsError(
            f"meta-training answers with a class or a number, and task '{task.name}' asks for something else here"
        )
    if task.kind == "number":
        return task, 1
    classes = len(task.config()["classes"])
    return task, classes if shape.ways is None else count(shape.ways, "ways")


def episodes(shape: Shape, domain: Domain, ways: Count, seed: int) -> Episodes:
    """Episodes of this shape."""
    shots = count(shape.shots, "shots")
    return Episodes(domain, ways, shots, shape.queries, derive(seed, "episodes"), shape.groups, shape.turns)


def count(value: int | str, name: str) -> Count:
    """``5`` or ``"5-20"``."""
    parts = str(value).split("-")
    if not all(part.strip().isdigit() for part in parts) or len(parts) > 2:
        raise SettingsError(f"episodes.{name}: expected a number or a range such as 5-20, found '{value}'")
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def _shown(count: Count) -> int | str:
    return count if isinstance(count, int) else f"{count[0]}-{count[1]}"


def _halves(whole: Episodes, recipe: Recipe) -> tuple[Episodes, Episodes | None, tuple[str, ...]]:
    """Episodes of the classes (or groups, where these are tasks) that are learned from, and of those held out."""
    domain, alone = whole.domain, whole.groups == "tasks"
    names = np.unique(whole.names[whole.pools.rows])
    least = 1 if alone else -(-whole.fewest[0] // whole.factor)
    some = max(round(recipe.validation * len(names)), least)
    what = "groups" if alone else "classes"
    if not recipe.validation:
        return whole, None, ()
    order = generator(recipe.seed, "held out").permutation(len(names))
    chosen = np.isin(whole.names, names[order[:some]])
    if len(names) - some >= least:
        try:
            held = replace(whole, domain=domain.select(np.flatnonzero(chosen)), seed=derive(whole.seed, "held out"))
            return replace(whole, domain=domain.select(np.flatnonzero(~chosen))), held, ()
        except DataError:  # such as a group that is left with too few classes
            pass
    of = " of a group" if whole.groups == "within" else ""
    return whole, None, (f"too few {what}{of} to hold some out: nothing is known of others before evaluate",)


def _learner(recipe: Recipe, task: Task) -> tuple[Learner, tuple[str, ...]]:
    """The learner, and what was set for it by itself.

    Raises:
        SettingsError: it cannot answer this task.
    """
    name = recipe.method.get("name") or "protonet"
    given = {key: value for key, value in recipe.method.items() if key != "name"}
    learner = build(find_meta(name), given, f"method {name}")
    numbers = task.kind == "number"
    learner.check({"features": Width(1, 0 if numbers else 2)})
    if not numbers or "rate" in given or getattr(learner, "rate", 0.0) <= RATE_OF_NUMBERS:
        return learner, ()
    learner = build(find_meta(name), {**given, "rate": RATE_OF_NUMBERS}, f"method {name}")
    return learner, (f"method.rate: {RATE_OF_NUMBERS}, for the answers are numbers",)


def _tune(recipe: Recipe, backbone: Backbone, turns: bool) -> Tune:
    kind = "frozen" if backbone.spec.pretrained or not backbone.spec.trainable else "full"
    tune = build(Tune, {"kind": kind, "batch_norm": "train", **recipe.tune}, "tune")
    if tune.kind == "frozen" and backbone.spec.sparse:
        raise SettingsError(f"backbone '{backbone.spec.name}' has sparse features, which episodes do not read")
    if tune.kind == "frozen" and turns:
        raise SettingsError("episodes.turns: frozen features are those of images as they are; use --tune full")
    if tune.kind == "lora":
        raise SettingsError("meta-training of LoRA is not known; use --tune full, gradual, discriminative or frozen")
    if tune.bottleneck is None:
        tune = replace(tune, bottleneck=BOTTLENECK if tune.kind == "frozen" else 0)
    return replace(tune, layer=backbone.check_layer(tune.layer))


def _training(recipe: Recipe) -> Training:
    given = {key: value for key, value in DEFAULTS.items() if key != "steps" or "epochs" not in recipe.training}
    training = build(Training, {**given, **recipe.training}, "training")
    if training.keep not in (None, "last") or training.patience is not None:
        raise SettingsError("training.keep and training.patience: meta-training keeps its last state; leave them out")
    return training
