from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import acclimate as ac


@pytest.fixture
def classes(tmp_path) -> Callable[..., Path]:
    """``classes(first)`` writes 24 classes of 20 points; two of six numbers tell the class, the others are louder."""

    def make(first: int = 0, shift: float = 0.0) -> Path:
        rng = np.random.default_rng(first)
        centres = np.repeat(rng.normal(size=(24, 2)) * 2, 20, axis=0)
        values = np.concatenate([centres, np.zeros((480, 4))], axis=1) + rng.normal(size=(480, 6)) * (
            [0.2] * 2 + [3] * 4
        )
        frame = pd.DataFrame((values + shift).round(5), columns=[f"x{k}" for k in range(6)])
        frame["label"] = np.repeat([f"class {first + k}" for k in range(24)], 20)
        frame["kind"] = np.repeat([f"kind {first + k // 6}" for k in range(24)], 20)
        path = tmp_path / f"classes{first}.csv"
        frame.to_csv(path, index=False)
        return path

    return make


@pytest.fixture
def lines(tmp_path) -> Callable[..., Path]:
    """``lines(first)`` writes 30 groups of 30 rows whose number is a line of the group's own."""

    def make(first: int = 0) -> Path:
        rng = np.random.default_rng(first)
        slope, x = np.repeat(rng.normal(size=30), 30), rng.uniform(-2, 2, 900)
        group = np.repeat([f"machine {first + k}" for k in range(30)], 30)
        path = tmp_path / f"lines{first}.csv"
        pd.DataFrame({"x": x.round(5), "y": (slope * x).round(5) + 0.5, "machine": group}).to_csv(path, index=False)
        return path

    return make


@pytest.fixture
def meta(tmp_path, classes) -> Callable[..., ac.MetaRun]:
    """``meta(method, **options)`` trains on 24 classes."""

    def make(method: Any = "protonet", folder: str = "run", **options: Any) -> ac.MetaRun:
        given = {
            "source": str(classes(0)), "input": [f"x{k}" for k in range(6)], "label": "label", "ways": 3, "shots": 2,
            "queries": 5, "backbone": {"name": "mlp"}, "training": {"steps": 60, "learning_rate": 0.01},
            "device": "cpu", "precision": "fp32", "out": tmp_path / folder,
        }  # fmt: skip
        return ac.meta_train(**{**given, **options}, method=method)

    return make
