"""What steps cost, against published accountings."""

from __future__ import annotations

import pytest

from acclimate.errors import SettingsError
from acclimate.trust.privacy.accounting import Spent, epsilon, noise_for


def test_reference_accountings():
    """Noise 1.5, rate 0.04, 90 epochs, delta 1e-5: what Opacus' own tests expect of both accountants."""
    assert epsilon([Spent(0.04, 1.5, 2250)], 1e-5, "rdp") == pytest.approx(7.32911117143, abs=1e-7)
    assert epsilon([Spent(0.04, 1.5, int(90 // 0.04))], 1e-5, "prv") == pytest.approx(6.777395712, abs=1e-6)


def test_the_gaussian_mechanism_once():
    """All rows, one step: Balle & Wang, ICML 2018, theorem 8: noise 1 and epsilon 1 have delta 0.12693673750664."""
    assert epsilon([Spent(1.0, 1.0, 1)], 0.12693673750664, "prv") == pytest.approx(1.0, abs=0.02)


def test_stages_add_up():
    apart = [epsilon([Spent(0.1, 1.0, steps)], 1e-5, "rdp") for steps in (30, 70)]
    together = epsilon([Spent(0.1, 1.0, 30), Spent(0.1, 1.0, 70)], 1e-5, "rdp")
    assert together == pytest.approx(epsilon([Spent(0.1, 1.0, 100)], 1e-5, "rdp"))
    assert max(apart) < together < sum(apart)
    assert epsilon([Spent(0.1, 1.0, 0)], 1e-5) == 0.0


@pytest.mark.parametrize(("budget", "accountant"), [(1.0, "prv"), (8.0, "rdp")])
def test_the_least_noise_that_keeps_the_budget(budget, accountant):
    ways = [[(0.05, 100)], [(0.1, 50), (0.02, 10)]]
    noise = noise_for(budget, 1e-5, ways, accountant)

    def cost(multiplier: float) -> float:
        return max(epsilon([Spent(rate, multiplier, steps) for rate, steps in way], 1e-5, accountant) for way in ways)

    assert cost(noise) <= budget < cost(0.98 * noise)


def test_no_noise_is_enough():
    with pytest.raises(SettingsError, match="cannot be kept"):
        noise_for(1e-9, 1e-12, [[(1.0, 1000)]], "rdp")
