"""Intervals of shares, against values by hand."""

from __future__ import annotations

import pytest

from acclimate.trust.shares import clopper_pearson


def test_clopper_pearson_by_hand():
    """No hit of ten: 1 - 0.025 ** (1 / 10); table values of 5 of 10."""
    assert clopper_pearson(0, 10) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert clopper_pearson(5, 10) == (pytest.approx(0.1871, abs=1e-4), pytest.approx(0.8129, abs=1e-4))
