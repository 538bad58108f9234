"""Rows of none of the classes: which are refused, how often that is wrong, and how many such rows it finds."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from torch import Tensor

from acclimate.errors import SettingsError
from acclimate.methods.few_shot.conformity import conformity
from acclimate.runs.few_shot.held_out import fold_of, taken
from acclimate.trust.certainty.conformal import p_values, supports

LEFT_OUT = 20
"""Classes at most that are taken for unknown ones, one at a time."""


@dataclass(frozen=True)
class Novelty:
    """Refuses rows that conform to no class, at a stated rate.

    Attributes:
        rate: the share of rows that do belong to a class and are refused, at most.
        held_out: ``[n]``, how well each support row conforms to its nearest class when it is left out.
        recognised: the share of rows of a class that is left out, support and all, that is refused, mean over classes;
            None where the rows left are too few for the rate.
    """

    rate: float
    held_out: np.ndarray
    recognised: float | None

    def p_values(self, support: Tensor, targets: Tensor, query: Tensor, ways: int) -> np.ndarray:
        """Of each query row ``[n]``: the share of rows of the known classes that conform as badly, about."""
        found = conformity(support[None], targets[None], query[None], ways)[0].amax(1)
        return p_values(self.held_out, found.cpu().numpy())

    def refused(self, values: np.ndarray) -> np.ndarray:
        """Which rows of these p-values belong to none of the classes."""
        return values <= self.rate + 1e-12


def measure(support: Tensor, targets: Tensor, ways: int, rate: float, seed: int) -> Novelty:
    """What conforms to a support as well as its own rows do.

    The rate is kept on average over supports, for rows that are exchangeable with the support's: drawn alike, with its
    class shares. Left-out rows are scored with a row less in each class, so they look a little stranger than new ones,
    and fewer of these are refused than stated. As with the jackknife, this holds in practice and is no theorem (Barber
    et al., Predictive Inference with the Jackknife+, 2021, section 2); and the rate of one support of 25 rows may well
    be twice the stated one, or nothing.

    Args:
        support: features ``[n, d]``.
        targets: ``[n]`` int64, 0 to ``ways`` - 1.
        ways: how many classes there are.
        rate: above 0 and below 1.
        seed: of the parts.

    Raises:
        SettingsError: so few rows cannot support this rate.
    """
    if not isinstance(rate, int | float) or not 0 < rate < 1:
        raise SettingsError(f"abstain must lie between 0 and 1, found {rate}")
    held = _held_out(support, targets, ways, seed)
    if not supports(len(held), rate):
        raise SettingsError(_too_small(rate, len(held), ways))
    return Novelty(rate, held, _recognised(support, targets, ways, rate, seed))


def _held_out(support: Tensor, targets: Tensor, ways: int, seed: int) -> np.ndarray:
    fold = fold_of(targets.numpy(), seed)
    return taken(conformity, support, targets, ways, fold).amax(1).cpu().numpy()


def _too_small(rate: float, rows: int, ways: int) -> str:
    needed = ceil(1 / rate - 1e-9) - 1
    each = max(2, ceil(needed / ways))
    now = (
        f"{rows} rows can be held out and support rates from {1 / (rows + 1):.3g}" if rows else "no row can be held out"
    )
    return f"abstain {rate:g}: {now}; {rate:g} needs {needed} rows, such as {each} of each of {ways} classes"


def _recognised(support: Tensor, targets: Tensor, ways: int, rate: float, seed: int) -> float | None:
    """How many rows of an unknown class would be refused: each class in turn is taken for unknown."""
    labels = np.unique(np.linspace(0, ways - 1, min(ways, LEFT_OUT)).round().astype(int))
    shares = []
    for label in labels:
        out = targets == int(label)
        rest, others = support[~out], targets[~out]
        others = others - (others > int(label)).long()
        held = _held_out(rest, others, ways - 1, seed)
        if not supports(len(held), rate):
            return None
        found = conformity(rest[None], others[None], support[out][None], ways - 1)[0].amax(1)
        shares.append(float((p_values(held, found.cpu().numpy()) <= rate + 1e-12).mean()))
    return float(np.mean(shares))
