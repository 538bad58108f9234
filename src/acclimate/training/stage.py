"""What a method asks of the trainer: stages, and in a loop, updates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.tasks.base import Task
from acclimate.training.model import Step


@dataclass(frozen=True)
class Update:
    """One optimizer step.

    Attributes:
        losses: named scalar losses; their sum is minimised.
        players: whose parameters step; gradients that reach others are thrown away.
    """

    losses: Mapping[str, Tensor]
    players: tuple[str, ...] = ("model",)


class Pass(Protocol):
    """What a method may use during one training step."""

    progress: float
    """Share of the steps done, 0 to 1."""
    parts: Mapping[str, nn.Module]
    """The method's own networks."""

    def run(self, batch: Batch) -> Step:
        """Forward pass of the model, with the randomness of this step and stream."""
        ...


class Updates(Protocol):
    """The side of a method that a loop sees."""

    def parts(self, sites: Mapping[str, int]) -> dict[str, nn.Module]:
        """The method's own networks by player name, for sites of these widths."""
        ...

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The updates of one training step, in order."""
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
    """

    name: str
    streams: Mapping[str, Domain]
    method: Updates
    task: Task | None = None
    validation: Domain | None = None


@dataclass(frozen=True)
class Convex:
    """A stage with a global optimum: a linear head on frozen features, layer and penalty by validation.

    Attributes:
        name: for people and folders.
        train: labelled features.
        validation: labelled features that choose layer and penalty; None: middle of the range.
        task: if given, the head is for this task and not for the model's.
    """

    name: str
    train: Domain
    validation: Domain | None = None
    task: Task | None = None


Stage = Loop | Convex
