"""Randomness without state: every draw is a function of one seed and of what it is for.

Nothing has to be saved to resume, and adding a consumer of randomness changes no other one's draws.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def derive(seed: int, *purpose: object) -> int:
    """A 63-bit seed that depends on ``seed`` and the purpose alone, on every machine."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A NumPy generator for one purpose."""
    return np.random.Generator(np.random.PCG64(derive(seed, *purpose)))
