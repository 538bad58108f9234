from __future__ import annotations

import pytest

PLAIN = {"name": "two_tower", "size": 8, "history": False}


@pytest.mark.parametrize("method", ["cmf", "emcdr", {"name": "emcdr", "hidden": 16}, "ptupcdr"])
def test_cold_users_are_known_by_their_source(ranked, method):
    """The same network on the target alone gives cold users what everybody likes."""
    found = ranked(method, backbone=PLAIN, training={"epochs": 30})
    alone = ranked("target_only", backbone=PLAIN, training={"epochs": 30})["target_only"]
    name = method if isinstance(method, str) else method["name"]
    assert alone == pytest.approx(found["popularity"], abs=0.03)
    assert found[name] > found["popularity"] + 0.08
    assert found[name] > found["source_only"] + 0.08


def test_where_tastes_do_not_differ_popularity_wins(ranked):
    for method in ("cmf", "emcdr", "ptupcdr"):
        found = ranked(method, backbone=PLAIN, world={"taste": 0.0, "users": 400, "warm": 40})
        assert found["popularity"] > found[method]


def test_aligned_users_learn_from_both_domains(ranked):
    found = ranked("joint+dann", backbone={"name": "two_tower", "size": 8})
    assert found["joint+dann"] > found["popularity"] + 0.08


def test_a_share_of_nothing_forgets_a_domain(ranked):
    """Without the target's loss its items stay what they were: cold users get no better than by source_only."""
    found = ranked({"name": "cmf", "share": 0.0}, backbone=PLAIN)
    assert found["cmf"] < found["popularity"]
