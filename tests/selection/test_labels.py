"""Which rows to label, and what labels buy, on numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.selection.labels import Curve, disagreement, informative, learning_curve, worth


def test_disagreement_is_the_information_that_the_arm_has_on_the_answer():
    sure = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    other = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    # alike; sure and opposite: H(1/2) - 0; all unsure: nothing that a label could settle
    np.testing.assert_allclose(disagreement({"a": sure, "b": other}), [0, np.log(2), 0], atol=1e-12)
    np.testing.assert_allclose(disagreement({"a": sure}), [0, 0, np.log(2)], atol=1e-12)


def test_disagreement_of_numbers_is_their_variance():
    np.testing.assert_allclose(disagreement({"a": np.array([1.0, 5.0]), "b": np.array([1.0, 7.0])}), [0, 1])
    np.testing.assert_allclose(disagreement({"a": np.array([1.0, 5.0])}), [1, 1])


def test_rows_are_disputed_and_far_from_each_other():
    angles = np.repeat([0.0, 2.1, 4.2], 50) + np.random.default_rng(0).normal(0, 0.01, 150)
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    weights = np.full(150, 0.5)
    weights[::2] = 0.0
    for seed in range(5):
        taken = informative(weights, features, 3, seed)
        assert sorted(taken // 50) == [0, 1, 2], "one of each clump"
        assert (weights[taken] > 0).all()
    assert informative(weights, features, 3, 0).tolist() == informative(weights, features, 3, 0).tolist()


def test_the_most_disputed_row_comes_first_and_no_row_twice():
    rng = np.random.default_rng(0)
    weights, features = rng.uniform(size=40), rng.normal(size=(40, 3))
    taken = informative(weights, features, 100)
    assert taken[0] == weights.argmax()
    assert sorted(taken) == list(range(40))
    copies = informative(np.ones(6), np.ones((6, 2)), 6)
    assert sorted(copies) == list(range(6))


def test_a_curve_finds_the_law_that_made_it():
    labels = np.arange(1000) % 2
    curve = learning_curve(lambda rows: 0.1 + 0.8 * len(rows) ** -0.5, labels)
    assert curve.sizes == (10, 20, 50, 100, 200, 500, 1000)
    np.testing.assert_allclose(curve.laws[0], [0.1, 0.8, 0.5], atol=1e-6)
    assert curve.labels(0.1 + 0.8 * 64**-0.5)[0] == pytest.approx(64, rel=1e-3)
    assert curve.labels(0.09)[0] == np.inf
    assert curve.labels(5.0)[0] == 1


def test_training_rows_hold_two_classes_and_are_different_rows():
    labels = np.array([1] + [0] * 99)
    seen = []
    learning_curve(lambda rows: seen.append(rows) or 0.5, labels, sizes=(5, 10, 20))
    assert all(len(set(rows)) == len(rows) and set(labels[rows]) == {0, 1} for rows in seen)
    assert learning_curve(lambda rows: 0.5, labels, sizes=(5, 500, 1000)) is None
    assert learning_curve(lambda rows: 0.5, np.zeros(99)) is None


def test_noise_widens_the_interval():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2

    def noisy(spread):
        return learning_curve(lambda rows: 0.1 + 0.8 * len(rows) ** -0.5 + rng.normal(0, spread), labels)

    little, much = (worth(noisy(spread), (0.2, 0.2, 0.2)) for spread in (0.001, 0.05))
    assert little[1] <= little[0] <= little[2] and little[0] == pytest.approx(64, rel=0.1)
    assert much[2] - much[1] > 3 * (little[2] - little[1])


def test_what_is_never_reached_is_infinite_and_so_is_its_upper_end():
    curve = Curve((10, 20), (0.3, 0.2), np.array([[0.1, 1.0, 1.0]] * 3))
    assert worth(curve, (0.05, 0.02, 0.2)) == (np.inf, pytest.approx(10.0), np.inf)
    assert worth(curve, (0.2, 0.2, 0.2)) == pytest.approx((10.0, 10.0, 10.0))
