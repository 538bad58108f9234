"""Few-shot tasks of generated features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

Draw = Callable[..., tuple[Tensor, Tensor]]


@pytest.fixture(scope="session")
def clusters() -> Draw:
    """Rows of classes around means of their own: ``clusters(shots, ways, seed, spread, classes)``, class after class.

    The means of all classes are the same for every seed, and ``classes`` says which of them are drawn.
    """
    means = np.random.default_rng(7).normal(size=(12, 16)) + 1.0

    def draw(
        shots: int, ways: int = 4, seed: int = 0, spread: float = 1.0, classes: list[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        chosen = list(range(ways)) if classes is None else classes
        rng = np.random.default_rng([seed, shots])
        rows = np.repeat(means[chosen], shots, axis=0) + spread * rng.normal(size=(len(chosen) * shots, 16))
        return torch.from_numpy(rows).float(), torch.arange(len(chosen)).repeat_interleave(shots)

    return draw


@pytest.fixture(scope="session")
def askew() -> Draw:
    """Two classes that differ in a few quiet directions among loud ones: ``askew(shots, seed)``."""

    def draw(shots: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([seed, shots])
        targets = np.repeat([0, 1], shots)
        quiet = 0.2 * rng.normal(size=(2 * shots, 4)) + 0.5 * (2 * targets - 1)[:, None]
        loud = 2.0 * rng.normal(size=(2 * shots, 6))
        return torch.from_numpy(np.hstack([quiet, loud])).float(), torch.from_numpy(targets)

    return draw
