"""Whom the other arms side with where the adapted model and the source model differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Votes:
    """What the other arms answer on the target's rows where two arms differ.

    Attributes:
        rows: on which the two differ.
        adapted: share of the other arms' answers there that are the adapted model's, 0 to 1.
        source_only: share of them that are the source model's.
        voters: how many other arms were asked.
    """

    rows: int
    adapted: float
    source_only: float
    voters: int

    @property
    def margin(self) -> float:
        """By how much more the others side with the adapted model, -1 to 1; 0 where the two never differ."""
        return self.adapted - self.source_only


def votes(adapted: np.ndarray, source_only: np.ndarray, others: Sequence[np.ndarray]) -> Votes:
    """The votes of other arms between two.

    Rows on which the two agree say nothing about which is better, so only the others count: if most arms, which err
    in their own ways, say there what the adapted model says, it is more often right there. It is wrong where most
    arms err alike, above all when class shares have shifted.

    Args:
        adapted: probabilities ``[n, classes]`` on target rows.
        source_only: the same of the source model.
        others: the same of at least one other arm.
    """
    new, old = adapted.argmax(axis=1), source_only.argmax(axis=1)
    differ = new != old
    rows = int(differ.sum())
    if not rows:
        return Votes(0, 0.0, 0.0, len(others))
    said = np.stack([other.argmax(axis=1)[differ] for other in others])
    return Votes(rows, float((said == new[differ]).mean()), float((said == old[differ]).mean()), len(others))
