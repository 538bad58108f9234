"""What a method is: what it needs, its stages, and the updates of a training step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.errors import SettingsError
from acclimate.tasks.base import Task
from acclimate.training.stage import Convex, Loop, Pass, Stage, Update

Need = Literal["source_labels", "target_inputs", "target_labels"]


@dataclass(frozen=True)
class Data:
    """What training is handed. Target labels are not in it unless the user gave permission.

    Attributes:
        source: labelled training rows of the source.
        source_validation: held-out labelled rows of the source.
        target: inputs of the target, no labels.
        labelled_target: target rows with labels (the inductive setting), or None.
        labelled_target_validation: held-out rows of those.
        source_task: the task on the source's labels.
        target_task: the task on the target's labels; the same object where the labels are the same.
    """

    source: Domain | None
    source_validation: Domain | None
    target: Domain | None
    labelled_target: Domain | None
    labelled_target_validation: Domain | None
    source_task: Task
    target_task: Task

    @property
    def same_task(self) -> bool:
        """Whether source and target ask for the same labels."""
        return self.source_task == self.target_task

    @property
    def has(self) -> dict[Need, bool]:
        """What is there, in the words of a method's needs."""
        return {
            "source_labels": self.source is not None,
            "target_inputs": self.target is not None,
            "target_labels": self.labelled_target is not None,
        }


class Method:
    """Base of all methods: a frozen dataclass of settings, plus what is done with them.

    A subclass declares ``name``, ``about`` and ``needs``, and implements `stages` and either `objective`
    (one sum of losses a step) or `updates`.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    needs: ClassVar[tuple[Need, ...]]
    aligns: ClassVar[bool] = False
    """Whether features must be able to move: frozen ones then get a trainable bottleneck."""
    same_labels: ClassVar[bool] = True
    """Whether source and target must ask for the same labels."""

    @abstractmethod
    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """The stages in order; ``convex`` says that the head alone learns, on frozen features."""

    def parts(self, sites: Mapping[str, int]) -> dict[str, nn.Module]:
        """The method's own networks by player name; most have none."""
        return {}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The updates of one training step, in order: one of the model and all parts, unless overridden."""
        yield Update(self.objective(step, batches), ("model", *step.parts))

    def objective(self, step: Pass, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """Named scalar losses of one step, for methods of one update."""
        raise TypeError(f"method '{self.name}' defines neither objective nor updates")

    def check(self, data: Data) -> None:
        """Refuse data that this method cannot work with.

        Raises:
            SettingsError: something it needs is missing; names the methods that would work.
        """
        from acclimate.methods.registry import works_with

        lacking = [need for need in self.needs if not data.has[need]]
        if lacking:
            hint = "; --target-label COLUMN gives permission to train on target labels"
            raise SettingsError(
                f"method '{self.name}' needs {', '.join(n.replace('_', ' ') for n in lacking)}, which are not given"
                f"{hint if 'target_labels' in lacking else ''}. Methods that would work: {', '.join(works_with(data))}"
            )
        if self.same_labels and data.source is not None and not data.same_task:
            raise SettingsError(
                f"method '{self.name}' needs the same labels in source and target. "
                f"Methods that would work: {', '.join(works_with(data))}"
            )


class Supervised(Method):
    """Base of the methods that only minimise the task's loss on labelled rows."""

    def objective(self, step: Pass, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """The mean loss of each stream."""
        losses = {}
        for name, batch in batches.items():
            loss = step.run(batch).loss
            assert loss is not None, "a supervised stream has targets"
            losses["task" if len(batches) == 1 else f"task_{name}"] = loss.mean()
        return losses

    def learn(self, name: str, train: Domain, validation: Domain | None, convex: bool, task: Task | None) -> Stage:
        """A convex stage where only the head learns, else a loop; ``task`` asks for a fresh head."""
        if convex:
            return Convex(name, train, validation, task)
        return Loop(name, {"source": train}, self, task, validation)
