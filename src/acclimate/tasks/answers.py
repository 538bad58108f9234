"""What a model answers, and the direction of a metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
        vectors: ``[n, d]`` by which rows are compared with each other, or None where nobody asks that.
        likelihood: ``[n, 2]`` of the right texts, how unlikely they are in nats, and their tokens; None where nobody
            asks that.
    """

    prediction: np.ndarray
    confidence: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    vectors: np.ndarray | None = None
    likelihood: np.ndarray | None = None

    def of(self, rows: np.ndarray) -> Answers:
        """Those of some rows, an index or a mask."""
        confidence = None if self.confidence is None else self.confidence[rows]
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        vectors = None if self.vectors is None else self.vectors[rows]
        likelihood = None if self.likelihood is None else self.likelihood[rows]
        return Answers(self.prediction[rows], confidence, probabilities, self.classes, vectors, likelihood)


@dataclass(frozen=True)
class Pseudo:
    """Answers that are taken for labels.

    Attributes:
        rows: ``[k]`` which rows they are of, ascending.
        labels: ``[k]`` canonical.
        confidence: the mean of what is kept, 0 where nothing is.
    """

    rows: np.ndarray
    labels: np.ndarray
    confidence: float
