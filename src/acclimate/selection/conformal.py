"""Conformal p-values: how strange a row is among rows that are known to belong."""

from __future__ import annotations

from math import floor

import numpy as np


def p_values(held_out: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """``(1 + number of held-out scores that are not higher) / (n + 1)`` for each score.

    If a row is exchangeable with the held-out ones and all were scored alike, its p-value is at most e with
    probability at most e, for every e (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005,
    proposition 2.8). So refusing rows of p-value at most e refuses at most that share of the rows that belong.

    Args:
        held_out: ``[n]``; high: conforms.
        scores: ``[m]``.

    Returns:
        ``[m]``, none below ``1 / (n + 1)``.
    """
    lower = np.searchsorted(np.sort(held_out), scores, side="right")
    return (1 + lower) / (len(held_out) + 1)


def supports(rows: int, rate: float) -> bool:
    """Whether so many held-out rows can refuse anything at this rate."""
    return floor(rate * (rows + 1) + 1e-9) >= 1
