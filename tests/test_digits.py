"""Numbers as people are shown them."""

from __future__ import annotations

import pytest

from acclimate.cli.show import number, signed
from acclimate.runs.report.words import number as on_page


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.000"), (0.5, "0.500"),
        (0.000421, "0.000421"), (3.2e-8, "3.2e-08"), (-0.0123, "-0.012"), (99.9999, "100.000"),
        (123.456, "123.5"), (48210.4, "48,210"), (-1234.5, "-1,234"), (2.5e12, "2.5e+12"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_no_number_but_zero_is_shown_as_zero_and_large_ones_are_whole(value, shown):
    assert number(value) == shown
    assert on_page(value) == shown.replace("-", "\N{MINUS SIGN}")


def test_a_small_difference_keeps_its_sign_and_its_interval():
    assert signed({"value": 0.0003, "low": 0.0001, "high": 0.0012}) == "+0.0003 (+0.0001 to +0.001)"
    assert signed({"value": -1500.0, "low": None, "high": None}) == "-1,500"
