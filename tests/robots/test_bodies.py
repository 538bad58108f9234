from __future__ import annotations

import math

import numpy as np
import pytest

from acclimate.errors import SettingsError
from acclimate.robots.bodies import CHANGES, FACTORS, Body, Ranges, draw, unseen


def test_bodies_lie_within_their_ranges_and_follow_from_the_seed():
    ranges = Ranges(mass=(0.5, 0.6), delay=(1, 2))
    bodies = draw(ranges, 50, seed=3)
    assert all(0.5 <= body.mass <= 0.6 and 0.6 <= body.length <= 1.4 for body in bodies)
    assert {body.delay for body in bodies} == {1, 2}
    assert bodies == draw(ranges, 50, seed=3) != draw(ranges, 50, seed=4)
    assert bodies[:10] == draw(ranges, 10, seed=3)


def test_factors_are_uniform_in_their_logarithm():
    logs = np.log([body.mass for body in draw(Ranges(mass=(0.25, 4.0)), 2000, seed=0)])
    assert abs(logs.mean()) < 0.05
    assert abs(logs.std() - 2 * math.log(4) / math.sqrt(12)) < 0.03


@pytest.mark.parametrize("change", FACTORS)
def test_unseen_bodies_change_one_thing_beyond_the_range(change: str):
    ranges = Ranges()
    low, high = getattr(ranges, change)
    bodies = unseen(ranges, change, 6, seed=1)
    values = [getattr(body, change) for body in bodies]
    assert all(low / 1.4 <= value <= low for value in values[::2])
    assert all(high <= value <= high * 1.4 for value in values[1::2])
    others = [name for name in CHANGES if name != change]
    assert all(getattr(body, name) == getattr(Body(), name) for body in bodies for name in others)


def test_unseen_delays_reach_one_step_beyond_the_range():
    assert [body.delay for body in unseen(Ranges(delay=(0, 2)), "delay", 5, seed=0)] == [1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"mass": 0.0}, "factor above 0"), ({"gravity": math.nan}, "factor"), ({"delay": -1}, "steps")],
)
def test_bodies_that_cannot_be_are_refused(settings: dict, said: str):
    with pytest.raises(SettingsError, match=said):
        Body(**settings)


def test_ranges_that_are_none_are_refused():
    with pytest.raises(SettingsError, match="low to high; found 2 to 1"):
        Ranges(length=(2, 1))
    with pytest.raises(SettingsError, match="known: mass, length, gravity, delay"):
        unseen(Ranges(), "colour", 1, 0)
