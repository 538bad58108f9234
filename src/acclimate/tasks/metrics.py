"""Metrics of answers against labels, with a weight per row.

Each kind comes in two forms: ``classification`` and ``regression`` give the metrics at once;
``weighted_classification`` and ``weighted_regression`` look at the rows once and give a function of
the weights, which is what a bootstrap with a thousand replicates needs (a replicate is a count per row),
and which takes many of them at once (`Batched`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acclimate.errors import DataError

Weighted = Callable[[np.ndarray | None], dict[str, float]]
"""Weights ``[n]`` (None for ones) to metrics by name."""


@dataclass(frozen=True)
class Batched:
    """`Weighted` of many weightings at once.

    Attributes:
        rows: how many rows are weighed.
        many: weights ``[r, rows]`` to ``[r]`` values of each metric.
    """

    rows: int
    many: Callable[[np.ndarray], dict[str, np.ndarray]]

    def __call__(self, weight: np.ndarray | None) -> dict[str, float]:
        one = np.ones(self.rows) if weight is None else np.asarray(weight, dtype=float)
        return {name: float(values[0]) for name, values in self.many(one[None]).items()}


def each(function: Weighted, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics ``[r]`` of weights ``[r, n]``, one or more: at once where the function can."""
    if isinstance(function, Batched):
        return function.many(weights)
    found = [function(weight) for weight in weights]
    return {name: np.array([values[name] for values in found]) for name in found[0]}


def counted(codes: np.ndarray, weights: np.ndarray | None, size: int) -> np.ndarray:
    """`numpy.bincount` of each row, ``[r, size]``: sums of weights ``[r, n]``, or counts of codes ``[r, n]``."""
    n = len(codes) if weights is None else len(weights)
    flat = (codes + size * np.arange(n)[:, None]).ravel()
    return np.bincount(flat, None if weights is None else weights.ravel(), n * size).reshape(n, size)


CLIP = 1e-15
BINS = 15


def classification(
    prediction: np.ndarray,
    probabilities: np.ndarray | None,
    labels: np.ndarray,
    classes: Sequence[str],
    weight: np.ndarray | None = None,
) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro F1, log loss and expected calibration error; of two classes, both among the
    labels, also the areas under the ROC and the precision-recall curve of the second one.

    A label that is not among the classes counts as an error everywhere; its log loss is that of
    probability 1e-15. Balanced accuracy and macro F1 are means over the classes present in the labels.

    Args:
        prediction: ``[n]`` predicted labels.
        probabilities: ``[n, classes]``; without them there is no ``log_loss`` (in nats) and no ``ece``.
        labels: ``[n]`` true labels.
        classes: names of the probability columns.
        weight: ``[n]`` weights of the rows, None for ones.

    Raises:
        DataError: no rows.
    """
    return weighted_classification(prediction, probabilities, labels, classes)(weight)


def weighted_classification(
    prediction: np.ndarray, probabilities: np.ndarray | None, labels: np.ndarray, classes: Sequence[str]
) -> Batched:
    """`classification` as a function of the weights.

    The calibration error has 15 bins of equal width over the largest probability: Guo et al.,
    On Calibration of Modern Neural Networks, ICML 2017, eq. 3.
    """
    _require_rows(labels)
    present = {name: code for code, name in enumerate(dict.fromkeys(np.asarray(labels).tolist()))}
    size = len(present) + 1  # the last code is for predictions that are no label here
    label = _codes(labels, present)
    predicted = _codes(prediction, present)
    hit = (label == predicted).astype(float)
    if probabilities is not None:
        loss = _losses(probabilities, labels, classes)
        confidence = probabilities.max(axis=1)
        bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
        excess = hit - confidence
    areas = None
    if probabilities is not None and len(classes) == 2 and set(present) == set(classes):
        areas = weighted_areas(probabilities[:, 1], np.asarray(labels) == classes[1])

    def metrics(weights: np.ndarray) -> dict[str, np.ndarray]:
        total = weights.sum(axis=1)
        hits = counted(label, weights * hit, size)
        true = counted(label, weights, size)
        both = true + counted(predicted, weights, size)
        here = true > 0
        found = {
            "accuracy": hits.sum(axis=1) / total,
            "balanced_accuracy": (hits / np.where(here, true, 1)).sum(axis=1) / here.sum(axis=1),
            "macro_f1": (2 * hits / np.where(here, both, 1)).sum(axis=1) / here.sum(axis=1),
        }
        if probabilities is not None:
            found["log_loss"] = weights @ loss / total
            found["ece"] = np.abs(counted(bins, weights * excess, BINS)).sum(axis=1) / total
        return found if areas is None else found | areas.many(weights)

    return Batched(len(label), metrics)


def weighted_areas(scores: np.ndarray, positive: np.ndarray) -> Batched:
    """``roc_auc`` and ``pr_auc`` of scores as a function of the weights.

    The first is the chance that a positive row scores higher than a negative one, ties half; the second the average
    precision, the sum of precisions weighted by the steps in recall. Where the weights leave one side only, they are
    what a guess has: 0.5, and the share of positive rows.

    Args:
        scores: ``[n]``, higher where a row is more likely positive.
        positive: ``[n]`` bool.
    """
    order = np.argsort(-scores, kind="stable")
    sign, ranked = positive[order].astype(float), scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # last row of each run of equal scores

    def metrics(weights: np.ndarray) -> dict[str, np.ndarray]:
        mass = weights[:, order]
        hits, misses = (np.cumsum(mass * side, axis=1)[:, ends] for side in (sign, 1 - sign))
        positives, negatives = hits[:, -1], misses[:, -1]
        gained, lost = (np.diff(side, prepend=0.0, axis=1) for side in (hits, misses))
        area = (lost * (hits - gained / 2)).sum(axis=1)
        precision = (gained * hits / np.maximum(hits + misses, 1e-300)).sum(axis=1)
        two = (positives > 0) & (negatives > 0)
        return {
            "roc_auc": np.where(two, area / np.where(two, positives * negatives, 1), 0.5),
            "pr_auc": np.where(two, precision / np.where(two, positives, 1), positives / mass.sum(axis=1)),
        }

    return Batched(len(sign), metrics)


def regression(prediction: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
    """Mean absolute error, root mean squared error, and R2.

    Where all labels are equal, R2 is 1 if the predictions are exact and 0 otherwise.

    Args:
        prediction: ``[n]`` numbers, in the unit of the labels.
        labels: ``[n]`` numbers, or their canonical strings.
        weight: ``[n]`` weights of the rows, None for ones.

    Raises:
        DataError: no rows.
    """
    return weighted_regression(prediction, labels)(weight)


def weighted_regression(prediction: np.ndarray, labels: np.ndarray) -> Batched:
    """`regression` as a function of the weights."""
    _require_rows(labels)
    label = np.asarray(labels).astype(float)
    error = np.asarray(prediction, dtype=float) - label
    # Squares of large, nearly equal labels would cancel; a middle label (not a mean) keeps equal ones exactly 0.
    label = label - np.sort(label)[len(label) // 2]

    def metrics(weights: np.ndarray) -> dict[str, np.ndarray]:
        total = weights.sum(axis=1)
        squared, power = weights @ error**2, weights @ label**2
        spread = power - (weights @ label) ** 2 / total
        differ = spread > 1e-13 * power
        r2 = np.where(differ, 1 - squared / np.where(differ, spread, 1), squared == 0)
        return {"mae": weights @ np.abs(error) / total, "rmse": np.sqrt(squared / total), "r2": r2}

    return Batched(len(label), metrics)


def _require_rows(labels: np.ndarray) -> None:
    if len(labels) == 0:
        raise DataError("no rows to evaluate: metrics need at least one labelled row")


def _codes(names: np.ndarray, known: Mapping[str, int]) -> np.ndarray:
    """The code of each name, ``len(known)`` for names that are not known."""
    return np.array([known.get(name, len(known)) for name in np.asarray(names).tolist()], dtype=np.intp)


def _losses(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Minus the log of the probability of each row's label ``[n]``, in nats."""
    column = _codes(labels, {name: code for code, name in enumerate(classes)})
    padded = np.column_stack([probabilities, np.zeros(len(probabilities))])
    return -np.log(np.maximum(padded[np.arange(len(column)), column].astype(float), CLIP))
