"""What a method is: what it needs, its stages, and the updates of a training step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, ClassVar, Literal, Self

import numpy as np
from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.domains.augment import VIEWED, View
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.methods.data import Data, Need
from acclimate.settings import as_dict, within
from acclimate.tasks.base import Task
from acclimate.tasks.sites import Width
from acclimate.training.model import Step
from acclimate.training.stage import Convex, Loop, Pass, Stage, Update

Harmony = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Features ``[n, d]`` and each row's site ``[n]``, the target's last, to shift and scale ``[sites, d]``."""


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

    @property
    def merges(self) -> bool:
        """Whether it makes features of source and target look alike: that they do is then no evidence of anything."""
        return (self.aligns and "target_inputs" in self.needs) or self.harmony is not None


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

    @property
    def merges(self) -> bool:
        return super().merges or self.changes == "statistics"

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Training on the source, then what this method does."""
        from acclimate.methods.transfer.source_only import SourceOnly

        return [*SourceOnly().stages(data, convex), *self.tail(data)]

    @abstractmethod
    def tail(self, data: Data) -> Sequence[Stage]:
        """The stages that follow the training."""
