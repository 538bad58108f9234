"""What training is handed, and what a method may need of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from acclimate.domains.domain import INTERACTIONS, Domain
from acclimate.domains.schema import Difference, difference
from acclimate.tasks.base import Task

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
