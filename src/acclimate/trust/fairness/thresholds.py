"""A threshold for each group, so that those who deserve the positive answer get it equally often."""

from __future__ import annotations

import numpy as np

STEPS = 101


def equal_opportunity(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """The thresholds by group that give all groups one true positive rate, the one with the best accuracy.

    Hardt, Price & Srebro, Equality of Opportunity in Supervised Learning, NeurIPS 2016, section 4.2, without its
    randomisation between two thresholds, so that rates are equal up to one row of each group. Fit it on held-out rows.

    Helps where scores of one group are lower than those of another for the same merit. It needs the group of every new
    row, which may be forbidden to use; it costs accuracy where a group's scores tell less. Held-out rows of the source
    say nothing of the target's rates: fairness does not transfer by itself.

    Args:
        scores: ``[n]``, higher where the positive answer is likelier.
        positive: ``[n]`` bool, the truth.
        groups: ``[n]`` names, each with a positive row.

    Returns:
        Group to threshold: rows with a score of at least this get the positive answer.
    """
    names = np.unique(groups.astype(str))
    owner = groups.astype(str)

    def at(rate: float) -> dict[str, float]:
        found = {}
        for name in names:
            own = np.sort(scores[(owner == name) & positive])[::-1]
            count = round(rate * len(own))
            found[str(name)] = float(own[count - 1]) if count else float("inf")
        return found

    def accuracy(rate: float) -> float:
        return float((given(scores, groups, at(rate)) == positive).mean())

    return at(max(np.linspace(0, 1, STEPS), key=accuracy))


def given(scores: np.ndarray, groups: np.ndarray, thresholds: dict[str, float]) -> np.ndarray:
    """Which rows ``[n]`` bool get the positive answer."""
    return scores >= np.array([thresholds[str(name)] for name in groups])
