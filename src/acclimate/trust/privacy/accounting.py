"""How much privacy steps of DP-SGD cost, and how much noise a budget asks for. Opacus does the sums."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from acclimate.errors import MissingAssetError, SettingsError

MOST_NOISE = 1e4


@dataclass(frozen=True)
class Spent:
    """Steps on rows of one domain.

    Attributes:
        rate: probability of a row to be in a step.
        noise: deviation of the noise, in units of the clip.
        steps: how many.
    """

    rate: float
    noise: float
    steps: int


def epsilon(spent: Iterable[Spent], delta: float, accountant: str = "prv") -> float:
    """What the steps cost together, for the neighbouring relation "one row more or less".

    Args:
        spent: composed in this order.
        delta: probability with which the guarantee may fail.
        accountant: ``prv`` (Gopi et al., NeurIPS 2021; its upper bound) or ``rdp`` (Mironov et al. 2019).

    Raises:
        MissingAssetError: the extra ``privacy`` is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from opacus.accountants import create_accountant
    except ImportError as error:
        raise MissingAssetError(
            f"privacy needs the package 'opacus' ({error}); pip install 'acclimate[privacy]'"
        ) from None
    history = [(each.noise, each.rate, each.steps) for each in spent if each.steps]
    if not history:
        return 0.0
    counted = create_accountant(mechanism=accountant)
    counted.history = history
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # RDP says when the best order is at the end of its range: the bound holds
        return float(counted.get_epsilon(delta=delta))


def noise_for(budget: float, delta: float, ways: Iterable[Iterable[tuple[float, int]]], accountant: str) -> float:
    """The least noise, to 1 %, with which no domain's rows cost more than the budget.

    Args:
        budget: epsilon.
        delta: of the guarantee.
        ways: for each protected domain, rate and number of its steps, stage by stage.
        accountant: as in `epsilon`.

    Raises:
        SettingsError: no noise is enough.
    """
    each = [list(way) for way in ways]

    def cost(noise: float) -> float:
        return max(epsilon([Spent(rate, noise, steps) for rate, steps in way], delta, accountant) for way in each)

    low, high = 0.0, 1.0
    while cost(high) > budget:
        low, high = high, 2 * high
        if high > MOST_NOISE:
            raise SettingsError(
                f"epsilon {budget:g} cannot be kept with these steps, whatever the noise; ask for fewer steps "
                "(--set training.epochs) or a larger epsilon"
            )
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if cost(middle) <= budget else (middle, high)
    return high
