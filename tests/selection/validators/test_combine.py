"""Validators and arms put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from acclimate.errors import SettingsError
from acclimate.selection.validators import average, best, combine, infomax, stack


def test_combine_is_the_mean_rank() -> None:
    first, second = {"a": 0.1, "b": 0.9, "c": 0.5}, {"a": -3.0, "b": -3.0, "c": -1.0}
    assert combine(first, second) == pytest.approx(
        {"a": (1 + 1.5) / 2 / 3, "b": (3 + 1.5) / 2 / 3, "c": (2 + 3) / 2 / 3}
    )
    assert combine({"a": 1.0, "b": 2.0}, {"b": 5.0}) == {"b": 1.0}  # a lacks a score


def test_best_breaks_ties_by_name() -> None:
    scores = {"c": 1.0, "a": 1.0, "d": 2.0, "b": 0.0}
    assert best(scores, 3) == ["d", "a", "c"]
    assert best(dict(reversed(scores.items())), 3) == ["d", "a", "c"]
    with pytest.raises(SettingsError, match="top must be at least 1"):
        best(scores, 0)


def test_average_takes_the_top() -> None:
    arms = {"a": np.array([[1.0, 0.0]]), "b": np.array([[0.0, 1.0]]), "c": np.array([[0.5, 0.5]])}
    scores = {"a": 3.0, "b": 1.0, "c": 2.0}
    np.testing.assert_allclose(average(arms, scores, top=2), [[0.75, 0.25]])
    np.testing.assert_allclose(average(arms, scores, top=9), [[0.5, 0.5]])


def test_averaging_beats_the_best_of_independent_arms_and_not_a_far_better_one() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(600) % 3

    def arm(signal: float) -> np.ndarray:
        scores = np.exp(signal * np.eye(3)[truth] + rng.normal(size=(600, 3)))
        return scores / scores.sum(axis=1, keepdims=True)

    def accuracy(probabilities: np.ndarray) -> float:
        return float((probabilities.argmax(axis=1) == truth).mean())

    alike: dict[str, Any] = {f"arm {k}": arm(1.5) for k in range(7)}
    rated = {name: infomax(values) for name, values in alike.items()}
    assert accuracy(average(alike, rated)) > max(map(accuracy, alike.values())) + 0.05
    mixed = {"far better": arm(6.0)} | {f"arm {k}": arm(0.1) for k in range(4)}
    rated = {name: infomax(values) for name, values in mixed.items()}
    assert best(rated, 1) == ["far better"]
    assert accuracy(average(mixed, rated)) < accuracy(mixed["far better"])


def test_labels_move_the_weights_as_far_as_there_are_labels():
    prior = np.array([0.8, 0.2])
    likelihood = np.array([[0.1, 0.9]])  # the second arm gives each label nine times the probability
    few, many = (stack(np.repeat(likelihood, rows, axis=0), prior)[1] for rows in (2, 200))
    assert 0.2 < few < many
    assert many > 0.95
    np.testing.assert_allclose(stack(np.empty((0, 2)), prior), prior)


def test_the_weights_are_the_best_under_prior_and_labels():
    rng = np.random.default_rng(0)
    likelihood, prior = rng.uniform(0.05, 1, (30, 3)), np.array([0.5, 0.3, 0.2])

    def value(weights):
        return np.log(likelihood @ weights).sum() + 3 * (prior * np.log(weights)).sum()

    found = stack(likelihood, prior)
    assert found.sum() == pytest.approx(1)
    assert all(value(found) >= value(other) for other in rng.dirichlet(np.ones(3), 2000))
