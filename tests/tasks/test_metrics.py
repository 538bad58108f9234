"""Metrics against scikit-learn's, hand computations, and known calibration."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from acclimate.errors import DataError
from acclimate.tasks import metrics

Case = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]


@pytest.fixture(params=[2, 5])
def case(request: pytest.FixtureRequest) -> Case:
    """Predictions that are right in about half of 400 rows; the last class is never a label."""
    rng = np.random.default_rng(request.param)
    classes = tuple(f"c{i}" for i in range(request.param))
    codes = rng.integers(max(1, request.param - 1), size=400) if request.param > 2 else rng.integers(2, size=400)
    probabilities = rng.dirichlet(np.ones(len(classes)), size=400) + 0.4 * np.eye(len(classes))[codes]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    names = np.array(classes, dtype=object)
    return names[probabilities.argmax(axis=1)], probabilities, names[codes], classes


@pytest.mark.parametrize("weighted", [False, True])
def test_classification_equals_sklearn(case: Case, weighted: bool) -> None:
    prediction, probabilities, labels, classes = case
    weight = np.random.default_rng(0).integers(0, 4, len(labels)).astype(float) if weighted else None
    found = metrics.classification(prediction, probabilities, labels, classes, weight)
    true, claimed = labels.astype(str), prediction.astype(str)
    options = {"sample_weight": weight}
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(true, claimed, **options), abs=1e-12)
    with pytest.warns(UserWarning) if len(set(claimed) - set(true)) else _nothing():
        assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(true, claimed, **options))
    f1 = sk.f1_score(true, claimed, labels=np.unique(true), average="macro", **options)
    assert found["macro_f1"] == pytest.approx(f1, abs=1e-12)
    loss = sk.log_loss(true, probabilities, labels=list(classes), **options)
    assert found["log_loss"] == pytest.approx(loss, abs=1e-12)


class _nothing:  # noqa: N801 (a context manager, used like pytest.warns)
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_a_label_that_is_no_class_is_an_error_of_probability_1e_15() -> None:
    probabilities = np.array([[0.75, 0.25], [0.75, 0.25]])
    found = metrics.classification(np.array(["a", "a"]), probabilities, np.array(["a", "new"]), ("a", "b"))
    assert found["accuracy"] == 0.5
    assert found["balanced_accuracy"] == 0.5
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["log_loss"] == pytest.approx(-(np.log(0.75) + np.log(1e-15)) / 2)


def test_answers_without_probabilities_have_no_log_loss() -> None:
    found = metrics.classification(np.array(["a", "b"]), None, np.array(["a", "a"]), ("a", "b"))
    assert found == {"accuracy": 0.5, "balanced_accuracy": 0.5, "macro_f1": pytest.approx(2 / 3)}


def test_ece_of_calibrated_and_of_overconfident_answers() -> None:
    """100 rows at confidence 0.8: 80 right is calibrated, 50 right is 0.3 off, in one bin."""
    probabilities = np.tile([0.8, 0.2], (100, 1))
    prediction = np.full(100, "a", dtype=object)
    for right, ece in [(80, 0.0), (50, 0.3), (100, 0.2)]:
        labels = np.array(["a"] * right + ["b"] * (100 - right), dtype=object)
        found = metrics.classification(prediction, probabilities, labels, ("a", "b"))
        assert found["ece"] == pytest.approx(ece, abs=1e-12)


def test_ece_does_not_cancel_between_bins() -> None:
    """Half of the rows 0.2 too sure and half 0.2 too modest: 0.2, not 0."""
    probabilities = np.repeat([[0.9, 0.1], [0.6, 0.4]], 100, axis=0)
    prediction = np.full(200, "a", dtype=object)
    labels = np.array((["a"] * 70 + ["b"] * 30) + (["a"] * 80 + ["b"] * 20), dtype=object)
    assert metrics.classification(prediction, probabilities, labels, ("a", "b"))["ece"] == pytest.approx(0.2)


@pytest.mark.parametrize("weighted", [False, True])
def test_regression_equals_sklearn_far_from_zero(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    labels = 1e8 + rng.normal(size=300)
    prediction = labels + rng.normal(scale=0.5, size=300)
    weight = rng.integers(0, 4, 300).astype(float) if weighted else None
    found = metrics.regression(prediction, labels, weight)
    options = {"sample_weight": weight}
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(labels, prediction, **options), rel=1e-9)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(labels, prediction, **options), rel=1e-9)
    assert found["r2"] == pytest.approx(sk.r2_score(labels, prediction, **options), rel=1e-6)


@pytest.mark.parametrize(("off", "r2"), [(0.0, 1.0), (0.5, 0.0)])
def test_r2_of_equal_labels_is_that_of_sklearn(off: float, r2: float) -> None:
    labels = np.full(7, 0.25)
    assert sk.r2_score(labels, labels + off) == r2
    assert metrics.regression(labels + off, labels)["r2"] == r2
    assert metrics.regression(np.full(7, 0.1) + off, np.full(7, 0.1))["r2"] == r2


def test_labels_may_be_canonical_strings() -> None:
    assert metrics.regression(np.array([1.0, 3.0]), np.array(["1", "2.5"], dtype=object))["mae"] == 0.25


def test_counts_as_weights_equal_repeated_rows(case: Case) -> None:
    prediction, probabilities, labels, classes = case
    counts = np.random.default_rng(3).integers(0, 3, len(labels))
    weighted = metrics.weighted_classification(prediction, probabilities, labels, classes)(counts)
    again = np.repeat(np.arange(len(labels)), counts)
    repeated = metrics.classification(prediction[again], probabilities[again], labels[again], classes)
    assert weighted == pytest.approx(repeated, abs=1e-12)


def test_no_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="no rows"):
        metrics.classification(np.array([]), np.zeros((0, 2)), np.array([]), ("a", "b"))
    with pytest.raises(DataError, match="no rows"):
        metrics.regression(np.array([]), np.array([]))


def test_many_weightings_at_once_are_what_each_is_alone(case: Case) -> None:
    """Also one that leaves no row of some class, and one of a single row."""
    prediction, probabilities, labels, classes = case
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 3, (5, len(labels))).astype(float)
    weights[1, labels == labels[0]] = 0
    weights[2] = np.arange(len(labels)) == 3
    for function in (
        metrics.weighted_classification(prediction, probabilities, labels, classes),
        metrics.weighted_regression(probabilities[:, 0], probabilities[:, 1]),
    ):
        found = metrics.each(function, weights)
        for k, weight in enumerate(weights):
            assert {name: values[k] for name, values in found.items()} == pytest.approx(function(weight), rel=1e-12)
        plain = metrics.each(lambda weight, one=function: one(weight), weights)
        assert list(plain) == list(found)
        assert all(plain[name] == pytest.approx(found[name], rel=1e-12) for name in found)
