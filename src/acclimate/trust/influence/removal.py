"""Whether rows that were said to help or to hurt do so: they are removed, and so are as many others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from acclimate.errors import SettingsError
from acclimate.seeds import generator

DRAWS = 3
"""Random sets of rows that are removed for comparison."""
Interval = Callable[[np.ndarray], tuple[float, float] | None]
"""Values ``[m]`` of the judged rows to the interval of their mean; None where they are too few."""
Answer = Literal["yes", "no_evidence"]


@dataclass(frozen=True)
class Removed:
    """What removing some rows did to the target.

    Attributes:
        rows: places of the rows that were removed.
        predicted: the change of the mean loss that was expected; None where scores only order rows.
        losses: ``[m]`` of each judged row, by the model that was trained without them.
        metric: the task's primary metric there.
    """

    rows: np.ndarray
    predicted: float | None
    losses: np.ndarray
    metric: float

    def change(self, before: np.ndarray) -> float:
        """Of the mean loss, from the losses ``[m]`` of the model that was trained on all rows."""
        return float(self.losses.mean() - before.mean())


def chosen(scores: np.ndarray, share: float, seed: int, draws: int = DRAWS) -> dict[str, list[np.ndarray]]:
    """The rows to remove: of lowest score ("harmful"), of highest ("helpful"), and "random" ones, as many each time.

    Args:
        scores: ``[n]``, positive: the row helps.
        share: of all rows, above 0 and at most 0.5.
        seed: of the random rows.
        draws: how many sets of these.

    Raises:
        SettingsError: a share out of range, or of less than one row.
    """
    if not 0 < share <= 0.5:
        raise SettingsError(f"--remove is {share:g}; expected a share of the source from above 0 to 0.5, or 0 for none")
    count = round(share * len(scores))
    if count < 1:
        raise SettingsError(
            f"--remove {share:g} of {len(scores)} rows is less than one row; give at least {1 / len(scores):.2g}"
        )
    order = np.argsort(scores, kind="stable")
    drawn = [np.sort(generator(seed, "removal", k).permutation(len(scores))[:count]) for k in range(draws)]
    return {"harmful": [np.sort(order[:count])], "helpful": [np.sort(order[-count:])], "random": drawn}


def answer(removed: Removed, others: list[Removed], before: np.ndarray, interval: Interval, helps: bool) -> Answer:
    """Whether removing these rows helps (``helps``) or hurts as it was said.

    Yes, if the mean loss changes in that direction, further than after every removal of random rows, and the difference
    to their mean is of that sign with 95 % confidence over the judged rows. So it must stand out from what training
    again does by chance and from which rows happen to be judged.

    Args:
        removed: those that were said to hurt, or to help.
        others: random rows, as many each time.
        before: losses ``[m]`` by the model of all rows.
        interval: see there.
        helps: whether the loss should fall.
    """
    sign = 1.0 if helps else -1.0
    own = sign * removed.change(before)
    bounds = interval(sign * (removed.losses - np.mean([other.losses for other in others], axis=0)))
    beyond = all(own < sign * other.change(before) for other in others)
    return "yes" if own < 0 and beyond and bounds is not None and bounds[1] < 0 else "no_evidence"
