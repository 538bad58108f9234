"""A forest answers as scikit-learn's does, from arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from acclimate.seeds import derive
from acclimate.training.forest import SMALLEST, Forest, grow

OPTIONS = {"trees": 20, "leaf": 1, "seed": 3}
SEED = {"random_state": derive(3, "forest") % 2**32}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 4)).astype(np.float32)
    x[:, 3] = rng.integers(0, 2, 150)  # thresholds at 0.5
    return x, x[:, 0] * x[:, 3] + 0.3 * rng.normal(size=150), rng.normal(size=(400, 4)).astype(np.float32)


def said(forest: Forest, features: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return forest(torch.from_numpy(features)).numpy()


def test_a_tree_worked_out_by_hand():
    """One split, x0 <= 1.5: left 0.25 of class 1, right all of it."""
    arrays = {
        "feature": torch.tensor([[0, 0, 0]], dtype=torch.int32), "left": torch.tensor([[1, 1, 2]], dtype=torch.int32),
        "right": torch.tensor([[2, 1, 2]], dtype=torch.int32), "threshold": torch.tensor([[1.5, 0.0, 0.0]]),
        "value": torch.tensor([[[0.5, 0.5], [0.75, 0.25], [0.0, 1.0]]]), "owner": torch.zeros(1, dtype=torch.int64),
    }  # fmt: skip
    found = np.exp(said(Forest(arrays, "log"), np.array([[1.5, 0], [1.6, 0]], dtype=np.float32)))
    assert found == pytest.approx(np.array([[0.75, 0.25], [SMALLEST, 1 - SMALLEST]]), abs=1e-6)


def test_classes_have_the_probabilities_of_scikit_learn(rows):
    x, y, other = rows
    targets = np.digitize(y, [-0.3, 0.4])
    forest = grow("class", x, targets, 4, **OPTIONS)
    theirs = RandomForestClassifier(20, **SEED).fit(x, targets)
    for features in (x, other):
        expected = np.pad(theirs.predict_proba(features), ((0, 0), (0, 1)))
        assert np.exp(said(forest, features)) == pytest.approx(expected.clip(SMALLEST, 1 - SMALLEST), abs=1e-5)


def test_each_label_has_a_forest_on_the_rows_of_which_it_is_known(rows):
    x, y, other = rows
    targets = np.stack([y > 0, x[:, 1] > 0.2], axis=1).astype(np.float32)
    targets[::3, 0] = np.nan
    found = said(grow("labels", x, targets, 0, **{**OPTIONS, "trees": 120}), other)
    for k, (column, known) in enumerate(zip(targets.T, ~np.isnan(targets.T), strict=True)):
        theirs = RandomForestClassifier(60, **SEED).fit(x[known], column[known].astype(int)).predict_proba(other)[:, 1]
        assert 1 / (1 + np.exp(-found[:, k])) == pytest.approx(theirs.clip(SMALLEST, 1 - SMALLEST), abs=1e-5)


@pytest.mark.parametrize("kind", ["number", "numbers"])
def test_numbers_are_means_of_leaves(rows, kind):
    x, y, other = rows
    targets = y if kind == "number" else np.stack([y, x[:, 2]], axis=1)
    theirs = RandomForestRegressor(20, max_features=1 / 3, **SEED).fit(x, targets).predict(other)
    assert said(grow(kind, x, targets, 0, **OPTIONS), other) == pytest.approx(theirs.reshape(len(other), -1), abs=1e-5)


def test_a_threshold_between_two_floats_parts_the_same_rows():
    """A float32 threshold above that of the tree would send the upper of two neighbours to the left."""
    low = np.nextafter(np.float32(1024), np.float32(2048))  # halfway to the next one rounds up
    x = np.array([[low], [np.nextafter(low, np.float32(2048))]] * 10, dtype=np.float32)
    found = said(grow("class", x, np.arange(20) % 2, 2, **OPTIONS), x[:2])
    assert found.argmax(axis=1).tolist() == [0, 1]
