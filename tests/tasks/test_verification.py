"""Verification by pairs: by hand, against scikit-learn, and as a task."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from acclimate.errors import DataError
from acclimate.tasks.verification import CHANCE, MOST_PAIRS, roc, weighted_verification


def at(*degrees):
    angle = np.deg2rad(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_by_hand():
    """a at 0 and 10 degrees, b at 50 and 80: of the pairs, 10 (a) and 30 (b) are same; 40, 50, 70 and 80 are not."""
    found = weighted_verification(at(0, 10, 50, 80), np.array(["a", "a", "b", "b"]))(None)
    assert found["eer"] == 0.0
    assert found["tar_at_far_0.01"] == 1.0
    assert found["threshold"] == pytest.approx(np.cos(np.deg2rad(30)))
    assert found["rank1"] == 1.0, "of 0, 10, 50 and 80 the nearest ones are 10, 0, 80 and 50"
    crossed = weighted_verification(at(0, 60, 20, 80), np.array(["a", "a", "b", "b"]))(None)
    # same: 60 and 60; strangers: 20, 20, 40, 80. Up to 40 degrees three of four strangers are in and no owner
    assert crossed == {
        "eer": pytest.approx((0.75 + 1) / 2),
        "tar_at_far_0.01": 0.0,
        "tar_at_far_0.001": 0.0,
        "threshold": pytest.approx(np.cos(np.deg2rad(40))),
        "rank1": 0.0,
    }


def test_length_plays_no_part_and_neither_does_the_order_of_rows():
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(40, 5)), rng.integers(4, size=40).astype(str)
    found = weighted_verification(vectors, labels)(None)
    order = rng.permutation(40)
    scaled = vectors * rng.uniform(0.1, 9, (40, 1))
    assert weighted_verification(scaled[order], labels[order])(None) == pytest.approx(found)


def test_rates_are_those_of_scikit_learns_curve():
    rng = np.random.default_rng(1)
    labels = rng.integers(6, size=120)
    vectors = rng.normal(size=(6, 8))[labels] + rng.normal(size=(120, 8))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = np.triu_indices(120, 1)
    admitted, accepted, _ = roc_curve(
        labels[first] == labels[second], (unit @ unit.T)[first, second], drop_intermediate=False
    )
    k = np.argmin(np.abs(admitted - (1 - accepted)))
    found = weighted_verification(vectors, labels)(None)
    assert found["eer"] == pytest.approx((admitted[k] + 1 - accepted[k]) / 2)
    for far in (0.01, 0.001):
        assert found[f"tar_at_far_{far:g}"] == pytest.approx(accepted[admitted <= far].max())
    curve = roc(vectors, labels)
    at_hand = dict(zip(admitted.tolist(), accepted.tolist(), strict=True))  # the last point of each share of strangers
    assert len(curve["far"]) > 50
    assert curve["far"][-1] == curve["tar"][-1] == 1.0
    assert all(at_hand[far] == pytest.approx(tar) for far, tar in zip(curve["far"], curve["tar"], strict=True))
    assert np.all(np.diff(curve["threshold"]) < 0)


def test_a_row_that_counts_twice_makes_its_pairs_count_twice_and_none_with_itself():
    """a at 0, 30 and 70, b at 50: same 30, 40, 70; strangers 20, 20, 50. At 30: one owner, two strangers."""
    weighted = weighted_verification(at(0, 30, 70, 50), np.array(["a", "a", "a", "b"]))
    assert weighted(None)["eer"] == pytest.approx(2 / 3)
    # the second row twice: same 30 and 40 twice; one of the 20s twice. Then 2 of 5 owners, 3 of 4 strangers
    assert weighted(np.array([1, 2, 1, 1]))["eer"] == pytest.approx((3 / 4 + 3 / 5) / 2)
    assert weighted(np.array([0, 2, 0, 0])) == CHANCE


def test_identification_counts_rows_that_can_be_found():
    """a at 0 and 20, b at 15 and 90, c alone at 92: 20 and 90 find strangers, so does b at 15; a at 0 too (15)."""
    vectors, labels = at(0, 20, 15, 90, 92, 21), np.array(["a", "a", "b", "b", "c", "a"])
    weighted = weighted_verification(vectors, labels)
    # nearest: 0 -> 15 (b), 20 -> 21 (a), 15 -> 20 (a), 90 -> 92 (c), 21 -> 20 (a); c has no other row
    assert weighted(None)["rank1"] == pytest.approx(2 / 5)
    assert weighted(np.array([1, 3, 1, 1, 9, 1]))["rank1"] == pytest.approx(4 / 7)


def test_many_rows_are_judged_by_a_sample_of_pairs():
    rng = np.random.default_rng(2)
    labels = rng.integers(10, size=1500)
    vectors = rng.normal(size=(10, 4))[labels] + 0.8 * rng.normal(size=(1500, 4))
    sampled, again = (weighted_verification(vectors, labels)(None) for _ in range(2))
    assert sampled == again
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = np.triu_indices(1500, 1)
    assert len(first) > 10 * MOST_PAIRS
    score, same = (unit @ unit.T)[first, second], labels[first] == labels[second]
    threshold = sampled["threshold"]
    rates = np.mean(score[~same] >= threshold), np.mean(score[same] < threshold)
    assert sampled["eer"] == pytest.approx(np.mean(rates), abs=0.01)


def test_what_cannot_be_told():
    assert weighted_verification(at(0, 10), np.array(["a", "a"]))(None) == CHANCE
    assert weighted_verification(at(0), np.array(["a"]))(None) == CHANCE
    assert weighted_verification(None, np.array(["a", "b"]))(None) == CHANCE
    with pytest.raises(DataError, match="no rows"):
        weighted_verification(at(), np.array([]))
