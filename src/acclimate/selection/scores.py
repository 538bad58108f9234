"""Scores of an arm on the target that need no target labels.

Calibrate the probabilities first (`calibrate.temperature`): uncalibrated ones order arms almost at chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acclimate.selection.validators.accuracy import atc
from acclimate.selection.validators.certainty import infomax, row_entropy
from acclimate.selection.validators.consensus import ensv as agreement

__all__ = ["agreement", "atc", "collapse", "collapse_of_numbers", "entropy", "infomax", "vanished"]

RARE = 0.05
"""Classes with a smaller share of the source may vanish from the answers without being missed."""
FEWEST = 5
"""How often a class must be expected among the target rows before its absence means something."""


def entropy(probabilities: np.ndarray) -> float:
    """Mean entropy of the rows of ``[n, classes]``, in nats; lower is more certain."""
    return float(row_entropy(probabilities).mean())


def collapse(probabilities: np.ndarray, shares: np.ndarray, whose: str = "those of the source") -> tuple[str, ...]:
    """A sentence if the answers have collapsed onto few classes, otherwise empty.

    They have if the shares of the answers have less than half of the entropy of the source's shares. A
    target whose own shares are that uneven looks the same.

    Args:
        probabilities: ``[n, classes]`` on target rows.
        shares: ``[classes]`` of the source's labels; or of the target's, where they were stated.
        whose: what the sentence calls them.
    """
    answers, source = abs(float(row_entropy(_answered(probabilities)))), float(row_entropy(shares))
    if answers >= source / 2:
        return ()
    return (f"the shares of its answers have an entropy of {answers:.2f} nats, {whose} {source:.2f}",)


def vanished(probabilities: np.ndarray, shares: np.ndarray, classes: Sequence[str]) -> dict[str, str]:
    """A sentence for each class that has vanished from the answers.

    That is a class with at least 5 % of the source that is the answer for less than a tenth of that share,
    where at least 5 rows of it are expected. If the source model answers with it, an arm has lost it; if
    no arm does, the target may lack it.

    Args:
        probabilities: ``[n, classes]`` on target rows.
        shares: ``[classes]`` of the source's labels.
        classes: names of the columns.
    """
    answered = _answered(probabilities)
    expected = (shares >= RARE) & (shares * len(probabilities) >= FEWEST)
    return {
        name: f"class '{name}' has {source:.1%} of the source and {here:.1%} of the answers"
        for name, source, here, due in zip(classes, shares, answered, expected, strict=True)
        if due and here < source / 10
    }


def collapse_of_numbers(prediction: np.ndarray, labels: np.ndarray) -> tuple[str, ...]:
    """`collapse` for regression: answers that hardly vary, or that leave the range of the source's labels.

    Two signs: a standard deviation below a tenth of that of the source's labels, or more than a tenth of
    the answers further outside their range than the range is wide.

    Args:
        prediction: ``[n]`` on target rows; ``[n, numbers]`` where a row has several, each of which is looked at.
        labels: of the source, in the same form.
    """
    if prediction.ndim == 2:
        each = zip(prediction.T, labels.T, strict=True)
        found = [(k, reason) for k, pair in enumerate(each) for reason in collapse_of_numbers(*pair)]
        return tuple(f"number {k + 1}: {reason}" for k, reason in found)
    spread, source = float(prediction.std()), float(labels.std())
    low, high = float(labels.min()), float(labels.max())
    outside = float(((prediction < 2 * low - high) | (prediction > 2 * high - low)).mean())
    reasons = []
    if spread < source / 10:
        reasons.append(f"the answers have a standard deviation of {spread:.3g}, the source's labels {source:.3g}")
    if outside > 0.1:
        reasons.append(f"{outside:.0%} of the answers are far outside the source's range {low:.3g} to {high:.3g}")
    return tuple(reasons)


def _answered(probabilities: np.ndarray) -> np.ndarray:
    """The share of rows whose likeliest class is each one."""
    return np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1]) / len(probabilities)
