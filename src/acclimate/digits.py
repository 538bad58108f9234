"""How many digits of a number people are shown."""

from __future__ import annotations

SMALL, LARGE, HUGE = 0.0005, 1000, 1e9


def digits(value: float) -> str:
    """A format for it: three decimals, or of what would be 0.000 the first digit that is not; of what is large four
    figures, and from 1,000 on no decimals.
    """
    size = abs(value)
    if size >= 100:
        return ",.0f" if LARGE <= size < HUGE else ".4g"
    return ".1g" if 0 < size < SMALL else ".3f"
