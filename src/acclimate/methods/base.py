"""What a method is: what it needs, its stages, and the updates of a training step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.domains.augment import VIEWED, View
from acclimate.domains.batch import Batch
from acclimate.domains.domain import INTERACTIONS, Domain
from acclimate.domains.schema import Difference, difference
from acclimate.settings import as_dict, within
from acclimate.tasks.base import Task
from acclimate.tasks.sites import Width
from acclimate.training.model import Step
from acclimate.training.stage import Convex, Loop, Pass, Stage, Update

Need = Literal[
    "source_labels",
    "target_inputs",
    "target_labels",
    "classes",
    "probabilities",
    "users",
    "writing",
    "tokens",
    "images",
    "still_views",
    "pseudo_labels",
    "sure_targets",
    "sensitive",
]

Harmony = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Features ``[n, d]`` and each row's site ``[n]``, the target's last, to shift and scale ``[sites, d]``."""


@dataclass(frozen=True)
class Teacher:
    """What several arms say together of the target's rows.

    Attributes:
        members: the arms, best first.
        answers: their mean probabilities ``[n, classes]``.
    """

    members: tuple[str, ...]
    answers: np.ndarray


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
        teacher: what other arms say of the target's rows, for a method that learns from them.
    """

    source: Domain | None
    source_validation: Domain | None
    target: Domain | None
    labelled_target: Domain | None
    labelled_target_validation: Domain | None
    source_task: Task
    target_task: Task
    teacher: Teacher | None = None

    @property
    def task(self) -> Task:
        """The task that is learned first."""
        return self.target_task if self.source is None else self.source_task

    @property
    def same_task(self) -> bool:
        """Whether source and target ask for the same labels."""
        return self.source_task == self.target_task

    @property
    def named(self) -> str:
        """What a user names to permit labels of the target."""
        return "FOLDER" if self.task.shapes else "COLUMN"

    @property
    def unknown_class(self) -> str:
        """Names a class of the target that the source does not have, empty if there is none."""
        known, asked = (set(getattr(task, "classes", ())) for task in (self.source_task, self.target_task))
        return f", and '{min(asked - known)}' is no label of the source" if known and asked - known else ""

    @cached_property
    def difference(self) -> Difference | None:
        """How the columns of source and target differ, None where they do not."""
        return None if self.source is None or self.target is None else difference(self.source, self.target)

    @property
    def has(self) -> dict[Need, bool]:
        """What is there, in the words of a method's needs."""
        return {
            "source_labels": self.source is not None,
            "target_inputs": self.target is not None,
            "target_labels": self.labelled_target is not None,
            "classes": hasattr(self.source_task, "classes"),
            "probabilities": self.source_task.probable,
            "tokens": self.source_task.tokenwise,
            "writing": self.source_task.kind == "text" and self.source_task.reads == "states",
            "pseudo_labels": self.source_task.kind == "text" and self.source_task.reads in ("states", "maps"),
            "sure_targets": self.source_task.teaches,
            "still_views": self.source_task.reads in ("row", "maps") and self.source_task.matched,
            "images": any(d is not None and d.schema.modality == "image" for d in (self.source, self.labelled_target)),
            "sensitive": self.source is not None and bool(self.source.sensitive),
            "users": any(
                d is not None and d.schema.modality in INTERACTIONS for d in (self.source, self.labelled_target)
            ),
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
    echoes: ClassVar[bool] = False
    """Whether alone it only weighs source_only's answers anew: `auto` then neither averages it nor counts its vote."""
    same_labels: ClassVar[bool] = True
    """Whether source and target must ask for the same labels."""
    same_columns: ClassVar[bool] = False
    """Whether source and target must have the same columns."""
    ranges: ClassVar[Mapping[str, str]] = {}
    """The interval that each number among the settings must lie in, such as ``[0, inf)``."""
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Values of a setting that are worth trying, the default first; settings that matter more come first."""

    rowwise: ClassVar[bool] = False
    """Whether its loss is a sum over rows, as `each` says, with nothing that is computed from several rows."""
    batched: ClassVar[tuple[str, ...]] = ()
    """Numbers among the settings that may differ between runs which train in one batch (`acclimate.training.fleet`);
    none where that cannot be: several updates a step, or what is computed outside of torch."""

    def __post_init__(self) -> None:
        within(self, **self.ranges)

    @abstractmethod
    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """The stages in order; ``convex`` says that the head alone learns, on frozen features."""

    def searched(self, convex: bool) -> Mapping[str, tuple[Any, ...]]:
        """What of `search` makes a difference here; ``convex`` as in `stages`."""
        return self.search

    @property
    def numbers(self) -> dict[str, float]:
        """The values of its `batched` settings."""
        return {name: float(getattr(self, name)) for name in self.batched}

    def given(self, values: Mapping[str, Any]) -> Self:
        """A copy with other values for `batched` settings, which may be tensors; they are not checked."""
        made = copy(self)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    @property
    def harmony(self) -> Harmony | None:
        """What is done to frozen features before anything is trained on them; of most methods nothing."""
        return None

    def recipe(self) -> dict[str, Any]:
        """Name and settings, from which the registry makes the method again."""
        return {"name": self.name, **as_dict(self)}

    def __add__(self, other: Method) -> Method:
        """Both at once, where that has a meaning; see `acclimate.methods.compose`."""
        from acclimate.methods.compose import compose

        return compose([self, other])

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The method's own networks by player name; most have none."""
        return {}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The updates of one training step, in order: one of the model and all parts, unless overridden."""
        yield Update(self.objective(step, batches), ("model", *step.parts))

    def objective(self, step: Pass, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """Named scalar losses of one step, for methods of one update."""
        raise TypeError(f"method '{self.name}' defines neither objective nor updates")

    def misses(self, data: Data) -> str:
        """What keeps this method from working with these data, as a sentence without its stop; empty if nothing."""
        lacking = [need for need in self.needs if not data.has[need]]
        if {"classes", "probabilities"} & set(lacking):
            return f"method '{self.name}' needs classes, and task '{data.task.name}' has none"
        if "tokens" in lacking:
            return f"method '{self.name}' needs tokens, and answers of task '{data.task.name}' are not made of such"
        if "writing" in lacking:
            return f"method '{self.name}' changes what is written, and task '{data.task.name}' writes nothing here"
        if "pseudo_labels" in lacking:
            return f"method '{self.name}' learns from its own texts, masks or boxes; task '{data.task.name}' gives none"
        if "sure_targets" in lacking:
            return (
                f"method '{self.name}' learns classes, masks or boxes that it is sure of, and task "
                f"'{data.task.name}' gives none"
            )
        if "still_views" in lacking:
            return (
                f"method '{self.name}' needs parts that are found again in another view; texts lose words, and the "
                "likeliest regions of an image change"
            )
        if "sensitive" in lacking:
            return f"method '{self.name}' needs groups of people in the source; name their columns with --sensitive"
        if "images" in lacking:
            return f"method '{self.name}' changes images, and these rows are none"
        if lacking:
            hint = f"; --target-label {data.named} gives permission to train on target labels"
            return (
                f"method '{self.name}' needs {', '.join(n.replace('_', ' ') for n in lacking)}, which are not given"
                f"{hint if 'target_labels' in lacking else ''}"
            )
        if self.aligns and not data.task.aligns:
            return f"method '{self.name}' moves features, and task '{data.task.name}' has none that could be moved"
        if self.same_labels and data.source is not None and not data.same_task:
            return f"method '{self.name}' needs the same labels in source and target{data.unknown_class}"
        if self.same_columns and data.difference is not None:
            return f"method '{self.name}' needs the same columns in source and target"
        return ""

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """What keeps this method from working with this network, as a sentence without its stop; empty if nothing."""
        return ""

    @property
    def joins(self) -> bool:
        """Whether it can bring domains together that have no column in common."""
        return self.aligns or "target_labels" in self.needs


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

    def each(self, step: Pass, name: str, batch: Batch) -> Tensor:
        """The task's loss of each row ``[n]``."""
        loss = step.run(batch).loss
        assert loss is not None, "a supervised stream has targets"
        return loss

    def learn(self, name: str, train: Domain, validation: Domain | None, convex: bool, task: Task | None) -> Stage:
        """A convex stage where only the head learns, else a loop; ``task`` asks for a fresh head."""
        if convex:
            return Convex(name, train, validation, task)
        return Loop(name, {"source": train}, self, task, validation)


class Align(Method):
    """Base of the methods that add losses to supervised training on the source, in one update a step.

    A subclass has a setting ``strength`` and implements `terms`. At strength 0 it trains like source_only, bit for bit.
    """

    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs")
    aligns: ClassVar[bool] = True
    views: ClassVar[tuple[View, ...]] = ()
    """Further views that it wants of target batches."""

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """Other looks of rows, where it learns from these."""
        if self.views and backbone.spec.modality not in VIEWED:
            return (
                f"method '{self.name}' learns from other looks of a row, and {backbone.spec.modality} rows have none "
                "that is sure to mean the same; dann, mmd and others need none"
            )
        return super().lacks(backbone, frozen)

    @property
    def joins(self) -> bool:
        """Always, also in a form that does so only end to end."""
        return True

    @property
    def adds(self) -> bool:
        """Whether `terms` is all that it does, so that others can add theirs."""
        return True

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One loop over labelled source and unlabelled target."""
        assert data.source is not None and data.target is not None
        streams = {"source": data.source, "target": data.target}
        return [Loop(self.name, streams, self, validation=data.source_validation, views={"target": self.views})]

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The task's loss on the source, and the terms."""
        source, target = step.run(batches["source"]), step.run(batches["target"])
        assert source.loss is not None
        yield Update({"task": source.loss.mean(), **self.terms(step, source, target)}, ("model", *step.parts))

    @abstractmethod
    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """Named scalar losses beside the task's, already weighted."""


class Tail(Method):
    """Base of the methods that change a trained model, without source labels; alone, they follow source_only."""

    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs")
    changes: ClassVar[Literal["statistics", "weights", "class shares", "answers"]]
    """What of the model it changes; only one method may change each."""

    @property
    def joins(self) -> bool:
        """Never: a model of the source alone says the same of every row of such a target."""
        return False

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Training on the source, then what this method does."""
        from acclimate.methods.transfer.source_only import SourceOnly

        return [*SourceOnly().stages(data, convex), *self.tail(data)]

    @abstractmethod
    def tail(self, data: Data) -> Sequence[Stage]:
        """The stages that follow the training."""
