"""Where an arm's features put the rows of both domains, in the plane, and how well the domains are told apart there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.files import writing
from acclimate.selection.gap import gap

FILE = "view.npz"
SHOWN = 600
"""Rows a domain in the picture, at most: what is in front may not hide the rest."""
LOOKED_AT = 500
"""Rows a domain for the gap: enough for an interval of three points."""


def wanted() -> bool:
    """Whether runs write a report: unless ``ACCLIMATE_REPORT`` is ``no``."""
    return os.environ.get("ACCLIMATE_REPORT", "yes").lower() not in ("no", "0", "false")


def write_view(path: Path, features: Mapping[str, Any], seed: int) -> None:
    """Write the view of an arm beside its model, for the report; nothing where there is none.

    The axes are the two directions in which source and target together vary most, of columns in units of the source's
    deviation; both domains lie in the same plane. No labels are involved.

    Args:
        path: of the file.
        features: what the head reads of rows of "source" (held out) and "target", ``[n, d]``.
        seed: of the gap's folds.
    """
    sides = [np.asarray(features[name]) for name in ("source", "target") if name in features]
    if len(sides) < 2 or any(side.ndim != 2 or len(side) < 3 or not np.isfinite(side).all() for side in sides):
        return
    source, target, share = projected(sides[0][:SHOWN], sides[1][:SHOWN])
    found = gap(sides[0][:LOOKED_AT], sides[1][:LOOKED_AT], seed)
    told = [] if found is None else [found.domain_accuracy, *(found.interval or (np.nan, np.nan)), found.rows]
    with writing(path, ".npz") as part:
        np.savez(part, source=source, target=target, share=share, gap=np.array(told))


def projected(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Both sides ``[n, 2]`` on the first two principal components of both, and their share of the variance."""
    middle, spread = source.mean(axis=0, dtype=np.float64), source.std(axis=0, dtype=np.float64)
    both = np.concatenate([source, target]).astype(np.float64) - middle
    both /= np.where(spread > 1e-9, spread, 1.0)
    both -= both.mean(axis=0)
    _, lengths, axes = np.linalg.svd(both, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2, np.abs(axes[:2]).argmax(axis=1)].diagonal())[:, None]  # signs are arbitrary
    flat = both @ axes.T
    if flat.shape[1] < 2:
        flat = np.column_stack([flat, np.zeros((len(flat), 2 - flat.shape[1]))])
    total = float((lengths**2).sum())
    share = float((lengths[:2] ** 2).sum()) / total if total > 0 else 1.0
    return flat[: len(source)].astype(np.float32), flat[len(source) :].astype(np.float32), share


def read_view(path: Path) -> dict[str, Any] | None:
    """A written view as JSON values: points of each side, share of the variance, and the gap if there is one."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        points = {name: np.round(arrays[name].astype(float), 3).tolist() for name in ("source", "target")}
        found = arrays["gap"].tolist()
        told = None
        if found:
            bounds = None if np.isnan(found[1]) else found[1:3]
            told = {"accuracy": found[0], "interval": bounds, "rows": int(found[3])}
        return {**points, "share": round(float(arrays["share"]), 4), "gap": told}
