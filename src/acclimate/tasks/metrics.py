"""Metrics of answers against labels, with a weight per row.

Each kind comes in two forms: ``classification`` and ``regression`` give the metrics at once;
``weighted_classification`` and ``weighted_regression`` look at the rows once and give a function of
the weights, which is what a bootstrap with a thousand replicates needs (a replicate is a count per row).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from acclimate.errors import DataError

Weighted = Callable[[np.ndarray | None], dict[str, float]]
"""Weights ``[n]`` (None for ones) to metrics by name."""

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
) -> Weighted:
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

    def metrics(weight: np.ndarray | None) -> dict[str, float]:
        weight = np.ones(len(label)) if weight is None else np.asarray(weight, dtype=float)
        total = weight.sum()
        hits = np.bincount(label, weight * hit, size)
        true = np.bincount(label, weight, size)
        claimed = np.bincount(predicted, weight, size)
        here = true > 0
        found = {
            "accuracy": hits.sum() / total,
            "balanced_accuracy": np.mean(hits[here] / true[here]),
            "macro_f1": np.mean(2 * hits[here] / (true[here] + claimed[here])),
        }
        if probabilities is not None:
            found["log_loss"] = weight @ loss / total
            found["ece"] = np.abs(np.bincount(bins, weight * excess, BINS)).sum() / total
        if areas is not None:
            found |= areas(weight)
        return {name: float(value) for name, value in found.items()}

    return metrics


def weighted_areas(scores: np.ndarray, positive: np.ndarray) -> Weighted:
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

    def metrics(weight: np.ndarray | None) -> dict[str, float]:
        mass = np.ones(len(sign)) if weight is None else np.asarray(weight, dtype=float)[order]
        hits, misses = np.cumsum(mass * sign)[ends], np.cumsum(mass * (1 - sign))[ends]
        if hits[-1] <= 0 or misses[-1] <= 0:
            return {"roc_auc": 0.5, "pr_auc": float(hits[-1] / mass.sum())}
        gained, lost = np.diff(hits, prepend=0.0), np.diff(misses, prepend=0.0)
        area = lost @ (hits - gained / 2) / (hits[-1] * misses[-1])
        precision = hits / np.maximum(hits + misses, 1e-300)
        return {"roc_auc": float(area), "pr_auc": float(gained @ precision / hits[-1])}

    return metrics


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


def weighted_regression(prediction: np.ndarray, labels: np.ndarray) -> Weighted:
    """`regression` as a function of the weights."""
    _require_rows(labels)
    label = np.asarray(labels).astype(float)
    error = np.asarray(prediction, dtype=float) - label
    # Squares of large, nearly equal labels would cancel; a middle label (not a mean) keeps equal ones exactly 0.
    label = label - np.sort(label)[len(label) // 2]

    def metrics(weight: np.ndarray | None) -> dict[str, float]:
        weight = np.ones(len(label)) if weight is None else np.asarray(weight, dtype=float)
        total = weight.sum()
        squared, power = weight @ error**2, weight @ label**2
        spread = power - (weight @ label) ** 2 / total
        r2 = 1 - squared / spread if spread > 1e-13 * power else float(squared == 0)
        mae = weight @ np.abs(error) / total
        return {"mae": float(mae), "rmse": float(np.sqrt(squared / total)), "r2": float(r2)}

    return metrics


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
