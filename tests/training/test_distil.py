"""A head fitted to probabilities: the optimum, what held-out rows choose, sparse features."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from acclimate.training.distil import distil

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(200, 4))


def test_hard_targets_give_scikit_learns_optimum():
    labels = (VALUES @ RNG.normal(size=(4, 3)) + RNG.normal(size=(200, 3))).argmax(axis=1)
    (weight, bias), penalty = distil(VALUES, np.eye(3)[labels], (10.0,))
    expected = LogisticRegression(C=0.1, max_iter=1000, tol=1e-8).fit(VALUES, labels)
    assert penalty == 10.0
    np.testing.assert_allclose(softmax(VALUES @ weight.T + bias, axis=1), expected.predict_proba(VALUES), atol=1e-3)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_a_linear_teacher_is_learned_with_the_smallest_penalty(form):
    teacher = softmax(VALUES @ RNG.normal(size=(4, 3)), axis=1)
    (weight, bias), penalty = distil(form(VALUES), teacher, (1e-3, 1.0, 1e3))
    assert penalty == 1e-3
    np.testing.assert_allclose(softmax(VALUES @ weight.T + bias, axis=1), teacher, atol=0.01)


def test_a_teacher_that_does_not_follow_the_features_asks_for_a_large_penalty():
    teacher = np.eye(2)[RNG.integers(0, 2, 200)]
    assert distil(RNG.normal(size=(200, 40)), teacher, (1e-3, 1.0, 1e3))[1] == 1e3


def test_a_handful_of_rows_takes_the_middle_of_the_penalties():
    assert distil(VALUES[:5], np.full((5, 2), 0.5), (0.1, 1.0, 10.0))[1] == 1.0
