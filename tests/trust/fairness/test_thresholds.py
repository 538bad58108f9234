"""A threshold for each group."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.fairness.thresholds import Thresholds, equal_opportunity


def test_the_deserving_of_both_groups_are_chosen_alike() -> None:
    """Scores of group b are lower for the same merit: one threshold misses its deserving rows."""
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b"], 500)
    positive = rng.random(1000) < 0.5
    scores = np.where(positive, 1.0, -1.0) + rng.normal(0, 0.7, 1000) - np.where(groups == "b", 1.5, 0.0)

    def rate(chosen: np.ndarray, name: str) -> float:
        return float(chosen[(groups == name) & positive].mean())

    plain = scores > 0
    assert rate(plain, "a") - rate(plain, "b") > 0.5
    found = equal_opportunity(scores, positive, groups)
    chosen = scores >= Thresholds("yes", {"group": found}, len(scores)).bars("group", groups)
    assert rate(chosen, "a") == pytest.approx(rate(chosen, "b"), abs=1 / 200)
    assert found["a"] - found["b"] == pytest.approx(1.5, abs=0.25)
    assert (chosen == positive).mean() > (plain == positive).mean() + 0.1
