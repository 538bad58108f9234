"""Percentile bootstrap: intervals of metrics, and paired differences on the same resampled rows.

Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Rows that belong together
(one patient, one speaker) are drawn together. A replicate is a weight per row, the number of times
that its row (or group) was drawn; every arm and metric is evaluated on the same replicates.

Rows that are all right, or all wrong, show no spread however they are drawn, and yet say little if they are few: there
a share has the exact interval of Clopper & Pearson, Biometrika 1934.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, log2
from typing import TYPE_CHECKING, Literal

import numpy as np

from acclimate.seeds import generator
from acclimate.tasks.metrics import counted, each

if TYPE_CHECKING:
    from acclimate.tasks.answers import Answers
    from acclimate.tasks.base import Task

AT_ONCE = 2**17
"""Weights that are looked at together: a megabyte."""

Interval = tuple[float, float]
Verdict = Literal["helped", "no_evidence", "hurt"]


@dataclass(frozen=True)
class Difference:
    """One arm's metric minus another's on the same rows.

    Attributes:
        value: the difference; ``low`` and ``high`` bound it, None where there are too few rows or groups.
        note: why there is no interval, or why to be careful with it; empty otherwise.
    """

    value: float
    low: float | None
    high: float | None
    note: str = ""


@dataclass(frozen=True)
class ArmScores:
    """All metrics of one arm on labelled rows.

    Attributes:
        metrics: by name.
        intervals: by metric, None where there are too few rows or groups.
        differences: by metric, this arm minus the baseline; empty for the baseline itself.
    """

    metrics: dict[str, float]
    intervals: dict[str, Interval | None]
    differences: dict[str, Difference] = field(default_factory=dict)


def interval(
    metric_fn: Callable[[np.ndarray], float],
    n_rows: int,
    groups: np.ndarray | None = None,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval | None:
    """The percentile interval of one metric.

    Args:
        metric_fn: weights ``[n_rows]`` to the metric.
        n_rows: number of rows.
        groups: ``[n_rows]`` names; rows of one group are drawn together.
        replicates: number of resamples.
        seed: draws depend on it, on the number of rows and on the groups alone.
        level: coverage.

    Returns:
        Lower and upper bound, or None if there are fewer than `fewest_units` rows or groups.
    """
    units, owner = _units(n_rows, groups)
    if units < fewest_units(level):
        return None
    values = [metric_fn(weight) for weights in _weights(units, owner, replicates, seed) for weight in weights]
    return _percentiles(np.array(values), level)


def evaluate(
    task: Task,
    arms: Mapping[str, Answers],
    labels: np.ndarray,
    groups: np.ndarray | None = None,
    baseline: str | None = None,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, ArmScores]:
    """All metrics of several arms on the same rows, with intervals and differences to a baseline arm.

    Args:
        task: names the metrics.
        arms: answers of each arm, rows in the order of the labels.
        labels: ``[n]`` canonical labels.
        groups: ``[n]`` names; rows of one group are drawn together.
        baseline: the arm that the others are compared with, None for no comparison.
        replicates: number of resamples, the same ones for all arms.
        seed: as for `interval`.
        level: coverage of the intervals.
    """
    functions = {name: task.weighted_metrics(answers, labels) for name, answers in arms.items()}
    ones = np.ones(len(labels))
    values = {name: function(ones) for name, function in functions.items()}
    units, owner = _units(len(labels), groups)
    note = _note(units, groups is not None, level)
    draws: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in arms}
    if units >= fewest_units(level):
        for weights in _weights(units, owner, replicates, seed):
            for name, function in functions.items():
                draws[name].append(each(function, weights))

    def drawn(name: str, metric: str) -> np.ndarray:
        return np.concatenate([np.empty(0), *(draw[metric] for draw in draws[name])])

    def spread(name: str, metric: str) -> Interval | None:
        found = _percentiles(drawn(name, metric), level)
        return found if found is None or task.kind == "number" else _of_share(found, units, level)

    def difference(name: str, other: str, metric: str) -> Difference:
        bounds = _percentiles(drawn(name, metric) - drawn(other, metric), level)
        low, high = bounds or (None, None)
        return Difference(values[name][metric] - values[other][metric], low, high, note)

    return {
        name: ArmScores(
            metrics=metrics,
            intervals={metric: spread(name, metric) for metric in metrics},
            differences={}
            if baseline in (None, name)
            else {metric: difference(name, str(baseline), metric) for metric in metrics},
        )
        for name, metrics in values.items()
    }


def verdict(difference: Difference, higher_is_better: bool = True) -> Verdict:
    """Helped or hurt if the interval excludes 0, otherwise no evidence."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "no_evidence"
    return "helped" if (difference.low > 0) == higher_is_better else "hurt"


def fewest_units(level: float = 0.95) -> int:
    """The fewest rows (or groups) that can exclude 0 at this level: 6 for 95 %.

    If all of k units went the same way, a two-sided sign test still gives only p = 2 / 2**k.
    """
    return ceil(log2(2 / (1 - level)))


def _units(n_rows: int, groups: np.ndarray | None) -> tuple[int, np.ndarray | None]:
    """How many things are drawn, and which of them each row belongs to (None: the row itself)."""
    if groups is None:
        return n_rows, None
    names, owner = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    return len(names), owner


def _weights(units: int, owner: np.ndarray | None, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row was drawn in each replicate, float ``[r, n]``: as many at once as fit into `AT_ONCE`."""
    rng = generator(seed, "bootstrap")
    step = max(1, AT_ONCE // (units if owner is None else len(owner)))
    for k in range(0, replicates, step):
        drawn = rng.integers(units, size=(min(step, replicates - k), units))
        counts = counted(drawn, None, units).astype(float)
        yield counts if owner is None else counts[:, owner]


def _percentiles(values: np.ndarray, level: float) -> Interval | None:
    """The middle ``level`` of the replicates in which the metric is defined."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _of_share(found: Interval, units: int, level: float) -> Interval:
    """The interval of a share: exact where it is 1 or 0 in every replicate.

    Exact for accuracy; of other metrics that are 1 or 0 it says how many rows (or groups) may yet be otherwise.
    """
    often = ((1 - level) / 2) ** (1 / units)
    return {(1.0, 1.0): (often, 1.0), (0.0, 0.0): (0.0, 1 - often)}.get(found, found)


def _note(units: int, grouped: bool, level: float) -> str:
    kind = "group" if grouped else "row"
    kinds = kind if units == 1 else f"{kind}s"
    if units < fewest_units(level):
        return f"no interval from {units} {kinds}: a {level:.0%} interval needs at least {fewest_units(level)}"
    if grouped and units < 20:
        return f"only {units} groups: the interval is likely too narrow"
    return ""
