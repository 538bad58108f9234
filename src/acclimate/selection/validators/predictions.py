"""What the validators see of an arm: predictions and features, and labels of the source alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from acclimate.errors import DataError

Predict = Callable[[np.ndarray], np.ndarray]
"""Features ``[n, d]`` to probabilities ``[n, classes]``."""
Fit = Callable[[np.ndarray], np.ndarray]
"""Pseudo-labels of the target's rows ``[n]`` to probabilities of the source's validation rows, see `circular`."""


@dataclass(frozen=True, eq=False)
class ArmPredictions:
    """One trained arm, as far as it shows without target labels; n target rows, m source validation rows.

    Calibrate the probabilities first (`calibrate.temperature`): uncalibrated ones order arms almost at
    chance. What is None is not known, and the validators that need it leave the arm out.

    Attributes:
        target_probabilities: ``[n, classes]``.
        source_probabilities: ``[m, classes]``.
        source_labels: ``[m]`` class indices.
        target_features: ``[n, d]``, what the arm's head sees, dense.
        source_features: ``[m, d]`` likewise.
        head: ``[classes, d]`` weights of a linear head.
        predict: the head as a function.
        fit: the whole method trained backwards.
        weights: ``[m]`` of `importance_weights`; None: worked out from the features.
    """

    target_probabilities: np.ndarray
    source_probabilities: np.ndarray | None = None
    source_labels: np.ndarray | None = None
    target_features: np.ndarray | None = None
    source_features: np.ndarray | None = None
    head: np.ndarray | None = None
    predict: Predict | None = None
    fit: Fit | None = None
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        rows, classes = _probabilities("target_probabilities", self.target_probabilities)
        _matrix("target_features", self.target_features, rows)
        _matrix("head", self.head, classes)
        if self.source_probabilities is not None:
            found = _probabilities("source_probabilities", self.source_probabilities)
            if found[1] != classes:
                raise DataError(f"source_probabilities have {found[1]} classes, target_probabilities {classes}")
        known = [side for side in (self.source_probabilities, self.source_labels) if side is not None]
        if known:
            _matrix("source_features", self.source_features, len(known[0]))
        if self.source_labels is not None:
            labels = self.source_labels
            if len({len(side) for side in known}) > 1:
                raise DataError(f"there are {len(labels)} source_labels for {len(known[0])} source_probabilities")
            if labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0 or labels.max() >= classes:
                raise DataError(f"source_labels must be class indices 0 to {classes - 1}")

    @property
    def source_right(self) -> np.ndarray:
        """Whether the arm is right on each source validation row, ``[m]`` bool."""
        assert self.source_probabilities is not None and self.source_labels is not None
        return self.source_probabilities.argmax(axis=1) == self.source_labels


def _probabilities(name: str, values: np.ndarray) -> tuple[int, int]:
    if values.ndim != 2 or not len(values) or values.shape[1] < 2:
        raise DataError(f"{name} must be [rows, classes] with at least 1 row and 2 classes, not {values.shape}")
    # float32 softmax, and averages of it, miss 1 by less than this
    if not np.isfinite(values).all() or values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > 1e-3:
        raise DataError(f"{name} must be finite, not negative, and add up to 1 in each row")
    return len(values), values.shape[1]


def _matrix(name: str, values: np.ndarray | None, rows: int) -> None:
    if values is None:
        return
    if values.ndim != 2 or len(values) != rows or not np.isfinite(values).all():
        raise DataError(f"{name} must be finite numbers [{rows}, d], not {values.shape}")
