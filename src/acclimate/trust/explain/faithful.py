"""Whether scores of parts say what the model does, and whether they depend on what it has learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.parts import Parts
from acclimate.seeds import derive, generator
from acclimate.trust.explain.attribute import Score, scored

STEPS = 10
"""Points of a curve beside its begin."""
DRAWS = 5
"""Random orders that a row's own order is held against."""
SAMPLES = 2000
"""Of a bootstrap."""
FEWEST = 3
"""Rows below which nothing is said of a mean."""
ALIKE = 0.5
"""Mean rank correlation with a random model's explanation from which on it counts as much the same."""


@dataclass(frozen=True)
class Curves:
    """What becomes of a row's score as its parts go or come.

    Attributes:
        share: of the parts ``[s]``, from 0 to 1.
        deletion: the score when that share of the parts is left out, those of the highest scores first.
        insertion: the score of that share of the parts alone, those of the highest scores first.
        random_deletion: the mean over random orders.
        random_insertion: likewise.
    """

    share: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    @property
    def gains(self) -> tuple[float, float]:
        """By how much the area below the curve is better than in random order: of deletion and of insertion."""
        return (
            _area(self.share, self.random_deletion - self.deletion),
            _area(self.share, self.insertion - self.random_insertion),
        )


def curves(score: Score, parts: Parts, scores: np.ndarray, seed: int = 0) -> Curves | None:
    """Deletion and insertion (Petsiuk, Das & Saenko, RISE, BMVC 2018, section 4.2) in the order of the scores.

    None for a row of fewer than two parts, which has one order only.
    """
    n = len(parts)
    if n < 2:
        return None
    counts = np.unique(np.round(np.linspace(0, n, min(n, STEPS) + 1)).astype(int))
    rng = generator(seed, "curves", n)
    orders = [np.argsort(-scores, kind="stable"), *(rng.permutation(n) for _ in range(DRAWS))]
    ranks = np.stack([np.argsort(order) for order in orders])
    first = ranks[:, None, :] < counts[None, :, None]  # [orders, counts, parts]: those that go or come first
    kept = np.concatenate([~first, first]).reshape(-1, n)
    found = scored(score, parts, kept).reshape(2, len(orders), len(counts))
    random = found[:, 1:].mean(1)
    return Curves(counts / n, found[0, 0], found[1, 0], random[0], random[1])


def _area(x: np.ndarray, y: np.ndarray) -> float:
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())


def mean_interval(values: Sequence[float], seed: int = 0) -> dict[str, float | None]:
    """Mean over rows, with a 95 % interval by bootstrap; of fewer than three rows no interval."""
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return {"value": None, "low": None, "high": None}
    if len(found) < FEWEST:
        return {"value": float(found.mean()), "low": None, "high": None}
    draws = generator(seed, "bootstrap").integers(len(found), size=(SAMPLES, len(found)))
    low, high = np.quantile(found[draws].mean(1), (0.025, 0.975))
    return {"value": float(found.mean()), "low": float(low), "high": float(high)}


def likeness(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's correlation of two explanations of one row, signs and all; None where one has but one value.

    Adebayo et al. 2018, section 3.1. Sizes alone are alike wherever rows lie far from their baseline in some parts.
    """
    from scipy.stats import spearmanr

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


@contextmanager
def shuffled(module: nn.Module, seed: int, *, buffers: bool = False) -> Iterator[bool]:
    """Inside the block, the numbers of each weight of a module are in random order: as large as learned, and random.

    Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018. Weights of one dimension (norms, biases) stay, unless
    the module has no others; a module without parameters, as a forest, has its float buffers shuffled.

    Args:
        module: changed inside the block.
        seed: of the order.
        buffers: whether float buffers of two dimensions and more are what was learned, too: of heads they are (where
            people lie).

    Yields:
        Whether there was anything to shuffle.
    """
    every: list[Tensor] = [each for each in module.parameters() if each.numel() > 1]
    others = [each for each in module.buffers() if each.is_floating_point() and each.numel() > 1]
    chosen = [each for each in every if each.ndim > 1] or every or others
    chosen += [each for each in others if buffers and every and each.ndim > 1]
    before = [each.detach().clone() for each in chosen]
    draw = torch.Generator().manual_seed(derive(seed, "shuffled"))
    with torch.no_grad():
        for each in chosen:
            order = torch.randperm(each.numel(), generator=draw).to(each.device)
            each.copy_(each.flatten()[order].reshape(each.shape))
    try:
        yield bool(chosen)
    finally:
        with torch.no_grad():
            for each, value in zip(chosen, before, strict=True):
                each.copy_(value)
