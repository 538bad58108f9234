"""Whether adaptation widened the gaps between groups of people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from acclimate.seeds import generator
from acclimate.trust.fairness.groups import Judged, hot_rows

REPLICATES = 2000
CHANCE = 0.05
DRAWN = 2**22
"""Numbers that are drawn at a time."""

Change = Literal["widened", "narrowed", "no_evidence"]


@dataclass(frozen=True)
class Widening:
    """How adaptation changed a gap between groups.

    Attributes:
        value: gap of the adapted model minus gap of the other, on the same rows: above 0 it is wider.
        low: of the 95 % bootstrap interval.
        high: likewise.
        p_value: see `widened`.
        change: widened or narrowed where the p-value is small enough and the interval does not hold 0.
    """

    value: float
    low: float
    high: float
    p_value: float
    change: Change


def widened(
    adapted: Mapping[str, Judged],
    reference: Mapping[str, Judged],
    sensitive: Mapping[str, np.ndarray],
    units: np.ndarray | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> dict[str, dict[str, Widening]]:
    """Whether gaps between groups are wider for the adapted model, tested on the same rows.

    A gap is the largest difference between two groups. If the two models treated groups alike, which of their two
    answers to a row belongs to which model would not matter: a permutation test swaps them row by row at random
    (Good, Permutation Tests, 2000, chapter 3), two-sided. The interval is a percentile bootstrap of rows. Groups of
    fewer than 10 rows do not count. All columns and metrics are tested on the same swaps and draws.

    Args:
        adapted: metrics of the adapted model, see `judged`.
        reference: the same of the model that was not adapted.
        sensitive: see `columns`.
        units: ``[n]`` names; rows of one unit (patient, speaker) are swapped and drawn together.
        seed: of swaps and draws.
        replicates: how many of each.

    Returns:
        By column and metric, without those where fewer than two groups count.
    """
    hots = {
        (column, metric): hot
        for column, groups in sensitive.items()
        for metric, one in adapted.items()
        if (hot := hot_rows(groups, one)).shape[1] > 1
    }
    if not hots:
        return {column: {} for column in sensitive}
    rows, ours, theirs = _by_unit(hots, adapted, reference, units)
    starts = np.cumsum([0, *(hot.shape[1] for hot in hots.values())])[:-1]

    def change(ours: np.ndarray, theirs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return _gaps(ours, rows, starts) - _gaps(theirs, rows, starts)

    rng = generator(seed, "widened")
    whole = ours.sum(axis=0), theirs.sum(axis=0), rows.sum(axis=0)
    differs = (ours != theirs).any(axis=1)
    apart, swapped, drawn = (ours - theirs)[differs], [], []
    for size in _blocks(replicates, len(rows)):
        moved = rng.integers(2, size=(size, len(apart))) @ apart
        swapped.append(change(whole[0] - moved, whole[1] + moved, whole[2]))
        times = np.stack(
            [np.bincount(each, minlength=len(rows)) for each in rng.integers(len(rows), size=(size, len(rows)))]
        )
        drawn.append(change(times @ ours, times @ theirs, times @ rows))
    value, swaps, draws = change(*whole), np.concatenate(swapped), np.concatenate(drawn)
    found: dict[str, dict[str, Widening]] = {column: {} for column in sensitive}
    for k, (column, metric) in enumerate(hots):
        found[column][metric] = _tested(float(value[k]), swaps[:, k], draws[:, k], CHANCE / len(adapted))
    return found


def _by_unit(
    hots: Mapping[tuple[str, str], np.ndarray],
    adapted: Mapping[str, Judged],
    reference: Mapping[str, Judged],
    units: np.ndarray | None,
) -> list[np.ndarray]:
    """Rows that count, and sums of the values of both models, by unit and by group of each column and metric."""
    parts = [
        np.hstack(list(hots.values())),
        *(
            np.hstack([side[metric].values[:, None] * hot for (_, metric), hot in hots.items()])
            for side in (adapted, reference)
        ),
    ]
    if units is None:
        return parts
    owner = np.unique(np.asarray(units).astype(str), return_inverse=True)[1]
    member = sparse.csr_matrix((np.ones(len(owner)), (owner, np.arange(len(owner)))))
    return [member @ part for part in parts]


def _blocks(replicates: int, units: int) -> list[int]:
    """Sizes of blocks of replicates, so that what is drawn stays small."""
    size = max(1, DRAWN // units)
    return [min(size, replicates - start) for start in range(0, replicates, size)]


def _tested(value: float, swaps: np.ndarray, draws: np.ndarray, level: float) -> Widening:
    chance = (1 + int((np.abs(swaps) >= abs(value) - 1e-12).sum())) / (len(swaps) + 1)
    low, high = np.nanquantile(draws, [0.025, 0.975])
    sure = chance < level and not low <= 0 <= high
    change: Change = "no_evidence" if not sure else "widened" if value > 0 else "narrowed"
    return Widening(value, float(low), float(high), chance, change)


def _gaps(total: np.ndarray, rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Of means by group, the last axis, the gap within each stretch of groups; those without rows do not count."""
    mean = total / np.where(rows > 0, rows, np.nan)
    return np.fmax.reduceat(mean, starts, axis=-1) - np.fmin.reduceat(mean, starts, axis=-1)
