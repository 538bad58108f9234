"""What a meta-learner is: a loss over episodes while training, and answers from a few labelled rows afterwards."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.settings import as_dict, within
from acclimate.tasks.sites import Width
from acclimate.training.model import Model
from acclimate.training.stage import Pass, Update


class Learner:
    """Base of all meta-learners: a frozen dataclass of settings.

    A subclass declares ``name``, ``about`` and ``headed``, and implements `updates` and `answers`. Query targets reach
    `updates` alone, and there the outer loss alone.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    headed: ClassVar[bool]
    """Whether it uses the model's head, and so answers episodes of as many ways as it was trained with."""
    regresses: ClassVar[bool] = False
    """Whether it can answer numbers too, and not classes alone."""
    ranges: ClassVar[Mapping[str, str]] = {}
    """The interval that each number among the settings must lie in, such as ``[0, inf)``."""

    def __post_init__(self) -> None:
        within(self, **self.ranges)

    def recipe(self) -> dict[str, Any]:
        """Name and settings, from which it is made again."""
        return {"name": self.name, **as_dict(self)}

    def check(self, sites: Mapping[str, Width]) -> None:
        """Refuse a model, by its sites, whose task this learner cannot learn.

        Raises:
            SettingsError: a regression where only classes can be answered; names the learners that can.
        """
        if not self.regresses and not next(iter(sites.values())).probs:
            from acclimate.methods.registry import META, find_meta

            able = ", ".join(name for name in META if find_meta(name).regresses)
            raise SettingsError(
                f"method '{self.name}' answers classes, and the labels here are numbers; methods that answer numbers: "
                f"{able}"
            )

    def parts(self, model: Model, classes: int) -> dict[str, nn.Module]:
        """Its own networks by player name, of which most have none; ``classes`` are those of all training episodes."""
        return {}

    @abstractmethod
    def updates(self, step: Pass, tasks: Batch) -> Iterator[Update]:
        """The updates of one training step on episodes (see `EpisodeStream`); ``origin`` is a row's training class."""

    @abstractmethod
    def answers(self, model: Model, parts: Mapping[str, nn.Module], support: Batch, query: Any) -> Tensor:
        """What it says of the query rows of several tasks, having learned from their support rows.

        Args:
            model: in evaluation mode; left as it is.
            parts: its own networks, trained.
            support: inputs ``[tasks, support, ...]`` and targets ``[tasks, support]``.
            query: inputs ``[tasks, query, ...]``.

        Returns:
            Logits ``[tasks, query, ways]``; of a regression the standardised values ``[tasks, query]``.
        """


@dataclass(frozen=True)
class Learning:
    """A meta-learner of one model, as a training loop sees it."""

    learner: Learner
    model: Model
    classes: int

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The learner's.

        Raises:
            SettingsError: the learner cannot learn the model's task.
        """
        self.learner.check(sites)
        return self.learner.parts(self.model, self.classes)

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The learner's, on the stream "source"."""
        yield from self.learner.updates(step, batches["source"])
