"""Class shares and corrected answers against loops and exact cases."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.methods.label_shift.pieces import bbse, calibrate, correct, mlls, soften, weights

MEANS = np.array([[0.0, 0.0], [1.8, 0.0], [0.0, 1.8]])
SOURCE, TARGET = np.array([0.4, 0.4, 0.2]), np.array([0.1, 0.2, 0.7])


def drawn(shares: np.ndarray, n: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes of given shares, and the exact logits of a Gaussian classifier trained at `SOURCE`."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(3, n, p=shares)
    points = MEANS[classes] + rng.normal(size=(n, 2))
    return np.log(SOURCE) - 0.5 * ((points[:, None] - MEANS) ** 2).sum(axis=2), classes


def test_expectation_maximisation_finds_the_shares_and_the_likeliest_ones():
    logits, classes = drawn(TARGET)
    probs = soften(logits, 1.0)
    found = mlls(probs, SOURCE)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, np.bincount(classes) / len(classes), atol=0.03)

    def likelihood(shares):
        return np.log(probs @ (shares / SOURCE)).mean()

    for step in 0.01 * np.random.default_rng(0).normal(size=(50, 3)):
        other = np.abs(found + step) / np.abs(found + step).sum()
        assert likelihood(other) <= likelihood(found) + 1e-12


def test_one_step_of_it_in_loops():
    probs, source = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), np.array([0.6, 0.4])
    shares = source
    for _ in range(5):
        rows = [[p * q / s for p, q, s in zip(row, shares, source, strict=True)] for row in probs]
        shares = np.mean([[v / sum(row) for v in row] for row in rows], axis=0)
    np.testing.assert_allclose(mlls(probs, source, most=5), shares, rtol=1e-12)


def test_an_absent_class_and_a_class_unknown_to_the_source():
    sure = np.eye(3)[[0, 0, 1, 0]] * 0.98 + 0.02 / 3
    found = mlls(sure, np.full(3, 1 / 3))
    assert found[2] < 1e-6 and found[0] > 0.7
    given = weights(np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5]))
    np.testing.assert_allclose(given, [1.0, 1.0, 1e-4])


def test_confusion_matrix_finds_the_shares():
    source, target = drawn(SOURCE, seed=1), drawn(TARGET)
    found = bbse(soften(source[0], 1.0), source[1], soften(target[0], 1.0))
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, TARGET, atol=0.04)
    exact = bbse(np.eye(3)[[0, 0, 1, 2]], np.array([0, 0, 1, 2]), np.eye(3)[[1] * 1000])
    assert exact[1] > exact[0] and exact[1] > exact[2] and (exact >= 0).all()


def test_a_useless_classifier_and_few_rows_change_little():
    rng = np.random.default_rng(0)
    flat = soften(0.01 * rng.normal(size=(30, 3)), 1.0)
    found = bbse(flat, np.arange(30) % 3, soften(0.01 * rng.normal(size=(30, 3)) + [0.05, 0, 0], 1.0))
    np.testing.assert_allclose(found, np.full(3, 1 / 3), atol=0.05)
    plain = np.linalg.solve(flat.T @ np.eye(3)[np.arange(30) % 3] / 30, flat[::-1][:7].mean(axis=0))
    assert np.abs(plain).max() > 2  # what it would be without


def test_a_class_without_held_out_rows_has_no_share():
    probs = soften(drawn(SOURCE, 200)[0], 1.0)
    classes = np.arange(200) % 2
    assert bbse(probs, classes, probs)[2] == 0


def test_calibration_finds_temperature_and_biases():
    logits, classes = drawn(SOURCE, 6000, seed=2)
    heat, bias = calibrate(3 * (logits - [0.5, 0, -0.5]), classes)
    assert heat == pytest.approx(3, rel=0.1)
    np.testing.assert_allclose(bias - bias[1], [0.5, 0, -0.5], atol=0.12)
    answers = soften(3 * (logits - [0.5, 0, -0.5]), heat, bias)
    np.testing.assert_allclose(answers.mean(axis=0), np.bincount(classes) / 6000, atol=2e-3)
    plain, none = calibrate(3 * logits, classes, bias=False)
    assert plain == pytest.approx(3, rel=0.1) and not none.any()


@pytest.mark.parametrize("logits", [np.eye(2)[[0, 1] * 3] * 50, np.array([[1e4, -1e4], [-1e4, 1e4]]), np.zeros((1, 2))])
def test_calibration_of_few_or_separable_rows_stays_sane(logits):
    heat, bias = calibrate(logits, np.arange(len(logits)) % 2)
    assert 0.05 <= heat <= 20 and np.abs(bias).max() < 1


@pytest.mark.parametrize("bias", [True, False])
def test_many_replicates_at_once_are_each_what_they_are_alone(bias):
    logits, classes = drawn(SOURCE, 300, seed=3)
    picks = np.random.default_rng(0).integers(300, size=(4, 120))
    heat, shift = calibrate(logits[picks], classes[picks], bias=bias)
    answers = soften(logits[picks], heat, shift)
    shares = mlls(answers, np.tile(SOURCE, (4, 1)))
    assert heat.shape == (4,) and shift.shape == shares.shape == (4, 3)
    for k, pick in enumerate(picks):
        alone = calibrate(logits[pick], classes[pick], bias=bias)
        assert heat[k] == pytest.approx(alone[0], rel=1e-3)
        np.testing.assert_allclose(shift[k], alone[1], atol=1e-3)
        np.testing.assert_allclose(answers[k], soften(logits[pick], heat[k], shift[k]), rtol=1e-12)
        np.testing.assert_allclose(shares[k], mlls(answers[k], SOURCE), atol=1e-6)


def test_corrected_answers():
    found = correct(np.array([[0.5, 0.5], [0.8, 0.2]]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(found, [[0.75, 0.25], [2.4 / 2.6, 0.2 / 2.6]])
