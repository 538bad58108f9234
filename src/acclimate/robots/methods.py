"""How a model of dynamics learns from many bodies, and how it is adapted to a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.domains.episodes import Episodes
from acclimate.errors import DataError, DivergedError, SettingsError, unknown
from acclimate.methods.meta.base import Learning
from acclimate.methods.meta.maml import MAML
from acclimate.methods.registry import META, find_meta
from acclimate.methods.transfer.source_only import SourceOnly
from acclimate.robots.dynamics import Dynamics
from acclimate.robots.transitions import Transitions
from acclimate.settings import as_dict, build, within
from acclimate.training.device import place
from acclimate.training.loop import Report, Trainer
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop

PLAIN = {
    "nominal": "trained on the nominal body alone, never adapted",
    "finetune": "trained on the nominal body alone, fine-tuned on the new one",
    "randomise": "domain randomisation: trained on all bodies, never adapted",
    "randomise+finetune": "trained on all bodies, fine-tuned on the new one",
}
"""Methods without meta-learning."""


@dataclass(frozen=True)
class Fit:
    """How long and how fast a model learns.

    Attributes:
        steps: gradient steps on the bodies of the training.
        learning_rate: of these (Adam).
        batch_size: transitions a step; of meta-learning, `tasks` bodies a step.
        tasks: bodies a step of meta-learning.
        queries: transitions of each body that meta-learning judges an adaptation by.
        finetune_steps: gradient steps of a fine-tuning on a new body.
        finetune_rate: learning rate of a fine-tuning.
    """

    steps: int = 2000
    learning_rate: float = 2e-3
    batch_size: int = 256
    tasks: int = 4
    queries: int = 100
    finetune_steps: int = 300
    finetune_rate: float = 1e-3

    ranges: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("steps", "batch_size", "tasks", "queries"), "[1, inf)"),
        **dict.fromkeys(("learning_rate", "finetune_rate"), "(0, inf)"),
        "finetune_steps": "[0, inf)",
    }

    def __post_init__(self) -> None:
        within(self, **self.ranges)


@dataclass(frozen=True)
class Way:
    """A method: what is learned from, and what happens on a new body.

    Attributes:
        name: of `PLAIN`, or a gradient-based learner of `acclimate meta-train`.
        learner: who learns to learn; None of the plain ones.
    """

    name: str
    learner: MAML | None = None

    @property
    def varied(self) -> bool:
        """Whether it learns from many bodies."""
        return self.name not in ("nominal", "finetune")

    @property
    def adapts(self) -> bool:
        """Whether a new body's transitions change it."""
        return self.name not in ("nominal", "randomise")

    def recipe(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": self.name} if self.learner is None else self.learner.recipe()


LEARNER = {"steps": 5, "rate": 0.1, "test_steps": 10}
"""Inner steps, rate and steps on a new body of a meta-learner, unless the user says otherwise."""


def way(settings: Mapping[str, Any]) -> Way:
    """A method from ``{"name": ..., setting: ...}``.

    Raises:
        SettingsError: no such method or setting, or a learner without inner steps.
    """
    given = {key: value for key, value in settings.items() if key != "name"}
    name = str(settings.get("name", "maml"))
    if name in PLAIN:
        if given:
            raise SettingsError(f"method '{name}' has no settings of its own, found {', '.join(given)}; see `fit`")
        return Way(name)
    able = [other for other in META if issubclass(find_meta(other), MAML) and find_meta(other).regresses]
    if name not in able:
        raise SettingsError(unknown("method", name, [*PLAIN, *able]))
    return Way(name, build(find_meta(name), {**LEARNER, **given}, f"method {name}"))  # type: ignore[arg-type]


@dataclass
class Taught:
    """A model that learned from the bodies of a training, and knows how to learn from a new one.

    Attributes:
        way: the method.
        fit: how long a fine-tuning takes.
        dynamics: the model before it has seen a new body.
        parts: the learner's own networks.
        seed: of a fine-tuning.
    """

    way: Way
    fit: Fit
    dynamics: Dynamics
    parts: Mapping[str, nn.Module] = field(default_factory=dict)
    seed: int = 0

    def adapted(self, data: Transitions) -> Dynamics:
        """The model of a new body, from its transitions alone; this one stays as it is.

        Raises:
            DivergedError: it did not learn, but blew up.
        """
        own = self.dynamics.copy()
        if not self.way.adapts:
            return own
        domain = own.inputs.domain({"body": data})
        if self.way.learner is None:
            if self.fit.finetune_steps:
                tuned = {"steps": self.fit.finetune_steps, "learning_rate": self.fit.finetune_rate}
                learn(own, domain, {**tuned, "batch_size": min(len(data), self.fit.batch_size)}, self.seed)
            return own
        inputs = torch.from_numpy(own.inputs.rows(data))
        assert domain.labels is not None
        support = Batch(inputs, own.model.task.encode(domain.labels))
        reached = self.way.learner.adapted(own.model, self.parts, support)
        if not all(bool(value.isfinite().all()) for value in reached.values()):
            raise DivergedError("the adaptation to this body blew up: take a smaller method.rate, or check the data")
        with torch.no_grad():
            for name, value in own.model.named_parameters():
                value.copy_(reached[name])
        return own


def learn(
    dynamics: Dynamics,
    domain: Domain,
    settings: Mapping[str, Any],
    seed: int,
    report: Report | None = None,
    checkpoints: Path | None = None,
) -> None:
    """Train a model on all rows of a domain, in place, whoever they are of."""
    _train(dynamics, Loop("dynamics", {"source": domain}, SourceOnly()), settings, seed, report, checkpoints)


def meta_learn(
    taught: Taught,
    domain: Domain,
    shots: int,
    seed: int,
    report: Report | None = None,
    checkpoints: Path | None = None,
) -> Taught:
    """Train a model and its learner over the bodies of a domain, in place, from ``shots`` transitions of each.

    Raises:
        DataError: bodies with too few transitions.
    """
    learner, fit = taught.way.learner, taught.fit
    assert learner is not None
    episodes = Episodes(domain, 1, shots, fit.queries, seed, groups="tasks")
    if episodes.pools.left_out:
        raise DataError(f"{episodes.pools.left_out} bodies have fewer than {shots + fit.queries} transitions")
    loop = Loop("dynamics", {}, Learning(learner, taught.dynamics.model, episodes.classes), episodes=episodes)
    settings = {"steps": fit.steps, "learning_rate": fit.learning_rate, "batch_size": fit.tasks}
    taught.parts = _train(taught.dynamics, loop, settings, seed, report, checkpoints)
    return taught


def _train(
    dynamics: Dynamics,
    loop: Loop,
    settings: Mapping[str, Any],
    seed: int,
    report: Report | None,
    checkpoints: Path | None,
) -> Mapping[str, nn.Module]:
    """On the CPU: the networks are small, and a step waits for launches elsewhere."""
    training = Training(optimizer="adam", schedule="cosine", weight_decay=0.0, clip=10.0, **settings)
    where, tune = place("cpu", "fp32"), Tune("full")
    trainer = Trainer(
        dynamics.model, loop, tune=tune, training=training, place=where, seed=seed, folder=checkpoints, report=report
    )
    trainer.train()
    return trainer.parts


def plain(fit: Fit) -> dict[str, Any]:
    """A plain training's, as `learn` takes them."""
    known = as_dict(fit)
    return {name: known[name] for name in ("steps", "learning_rate", "batch_size")}
