"""Whether a column is in another unit at one of two places: its values are those of the other, converted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

FEWEST = 20
"""Rows of either side, and a quarter of that in distinct values, below which nothing is said."""
APART = 0.5
"""Distance of the two distributions from which another unit is thought of."""
LEFT = 0.15
"""Distance that may be left once one side is converted; of few rows what chance leaves."""
CHANCE = 0.01


@dataclass(frozen=True)
class Conversion:
    """``new = factor * old + offset``, and what it is known for."""

    factor: float
    offset: float = 0.0
    known: str = ""

    @property
    def words(self) -> str:
        """As a phrase."""
        plus = "" if not self.offset else f" plus {self.offset:g}"
        times = f"times {self.factor:g}" if self.factor != 1 else ""
        return f"{times}{plus}".strip() + (f" ({self.known})" if self.known else "")


KNOWN = (
    Conversion(10.0, known="mm and cm, or g/dl and g/l"),
    Conversion(100.0, known="per cent and shares, or cm and m"),
    Conversion(1000.0, known="a unit and its thousandth, as m and mm"),
    Conversion(1e6, known="a unit and its millionth"),
    Conversion(2.54, known="inches and cm"),
    Conversion(3.2808, known="metres and feet"),
    Conversion(1.6093, known="miles and km"),
    Conversion(2.2046, known="kg and pounds"),
    Conversion(7.5006, known="kPa and mmHg"),
    Conversion(18.016, known="glucose in mmol/l and mg/dl"),
    Conversion(38.67, known="cholesterol in mmol/l and mg/dl"),
    Conversion(88.57, known="triglycerides in mmol/l and mg/dl"),
    Conversion(88.42, known="creatinine in mg/dl and umol/l"),
    Conversion(60.0, known="minutes and seconds, or hours and minutes"),
    Conversion(365.25, known="years and days"),
    Conversion(1.8, 32.0, known="degrees Celsius and Fahrenheit"),
    Conversion(1.0, 273.15, known="degrees Celsius and kelvin"),
)


def conversion(old: np.ndarray, new: np.ndarray) -> Conversion | None:
    """The known conversion after which ``old`` is distributed like ``new``, if they are far apart without; else None.

    Distance is Kolmogorov and Smirnov's. It finds the same measurement in other units where the same kind of rows are
    measured; if the rows differ as well, nothing fits. Of several that fit, the best.

    Args:
        old: values ``[n]`` without missing ones.
        new: values ``[m]``.
    """
    from scipy.stats import ks_2samp

    if min(len(old), len(new)) < FEWEST or min(len(np.unique(old)), len(np.unique(new))) < FEWEST // 4:
        return None

    def distance(values: np.ndarray) -> float:
        return float(ks_2samp(values, new, method="asymp").statistic)

    apart = distance(old)
    chance = np.sqrt(np.log(2 / CHANCE) / 2 * (1 / len(old) + 1 / len(new)))
    allowed = min(max(LEFT, chance), apart / 2)
    if apart < APART:
        return None
    left, found = min(((distance(c.factor * old + c.offset), c) for c in _both_ways()), key=lambda pair: pair[0])
    return found if left <= allowed else None


def _both_ways() -> Iterator[Conversion]:
    for one in KNOWN:
        yield one
        yield Conversion(1 / one.factor, -one.offset / one.factor, one.known)
