"""How many digits of a number people are shown."""

from __future__ import annotations

SMALL, LARGE, HUGE = 0.001, 1000, 1e9


def digits(value: float) -> str:
    """A format for it: three decimals, three figures of what is smaller; four of what is large, whole from 1,000 on."""
    size = abs(value)
    if size >= 100:
        return ",.0f" if LARGE <= size < HUGE else ".4g"
    return ".3g" if 0 < size < SMALL else ".3f"


def four(value: float) -> str:
    """Four figures, as sentences have them; whole from 1,000 on."""
    return f"{value:,.0f}" if LARGE <= abs(value) < HUGE else f"{value:.4g}"
