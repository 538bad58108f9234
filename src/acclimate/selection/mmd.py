"""Maximum mean discrepancy with a permutation test. No labels are involved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acclimate.seeds import generator

LARGEST = 1000
SMALLEST = 10
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the median distance: the kernels' widths."""


@dataclass(frozen=True)
class MMD:
    """The discrepancy of two samples.

    Attributes:
        value: unbiased estimate of MMD^2; about 0 for equal distributions, and then as often below as above.
        p_value: how often rows dealt out at random are at least that far apart.
        rows: how many of each side were used.
    """

    value: float
    p_value: float
    rows: int


def mmd(source: np.ndarray, target: np.ndarray, seed: int = 0, permutations: int = 500) -> MMD | None:
    """MMD^2 with the mean of five Gaussian kernels, and the p-value of a permutation test.

    Gretton et al., A Kernel Two-Sample Test, JMLR 2012, eq. 3 (unbiased), widths around the median distance. Unlike a
    linear classifier it also sees shifts that move no mean. Rows that repeat each other make the p-value too small.

    Args:
        source: ``[n, d]``, columns of like scale.
        target: ``[m, d]``.
        seed: of the sample (at most 1,000 rows a side) and of the permutations.
        permutations: how many; the p-value is at least ``1 / (permutations + 1)``.

    Returns:
        The discrepancy, or None if a side has fewer than 10 rows.
    """
    rows = min(len(source), len(target), LARGEST)
    if rows < SMALLEST:
        return None
    rng = generator(seed, "mmd")
    both = np.concatenate([side[rng.permutation(len(side))[:rows]] for side in (source, target)]).astype(float)
    kernel = _kernel(both)
    members = np.zeros((2 * rows, permutations + 1))
    members[:rows, 0] = 1.0
    for draw in range(1, permutations + 1):
        members[rng.permutation(2 * rows)[:rows], draw] = 1.0
    values = _unbiased(kernel, members, rows)
    p_value = (1 + np.count_nonzero(values[1:] >= values[0])) / (permutations + 1)
    return MMD(float(values[0]), float(p_value), rows)


def _kernel(values: np.ndarray) -> np.ndarray:
    """``[n, n]``, zero on the diagonal: pairs of a row with itself do not count."""
    squares = np.square(values).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * values @ values.T, 0.0)
    apart = distances[np.triu_indices(len(values), 1)]
    median = float(np.median(apart)) or float(apart.mean()) or 1.0
    kernel = np.mean([np.exp(-distances / (2 * factor**2 * median)) for factor in FACTORS], axis=0)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _unbiased(kernel: np.ndarray, members: np.ndarray, rows: int) -> np.ndarray:
    """MMD^2 of every way ``[2 n, ways]`` to deal the rows out."""
    reached = kernel @ members
    within = (members * reached).sum(axis=0)
    across = ((1 - members) * reached).sum(axis=0)
    others = kernel.sum() - within - 2 * across
    return (within + others) / (rows * (rows - 1)) - 2 * across / rows**2
