"""Bodies of one kind of robot: what differs between them, and how many of them are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from acclimate.errors import SettingsError
from acclimate.seeds import generator
from acclimate.settings import build

FACTORS = ("mass", "length", "gravity")
"""What is scaled; the fourth change is the delay."""
CHANGES = (*FACTORS, "delay")


@dataclass(frozen=True)
class Body:
    """One body, against the environment as it comes.

    Attributes:
        mass: factor of the masses.
        length: factor of the length of the moving part.
        gravity: factor of gravity.
        delay: steps that pass before an action arrives at the actuator.
    """

    mass: float = 1.0
    length: float = 1.0
    gravity: float = 1.0
    delay: int = 0

    def __post_init__(self) -> None:
        for name in FACTORS:
            if not 0 < getattr(self, name) < math.inf:
                raise SettingsError(f"{name} of a body is a factor above 0, found {getattr(self, name)}")
        if self.delay < 0:
            raise SettingsError(f"delay of a body is a number of steps from 0, found {self.delay}")


NOMINAL = Body()
"""The body as the environment comes."""


@dataclass(frozen=True)
class Ranges:
    """Between which bounds the bodies of a training lie: factors, uniform in their logarithm, and whole steps.

    Attributes:
        mass: factors of the masses.
        length: factors of the length.
        gravity: factors of gravity.
        delay: steps of delay.
    """

    mass: tuple[float, float] = (0.6, 1.6)
    length: tuple[float, float] = (0.6, 1.4)
    gravity: tuple[float, float] = (0.6, 1.2)
    delay: tuple[int, int] = (0, 2)

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = getattr(self, field.name)
            least = 0 if field.name == "delay" else 1e-3
            if not least <= low <= high:
                raise SettingsError(f"{field.name}: a range from {least:g} up, low to high; found {low} to {high}")


def draw(ranges: Ranges, count: int, seed: int, purpose: str = "bodies") -> list[Body]:
    """``count`` bodies within the ranges, a function of seed and purpose alone; all four properties vary at once."""
    rng = generator(seed, purpose)
    found = []
    for _ in range(count):
        factors = {name: float(np.exp(rng.uniform(*np.log(getattr(ranges, name))))) for name in FACTORS}
        found.append(Body(**factors, delay=int(rng.integers(ranges.delay[0], ranges.delay[1] + 1))))
    return found


def unseen(ranges: Ranges, change: str, count: int, seed: int, beyond: float = 1.4) -> list[Body]:
    """Bodies of which one property alone is changed, to what no body of a training has.

    Factors lie beyond the ends of the range, by up to a factor ``beyond``, below and above in turn. Delays are those
    between 1 and one step more than the range has, of a body that is otherwise as the environment comes: a training
    body with that delay differs from it in everything else.

    Raises:
        SettingsError: no such change.
    """
    if change not in CHANGES:
        raise SettingsError(f"unknown change '{change}'; known: {', '.join(CHANGES)}")
    rng = generator(seed, "unseen", change)
    if change == "delay":
        return [replace(NOMINAL, delay=1 + k % (ranges.delay[1] + 1)) for k in range(count)]
    low, high = getattr(ranges, change)
    reach = np.exp(rng.uniform(0, np.log(beyond), count))
    factors = [float(low / r if k % 2 == 0 else high * r) for k, r in enumerate(reach)]
    return [build(Body, {change: factor}, "body") for factor in factors]
