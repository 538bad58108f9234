"""CKA against what is known of it."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.moved.cka import linear_cka

RNG = np.random.default_rng(0)


def test_rotated_scaled_and_shifted_is_the_same():
    values = RNG.normal(size=(40, 6))
    rotation = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    assert linear_cka(values, 3 * values @ rotation + 5) == pytest.approx(1.0)


def test_independent_ones_are_about_zero_however_many_features():
    """The biased estimate says 0.9 here."""
    first, second = RNG.normal(size=(30, 400)), RNG.normal(size=(30, 400))
    assert abs(linear_cka(first, second)) < 0.1
    own, other = ((x - x.mean(0)) @ (x - x.mean(0)).T for x in (first, second))
    assert (own * other).sum() / np.sqrt((own**2).sum() * (other**2).sum()) > 0.8


def test_four_rows_worked_out():
    """One feature each, (-1, -1, 1, 1) and (-1, 1, -1, 1): Gram matrices are +-1 off the diagonal, with row sums -1."""
    first, second = np.array([[-1.0], [-1], [1], [1]]), np.array([[-1.0], [1], [-1], [1]])
    # tr = 12 entries: products of signs agree in 4 (both -1, the opposite corners), differ in 8: -4
    # cross: -4 + (-4)(-4)/6 - 2/2 * 4 = -16/3; own: 12 + 16/6 - 4 = 32/3
    assert linear_cka(first, second) == pytest.approx(-0.5)


def test_half_of_the_variance_kept_lies_between():
    values, other = RNG.normal(size=(200, 10)), RNG.normal(size=(200, 10))
    mixed = np.concatenate([values[:, :5], other[:, 5:]], axis=1)
    assert 0.3 < linear_cka(values, mixed) < 0.7
    assert np.isnan(linear_cka(values, np.ones((200, 3))))
