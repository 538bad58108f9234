"""How a model treats groups of people: metrics by group, and gaps between groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from acclimate.errors import DataError, MissingAssetError
from acclimate.trust.shares import clopper_pearson

FEWEST = 10
"""Rows below which a group is suppressed: its figures say little, and may tell of single people."""
MOST = 20
"""Groups of one column at most."""
LACKING = "groups of people are told apart with Fairlearn; install it: pip install 'acclimate[fairness]'"


@dataclass(frozen=True)
class Judged:
    """What of each row counts in a metric: a value, and whether the row counts at all.

    Attributes:
        values: ``[n]``; of shares 0 or 1.
        counts: ``[n]`` bool; None for all. A true positive rate counts the positive rows only.
        share: whether it is a share of rows.
    """

    values: np.ndarray
    counts: np.ndarray | None = None
    share: bool = True


def judged(prediction: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict[str, Judged]:
    """The metrics of one model's answers, row by row.

    Of classes the ``accuracy``; of two classes also, for the second one, ``selection_rate`` (how often it is the
    answer: demographic parity), ``true_positive_rate`` and ``false_positive_rate`` (equalised odds: Hardt, Price &
    Srebro, Equality of Opportunity in Supervised Learning, NeurIPS 2016). Of numbers the absolute error, ``mae``.

    Args:
        prediction: ``[n]``.
        labels: ``[n]``, of numbers as numbers.
        classes: the model's, empty for numbers.
    """
    if not classes:
        return {"mae": Judged(np.abs(prediction.astype(float) - labels.astype(float)), share=False)}
    found = {"accuracy": Judged((prediction == labels).astype(float))}
    if len(classes) == 2:
        selected, positive = (prediction == classes[1]).astype(float), labels == classes[1]
        found["selection_rate"] = Judged(selected)
        found["true_positive_rate"] = Judged(selected, positive)
        found["false_positive_rate"] = Judged(selected, ~positive)
    return found


def columns(sensitive: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The groups ``[n]`` by column, and of several columns also their combination, ``sex & race``.

    Raises:
        DataError: a column with so many values that it holds no groups.
    """
    for name, values in sensitive.items():
        if (count := len(np.unique(values.astype(str)))) > MOST:
            raise DataError(
                f"sensitive column '{name}' has {count} different values; groups need at most {MOST}: put numbers into "
                "ranges, and rare values together"
            )
    if len(sensitive) < 2:
        return dict(sensitive)
    together = [" & ".join(map(str, row)) for row in zip(*sensitive.values(), strict=True)]
    return {**sensitive, " & ".join(sensitive): np.array(together, dtype=object)}


def check(sensitive: Mapping[str, np.ndarray]) -> None:
    """Refuse columns that hold no groups, and a missing Fairlearn, before anything is trained.

    Raises:
        DataError: see `columns`.
        MissingAssetError: Fairlearn is not installed.
    """
    columns(sensitive)
    if sensitive and find_spec("fairlearn") is None:
        raise MissingAssetError(LACKING)


def by_group(metrics: Mapping[str, Judged], sensitive: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """One record a group: ``column``, ``group``, ``rows``, ``suppressed``, and by metric ``value``, ``low``, ``high``.

    Figures are Fairlearn's `MetricFrame`'s; intervals are 95 %, Clopper-Pearson of shares and normal of means. A group
    of fewer than 10 rows is suppressed, and so is a metric of which fewer than 10 rows count.

    Args:
        metrics: see `judged`.
        sensitive: see `columns`.

    Raises:
        MissingAssetError: Fairlearn is not installed.
    """
    frames = {column: _frame(metrics, groups.astype(str)) for column, groups in sensitive.items()}
    found = []
    for column, groups in sensitive.items():
        for name in np.unique(groups.astype(str)):
            here = groups.astype(str) == name
            suppressed = bool(here.sum() < FEWEST)
            rows = None if suppressed else int(here.sum())
            record = {"column": column, "group": str(name), "rows": rows, "suppressed": suppressed}
            values = (
                {}
                if suppressed
                else {
                    metric: told
                    for metric, one in metrics.items()
                    if (told := _told(one, here, float(frames[column].by_group.loc[name, metric]))) is not None
                }
            )
            found.append({**record, "metrics": values})
    return found


def gaps(metrics: Mapping[str, Judged], sensitive: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """By column and metric, the largest difference between two groups that are not suppressed; absent if there are not
    two.
    """
    found: dict[str, dict[str, float]] = {}
    for column, groups in sensitive.items():
        sides = {metric: _sums(one, hot_rows(groups, one)) for metric, one in metrics.items()}
        found[column] = {
            metric: float(np.ptp(total / rows)) for metric, (total, rows) in sides.items() if len(total) > 1
        }
    return found


def worst(one: Judged, groups: np.ndarray) -> float:
    """The mean in the group where it is least, among groups that are not suppressed (over all rows if all are)."""
    hot = hot_rows(groups, one)
    if hot.shape[1] == 0:
        return float(one.values.mean())
    total, rows = _sums(one, hot)
    return float((total / rows).min())


def hot_rows(groups: np.ndarray, one: Judged) -> np.ndarray:
    """Which rows count in which group ``[n, groups]`` float, of groups with enough of them."""
    names = np.unique(groups.astype(str))
    hot = groups.astype(str)[:, None] == names
    if one.counts is not None:
        hot = hot & one.counts[:, None]
    return hot[:, hot.sum(axis=0) >= FEWEST].astype(float)


def _sums(one: Judged, hot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return one.values @ hot, hot.sum(axis=0)


def _frame(metrics: Mapping[str, Judged], groups: np.ndarray) -> Any:
    """Fairlearn's frame of all metrics by group."""
    try:
        from fairlearn.metrics import MetricFrame
    except ImportError:
        raise MissingAssetError(LACKING) from None

    def mean(one: Judged) -> Callable[..., float]:
        def metric(y_true: np.ndarray, y_pred: np.ndarray) -> float:
            rows = np.asarray(y_true)
            rows = rows if one.counts is None else rows[one.counts[rows]]
            return float(one.values[rows].mean()) if len(rows) else float("nan")

        return metric

    rows = np.arange(len(groups))  # in the place of labels, so that each metric sees which rows a group has
    return MetricFrame(
        metrics={name: mean(one) for name, one in metrics.items()}, y_true=rows, y_pred=rows, sensitive_features=groups
    )


def _told(one: Judged, here: np.ndarray, value: float) -> dict[str, float] | None:
    """A figure of one group with its interval; None where too few rows count."""
    here = here if one.counts is None else here & one.counts
    n = int(here.sum())
    if n < FEWEST:
        return None
    if not one.share:
        reach = 1.96 * float(one.values[here].std(ddof=1)) / np.sqrt(n)
        return {"value": value, "low": value - reach, "high": value + reach}
    hits = round(float(one.values[here].sum()))
    low, high = clopper_pearson(hits, n)
    return {"value": value, "low": low, "high": high}
