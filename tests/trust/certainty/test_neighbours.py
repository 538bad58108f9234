"""Rows that are out of place."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.certainty.neighbours import distances


def test_distances_by_hand() -> None:
    """A bank of three: the nearest direction counts, whatever the length."""
    bank = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    rows = np.array([[5.0, 0.0], [1.0, 1.0], [0.0, -1.0]])
    assert distances(bank, rows) == pytest.approx([0, np.sqrt(2 - np.sqrt(2)), np.sqrt(2)])


def test_the_hundredth_part_of_the_bank_counts() -> None:
    """Two odd rows in a bank of 300 make no new place: the third neighbour decides."""
    rng = np.random.default_rng(0)
    usual = np.array([1.0, 0.0]) + 0.01 * rng.normal(size=(298, 2))
    bank = np.concatenate([usual, [[0.0, 1.0], [0.0, 1.0]]])
    assert distances(bank, np.array([[0.0, 1.0]]))[0] > 1.3
