"""Class shares of the target: estimated, stated, matched."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from acclimate.errors import SettingsError
from acclimate.methods.label_shift.pieces import correct
from acclimate.selection.shares import distance, estimate, fit, hinge, match, plausible, stated

EVEN = np.ones(3) / 3
CENTRES = np.array([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]])


def rows(n: int, shares: np.ndarray, seed: int, moved: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=shares)
    return CENTRES[y] + rng.normal(size=(n, 4)) + moved * np.eye(4)[0], y


def answered(
    shares: np.ndarray, seed: int, moved: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Answers on held-out source rows with their classes, and on the target with its own."""
    model = LogisticRegression().fit(*rows(1500, EVEN, seed))
    x, y = rows(500, EVEN, seed + 100)
    new, truth = rows(1500, shares, seed + 200, moved)
    return model.predict_proba(x), y, model.predict_proba(new), truth


SHIFTED = np.array([0.7, 0.25, 0.05])


def right(probabilities: np.ndarray, truth: np.ndarray) -> float:
    return float((probabilities.argmax(axis=1) == truth).mean())


def test_the_mean_matched_answer_is_the_stated_shares() -> None:
    target = answered(SHIFTED, 0)[2]
    wanted = np.array([0.2, 0.3, 0.5])
    offsets = match(target, wanted)
    np.testing.assert_allclose(correct(target, np.exp(offsets)).mean(axis=0), wanted, atol=1e-5)
    assert offsets.mean() == pytest.approx(0, abs=1e-9)


def test_with_slack_answers_move_no_further_than_into_the_box() -> None:
    target = answered(SHIFTED, 0)[2]
    before, wanted = target.mean(axis=0), np.array([0.2, 0.3, 0.5])
    mean = correct(target, np.exp(match(target, wanted, 0.3))).mean(axis=0)
    apart = np.abs(mean / wanted - 1)
    assert apart.max() == pytest.approx(0.3, abs=1e-4), "on its edge, where it was outside"
    assert np.abs(before / wanted - 1).max() > 0.4
    near = before * np.array([1.2, 1.0, 0.9])
    assert np.abs(match(target, near / near.sum(), 0.3)).max() < 1e-6, "inside, nothing moves"


def test_of_two_classes_the_solution_is_known() -> None:
    """Rows that all have one answer p: the corrected one is q, so the offsets differ by logit q - logit p."""
    offsets = match(np.tile([0.8, 0.2], (10, 1)), np.array([0.5, 0.5]))
    assert offsets[1] - offsets[0] == pytest.approx(np.log(4), abs=1e-6)


def test_a_class_that_is_stated_as_absent_leaves_finite_offsets() -> None:
    target = answered(SHIFTED, 0)[2]
    matched = correct(target, np.exp(match(target, np.array([0.75, 0.25, 0.0]))))
    assert matched.mean(axis=0)[2] == pytest.approx(0, abs=2e-3)
    assert np.isfinite(matched).all()


@pytest.mark.parametrize("seed", range(3))
def test_under_label_shift_stating_the_shares_helps(seed: int) -> None:
    _, _, target, truth = answered(SHIFTED, seed)
    exact, rough = (correct(target, np.exp(match(target, q))) for q in (SHIFTED, np.array([0.6, 0.3, 0.1])))
    assert right(exact, truth) > right(target, truth) + 0.02
    assert right(exact, truth) > right(rough, truth) > right(target, truth)


@pytest.mark.parametrize("seed", range(3))
def test_matching_also_undoes_a_bias_that_the_source_prior_knows_nothing_of(seed: int) -> None:
    """The target is moved towards one class: dividing by the source's shares leaves that bias in."""
    _, _, target, truth = answered(SHIFTED[::-1], seed, moved=1.0)
    by_prior = correct(target, SHIFTED[::-1] / EVEN)
    assert right(correct(target, np.exp(match(target, SHIFTED[::-1]))), truth) > right(by_prior, truth) + 0.01


@pytest.mark.parametrize("seed", range(4))
def test_shares_are_found_where_only_shares_changed(seed: int) -> None:
    source, targets, target, truth = answered(SHIFTED, seed)
    found = estimate(source, targets, target)
    real = np.bincount(truth, minlength=3) / len(truth)
    assert distance(found.mlls, real) < 0.05
    assert distance(found.bbse, real) < 0.08
    assert found.doubts == ()
    assert found.low is not None and found.high is not None
    assert ((found.low - 0.02 <= real) & (real <= found.high + 0.02)).all()


@pytest.mark.parametrize("seed", range(4))
def test_there_are_doubts_where_the_looks_changed(seed: int) -> None:
    source, targets, target, _ = answered(EVEN, seed, moved=2.0)
    assert any("more than shares changed" in why for why in estimate(source, targets, target).doubts)


def test_few_rows_have_no_interval() -> None:
    source, targets, target, _ = answered(SHIFTED, 0)
    found = estimate(source[:5], targets[:5], target)
    assert found.low is None and "too few rows" in found.doubts[0]
    assert len(plausible(found)) == 6


def test_the_seed_decides_and_order_of_classes_does_not() -> None:
    source, targets, target, _ = answered(SHIFTED, 0)
    one, same = estimate(source, targets, target, 20, seed=1), estimate(source, targets, target, 20, seed=1)
    np.testing.assert_array_equal(one.low, same.low)
    turned = estimate(source[:, ::-1], 2 - targets, target[:, ::-1], 20, seed=1)
    np.testing.assert_allclose(turned.mlls[::-1], one.mlls, atol=1e-3)


def test_answers_that_are_certain_hinge_on_nothing() -> None:
    certain = np.repeat(np.eye(3) * 0.9999 + 1e-5, 20, axis=0)
    shares = [np.array([0.30, 0.35, 0.35]), np.array([0.35, 0.35, 0.30])]
    assert hinge(certain / certain.sum(axis=1, keepdims=True), shares) == 0
    target = answered(SHIFTED, 0)[2]
    assert hinge(target, [SHIFTED, SHIFTED[::-1]]) > 0.1


def test_fit_is_that_of_the_likeliest_classes() -> None:
    answers = np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.7, 0.3]])
    assert fit(answers, np.array([0.75, 0.25])) == 1.0
    assert fit(answers, np.array([0.25, 0.75])) == 0.5


def test_what_is_stated() -> None:
    values, remarks = stated({"no": 0.25, "yes": 0.75}, ("no", "yes"))
    assert values.tolist() == [0.25, 0.75] and remarks == ()
    values, remarks = stated({"yes": 60, "no": 20}, ("no", "yes"))
    assert values.tolist() == [0.25, 0.75]
    assert remarks == ("target_shares sum to 80, not to 1; taken as no 0.250, yes 0.750",)
    values, remarks = stated({"yes": 0.33, "no": 0.66}, ("no", "yes"))
    assert values[1] == pytest.approx(1 / 3) and "sum to 0.99" in remarks[0]


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        ({"ye": 0.5, "no": 0.5}, "unknown class 'ye'; did you mean 'yes'"),
        ({"yes": 0.5}, "no share for no; every class needs one"),
        ({"yes": -0.5, "no": 1.5}, "at least 0"),
        ({"yes": 0.7, "no": 0.7}, "sum to 1.4, not to 1"),
        ({"yes": 0.2, "no": 0.6}, "sum to 0.8, not to 1"),
        ({"yes": 0.0, "no": 0.0}, "at least 0, some above"),
        ({"yes": float("nan"), "no": 1.0}, "at least 0"),
    ],
)
def test_what_cannot_be_stated(shares: dict[str, float], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        stated(shares, ("no", "yes"))
