"""Attacks on rows whose membership is known, with figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from acclimate.trust.privacy.attacks import least_epsilon, lira, logit, measured, rmia


def test_logit_of_probabilities():
    assert logit(np.array([0.5, 0.9])) == pytest.approx([0.0, math.log(9)])
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_measures_by_hand():
    """Members 3, 2, 1, others 0 .. 199 at or below 0 but two at 1.5: 2 of 3 members pass the one-percent threshold."""
    others = np.concatenate([np.linspace(-1, 0, 298), [1.5, 1.5]])
    scores = np.concatenate([[3.0, 2.0, 1.0], others])
    members = np.arange(len(scores)) < 3
    found = measured(scores, members)
    assert found["auc"] == pytest.approx((1 + 1 + 298 / 300) / 3)
    assert found["tpr"]["0.01"]["value"] == 1.0  # three of 300 may be accused: the threshold is 0
    assert found["tpr"]["0.001"] is None


def test_scores_that_say_nothing():
    rng = np.random.default_rng(0)
    scores, members = rng.normal(size=4000), np.arange(4000) % 2 == 0
    found = measured(scores, members)
    low, high = found["auc_interval"]
    assert low < 0.5 < high
    assert found["tpr"]["0.01"]["low"] < 0.01 < found["tpr"]["0.01"]["high"]
    assert least_epsilon(scores, members, 1e-5) < 0.2


@pytest.fixture
def world():
    """512 rows of their own difficulty; a model that has seen a row is surer of it by 1.5; 24 shadows and a victim."""
    rng = np.random.default_rng(1)
    hard = rng.normal(scale=3.0, size=512)
    inside = rng.random((25, 512)) < 0.5
    logits = hard + 1.5 * inside + rng.normal(scale=0.5, size=inside.shape)
    return logits[0], logits[1:], inside[0], inside[1:]


def test_shadows_see_what_the_loss_cannot(world):
    scores, shadows, members, inside = world
    by_loss = measured(scores, members)["auc"]
    by_ratio = measured(lira(scores, shadows, inside), members)["auc"]
    p, q = 1 / (1 + np.exp(-scores)), 1 / (1 + np.exp(-shadows))
    relative = measured(rmia(p, q, inside, ~members), members)["auc"]
    assert by_loss < 0.7
    assert by_ratio > 0.95  # shift 1.5, noise 0.5: normal areas say 0.98
    assert relative > 0.85


def test_rows_that_no_shadow_was_without(world):
    scores, shadows, _, inside = world
    inside = inside.copy()
    inside[:, :100] = True
    assert np.isfinite(lira(scores, shadows, inside)).all()


def test_what_an_attack_proves():
    """Randomised response with epsilon 2: the bound stays below it and comes near with many rows."""
    rng = np.random.default_rng(2)
    members = rng.random(20_000) < 0.5
    keep = rng.random(20_000) < math.exp(2) / (1 + math.exp(2))
    said = np.where(keep, members, ~members)
    assert 1.8 < least_epsilon(said.astype(float), members, 0.0) <= 2.0
    assert least_epsilon(members.astype(float), members, 1e-5) > 6  # who tells everything is not private
