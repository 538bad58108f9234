"""What a task is: head, loss per example, answers, metrics, and the sites where an alignment may act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from torch import Tensor, nn

from acclimate.domains.domain import Domain
from acclimate.tasks.metrics import Weighted


@dataclass(frozen=True)
class Site:
    """What an alignment sees.

    Attributes:
        values: ``[n, d]`` features of n texts, regions, frames, ...
        owner: ``[n]`` the row of the batch that each belongs to.
        probs: ``[n, classes]`` what the head says of each, or None.
    """

    values: Tensor
    owner: Tensor
    probs: Tensor | None = None


@dataclass(frozen=True)
class Width:
    """How wide a site is.

    Attributes:
        values: columns of its values.
        probs: number of classes, 0 where it has no probabilities.
    """

    values: int
    probs: int = 0


@dataclass(frozen=True)
class Metric:
    """A metric's name and direction."""

    name: str
    higher_is_better: bool = True

    @property
    def best(self) -> float:
        """What answers without an error have: scores reach 1, errors 0."""
        return 1.0 if self.higher_is_better else 0.0


@dataclass(frozen=True)
class Answers:
    """Decoded outputs of n rows, as NumPy arrays.

    Attributes:
        prediction: ``[n]`` labels (object) or numbers.
        confidence: ``[n]`` in 0..1, or None where the task has none.
        probabilities: ``[n, classes]``, or None.
        classes: names of the probability columns.
    """

    prediction: np.ndarray
    confidence: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    def of(self, rows: np.ndarray) -> Answers:
        """Those of some rows, an index or a mask."""
        confidence = None if self.confidence is None else self.confidence[rows]
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Answers(self.prediction[rows], confidence, probabilities, self.classes)


Kind = Literal["class", "number", "text"]


class Task(Protocol):
    """One question. A task knows no method and no modality.

    Attributes:
        name: by which users ask for it.
        kind: what an answer is: one of some classes (with a probability each), a number, or a text.
        primary: the metric that decides.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    primary: ClassVar[Metric]

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The task that a labelled domain asks.

        Raises:
            DataError: no labels, or labels that do not fit.
        """
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The task that gave this `config`."""
        ...

    def head(self, size: int) -> nn.Module:
        """A fresh head on features ``[n, size]``."""
        ...

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """What the head says, by name."""
        ...

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """Where an alignment may act; the first is the main one."""
        ...

    def encode(self, labels: np.ndarray) -> Tensor:
        """Labels ``[n]`` to training targets; unknown labels raise DataError."""
        ...

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Loss per example ``[n]``."""
        ...

    def decode(
        self, outputs: Mapping[str, np.ndarray], temperature: float = 1.0, offsets: Sequence[float] = ()
    ) -> Answers:
        """Outputs to answers; logits are divided by the temperature, then the classes' offsets are added."""
        ...

    def metrics(self, answers: Answers, labels: np.ndarray) -> dict[str, float]:
        """All metrics of answers against canonical labels ``[n]``."""
        ...

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """`metrics` as a function of the rows' weights: a bootstrap replicate is a count per row."""
        ...

    def solve(self, features: Any, labels: np.ndarray, penalty: float, weight: np.ndarray | None = None) -> nn.Linear:
        """The convex head on features ``[n, d]`` (array or sparse): global optimum under an L2 penalty.

        ``weight`` ``[n]`` is each row's part in the mean loss.
        """
        ...

    def config(self) -> dict[str, Any]:
        """JSON that rebuilds the task."""
        ...
