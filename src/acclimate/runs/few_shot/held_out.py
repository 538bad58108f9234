"""Support rows that are held out of a few-shot classifier: what it says of each of them, having seen the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from acclimate.methods.few_shot.base import Level
from acclimate.seeds import generator
from acclimate.trust.certainty.calibrate import PRIOR, temperature

FEW, FOLDS, COARSE = 400, 20, 5
"""Up to so many rows they are held out in at most so many parts, more rows in the last number of parts."""
UNKNOWN_SCALE = 1.5
"""Deviation of the log temperature of transductive classifiers: how sure they are follows from how they search."""
NUMBERS = 1 << 25
"""Floats that the folds of one call hold at most, about."""


@dataclass(frozen=True)
class HeldOut:
    """What a classifier says of support rows that it has not seen.

    Attributes:
        logits: ``[held, ways]``.
        targets: ``[held]``.
        rows: ``[held]``, their places in the support.
        prior: deviation of the log temperature that is expected.
    """

    logits: np.ndarray
    targets: np.ndarray
    rows: np.ndarray
    prior: float = PRIOR

    @cached_property
    def temperature(self) -> float:
        """By which logits are divided so that probabilities fit these rows; 1 where there are none."""
        return temperature(self.logits, self.targets, self.prior)

    @cached_property
    def losses(self) -> np.ndarray:
        """``-log p`` of each row's class ``[held]`` at that temperature, in nats."""
        scaled = torch.from_numpy(self.logits.astype(np.float64) / self.temperature)
        return torch.nn.functional.cross_entropy(scaled, torch.from_numpy(self.targets), reduction="none").numpy()

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each row's answer is its class ``[held]``."""
        return self.logits.argmax(axis=1) == self.targets

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (Clopper and Pearson 1934), as if rows had been held out independently."""
        from scipy.special import betaincinv

        rows, right = len(self.targets), int(self.right.sum())
        low = 0.0 if right == 0 else float(betaincinv(right, rows - right + 1, 0.025))
        high = 1.0 if right == rows else float(betaincinv(right + 1, rows - right, 0.975))
        return low, high


def fold_of(targets: np.ndarray, seed: int, folds: int | None = None) -> np.ndarray:
    """In which fold each support row is held out ``[n]``; -1: never, since it is the only one of its class.

    With few rows a fold has one row of each class: leave-one-out in which no class has fewer rows left than another.
    (To leave out single rows puts the class of that row at a disadvantage, and chose levels worse.) Classes with more
    than ``folds`` rows have several in each; None: 20, or 5 of more than 400 rows.
    """
    folds = folds or (FOLDS if len(targets) <= FEW else COARSE)
    counts = np.bincount(targets)
    fold = np.full(len(targets), -1)
    rng = generator(seed, "few-shot folds")
    parts = min(int(counts.max()), folds)
    for label in np.flatnonzero(counts > 1):
        rows = rng.permutation(np.flatnonzero(targets == label))
        fold[rows] = (np.arange(len(rows)) + rng.integers(parts)) % parts
    return fold


def hold_out(level: Level, support: Tensor, targets: Tensor, ways: int, fold: np.ndarray) -> HeldOut:
    """What a classifier says of each row from those of all other folds.

    Args:
        level: the classifier, which answers each row by itself.
        support: features ``[n, d]``.
        targets: ``[n]`` int64, 0 to ``ways`` - 1.
        ways: how many classes there are.
        fold: of `fold_of`.
    """
    logits = taken(level.logits, support, targets, ways, fold)
    rows = np.flatnonzero(fold >= 0)
    return HeldOut(logits.cpu().numpy(), targets.cpu().numpy()[rows], rows)


def hold_out_among(
    level: Level, support: Tensor, targets: Tensor, query: Tensor, ways: int, fold: np.ndarray
) -> HeldOut:
    """What a transductive classifier says of each row that is asked together with query rows ``[m, d]``.

    These have no labels, and their answers are not looked at.
    """
    rows = np.flatnonzero(fold >= 0)
    logits, sizes = np.zeros((len(fold), ways), np.float32), np.bincount(fold[rows])
    for size in np.unique(sizes):  # folds of one size are tasks of one shape, as many together as fit
        parts = np.flatnonzero(sizes == size)
        for some in np.array_split(parts, -(-len(parts) * (len(query) + len(fold)) ** 2 // NUMBERS)):
            out = np.stack([np.flatnonzero(fold == part) for part in some])
            kept = np.stack([np.flatnonzero(fold != part) for part in some])
            asked = torch.cat([support[out], query.expand(len(some), -1, -1)], 1)
            said = level.logits(support[kept], targets[kept], asked, ways)[:, :size]
            logits[out.reshape(-1)] = said.flatten(0, 1).cpu().numpy()
    return HeldOut(logits[rows], targets.cpu().numpy()[rows], rows, UNKNOWN_SCALE)


def taken(
    call: Callable[[Tensor, Tensor, Tensor, int, Tensor], Tensor],
    support: Tensor,
    targets: Tensor,
    ways: int,
    fold: np.ndarray,
) -> Tensor:
    """What ``call`` gives for each held-out row ``[held, ways]``; it is asked for folds stacked as tasks."""
    rows = np.flatnonzero(fold >= 0)
    if not len(rows):
        return support.new_zeros(0, ways)
    known = torch.from_numpy(fold[None] != np.arange(fold.max() + 1)[:, None]).to(support.device)
    said = []
    for part in known.split(max(1, NUMBERS // (len(support) * max(support.shape)))):
        rows_of = support.expand(len(part), -1, -1)
        said.append(call(rows_of, targets.expand(len(part), -1), rows_of, ways, part))
    return torch.cat(said)[fold[rows], rows]
