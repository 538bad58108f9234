"""Several yes-or-no answers in one label: a JSON list of 0, 1 and null."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from acclimate.errors import DataError

FLAGS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}


def are_flags(label: str) -> bool:
    """Whether a label is a JSON list of yes, no and null."""
    try:
        values = json.loads(label)
    except ValueError:
        return False
    return isinstance(values, list) and all(value is None or _flag(value) is not None for value in values)


def _flag(value: Any) -> float | None:
    if isinstance(value, bool | int | float):
        return float(value) if value in (0, 1) else None
    return FLAGS.get(str(value).lower())


def flags(labels: np.ndarray, where: str = "labels", width: int | None = None) -> np.ndarray:
    """Labels as ``[n, labels]`` float64: 0, 1, NaN where unknown.

    Raises:
        DataError: no list, of another length, or with another answer; names the row.
    """
    rows: list[list[float]] = []
    for k, label in enumerate(labels):
        if not are_flags(str(label)):
            raise DataError(f"{where}: row {k + 1} has {label}; expected a list of 0, 1 and null, one for each label")
        found = [np.nan if value is None else float(_flag(value) or 0.0) for value in json.loads(label)]
        if len(found) != (width or len(rows[0]) if rows else width or len(found)):
            raise DataError(f"{where}: row {k + 1} has {len(found)} answers, expected {width or len(rows[0])}")
        rows.append(found)
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1)
