"""What a method asks of the trainer: stages, and in a loop, updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from acclimate.domains.augment import View
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.domains.episodes import Episodes
from acclimate.tasks.base import Task
from acclimate.tasks.sites import Site, Width
from acclimate.training.model import Model, Step


@dataclass(frozen=True)
class Update:
    """One optimizer step.

    Attributes:
        losses: named scalar losses; their sum is minimised.
        players: whose parameters step: "model", or of it "features" (backbone and neck), "head" or "norms" (scale
            and shift of the normalisation layers) alone, and the method's parts by name. Gradients that reach others
            are thrown away.
    """

    losses: Mapping[str, Tensor]
    players: tuple[str, ...] = ("model",)


class Pass(Protocol):
    """What a method may use during one training step."""

    progress: float
    """Share of the steps done, 0 to 1."""
    parts: Mapping[str, nn.Module]
    """The method's own networks."""
    share: float
    """What part of the step's rows these are, if they are seen for the first time, otherwise 0: by so much of a step
    may a method move what it remembers. Below 1 where a batch is cut into pieces."""

    def run(self, batch: Batch, draw: str = "") -> Step:
        """Forward pass of the model, with the randomness of this step, stream and draw."""
        ...

    def open(self, batch: Batch, draw: str = "") -> Model:
        """The model itself, for a method that runs it with weights of its own; randomness is as in `run`."""
        ...


class Updates(Protocol):
    """The side of a method that a loop sees."""

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The method's own networks by player name, for sites of these widths."""
        ...

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The updates of one training step, in order."""
        ...


@runtime_checkable
class Discriminates(Protocol):
    """A method with a discriminator, which the guard may ask."""

    def discriminate(self, parts: Mapping[str, nn.Module], name: str, site: Site) -> Tensor | None:
        """Logits ``[n]`` that the values of this site are of the target; None where it does not count."""
        ...


@dataclass(frozen=True)
class Loop:
    """A stage of gradient steps.

    Attributes:
        name: for people and folders.
        streams: domains by stream name; the first sets the length of an epoch.
        method: where the updates come from.
        task: if given, the model gets a fresh head for it when the stage begins.
        validation: held-out labelled rows, by which the best state may be kept.
        views: further views of a stream's batches, by stream name.
        soft: targets ``[n, classes]`` that are probabilities, in place of a stream's labels, in its domain's order.
        episodes: small tasks, as the stream "source" in the place of domains.
    """

    name: str
    streams: Mapping[str, Domain]
    method: Updates
    task: Task | None = None
    validation: Domain | None = None
    views: Mapping[str, tuple[View, ...]] = field(default_factory=dict)
    soft: Mapping[str, np.ndarray] = field(default_factory=dict)
    episodes: Episodes | None = None


@dataclass(frozen=True)
class Convex:
    """A stage with a global optimum: a linear head on frozen features, layer and penalty by validation.

    Attributes:
        name: for people and folders.
        train: labelled features.
        validation: labelled features that choose layer and penalty; None: middle of the range.
        task: if given, the head is for this task and not for the model's.
        target: inputs that ``carry`` is shown.
        carry: changes or weighs the training rows once layer and penalty are chosen: standardised features
            ``[n, d]``, labels ``[n]`` and the target's features ``[m, d]`` to features ``[n, d]`` and weights ``[n]``
            (or None for ones). Features may be sparse, and come back as they were if they are not changed.
        soft: probabilities ``[m, classes]`` for the target's rows. The head is fitted to these, on the layer that the
            labelled rows chose, with the penalty that held-out rows of the target choose.
    """

    name: str
    train: Domain
    validation: Domain | None = None
    task: Task | None = None
    target: Domain | None = None
    carry: Callable[[Any, np.ndarray, Any], tuple[Any, np.ndarray | None]] | None = None
    soft: np.ndarray | None = None


class Reader(Protocol):
    """What a closed form may ask of the model."""

    def outputs(self, domain: Domain) -> dict[str, np.ndarray]:
        """What the head says of every row."""
        ...

    def batches(self, domain: Domain) -> Iterator[Batch]:
        """Every row once, in the domain's order, as the model reads them."""
        ...


@dataclass(frozen=True)
class Adjust:
    """A stage that changes the trained model in closed form.

    Attributes:
        name: for people and folders.
        change: changes the model; returns what the record says of it. A ``temperature`` in it is taken as the
            calibration of the model instead of one measured afterwards.
    """

    name: str
    change: Callable[[Model, Reader], dict[str, Any]]


Stage = Loop | Convex | Adjust
