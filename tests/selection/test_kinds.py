"""The kind of shift, told on generated shifts of every kind: Gaussian classes, and real digits (64 pixels)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.datasets import load_digits

from acclimate.selection.kinds import Kind, Rows, Seen, far, kind
from acclimate.selection.probe import answers, reduced


@dataclass
class Pair:
    """Source and target with their classes; -1 for one that the source does not have."""

    x: np.ndarray
    y: np.ndarray
    new: np.ndarray
    truth: np.ndarray
    rng: np.random.Generator


def gauss(seed: int) -> Pair:
    rng = np.random.default_rng(seed)
    y = rng.integers(5, size=2000)
    x = rng.normal(size=(5, 40))[y] * 0.9 + rng.normal(size=(2000, 40))
    return Pair(x[:1000], y[:1000], x[1000:], y[1000:], rng)


def digits(seed: int) -> Pair:
    rng = np.random.default_rng(seed)
    data = load_digits()
    order = rng.permutation(len(data.target))
    x, y = data.data[order], data.target[order]
    return Pair(x[:900], y[:900], x[900:], y[900:], rng)


def none(pair: Pair) -> None:
    pass


def label(pair: Pair) -> None:
    """Some classes become rare, others common."""
    classes = pair.y.max() + 1
    odds = pair.rng.permutation(np.geomspace(0.05, 1, classes))[pair.truth]
    keep = pair.rng.random(len(odds)) < odds
    pair.new, pair.truth = pair.new[keep], pair.truth[keep]


def new_classes(pair: Pair) -> None:
    """The source has never seen a quarter of the classes."""
    classes = pair.y.max() + 1
    gone = pair.rng.choice(classes, classes // 4, replace=False)
    keep = ~np.isin(pair.y, gone)
    names = np.unique(pair.y[keep])
    pair.x, pair.y = pair.x[keep], np.searchsorted(names, pair.y[keep])
    pair.truth = np.where(np.isin(pair.truth, gone), -1, np.searchsorted(names, pair.truth))


def covariate(pair: Pair) -> None:
    """Everything is moved."""
    pair.new = pair.new + 0.3 * pair.new.std() * pair.rng.choice([-1, 1], pair.new.shape[1])


def selection(pair: Pair) -> None:
    """Rows of a direction are drawn more often, whatever their class."""
    side = (pair.new - pair.new.mean(axis=0)) @ pair.rng.normal(size=pair.new.shape[1])
    odds = np.exp(2 * side / side.std())
    chosen = pair.rng.choice(len(odds), len(odds) // 3, replace=False, p=odds / odds.sum())
    pair.new, pair.truth = pair.new[chosen], pair.truth[chosen]


def noise(pair: Pair) -> None:
    """Rows are far from the source's, but of no new class."""
    pair.new = pair.new + 0.5 * pair.new.std() * pair.rng.normal(size=pair.new.shape)


def told(pair: Pair, permitted: np.ndarray | None = None, seed: int = 0) -> Kind:
    source, target = reduced(pair.x, pair.new, seed)
    held = np.arange(len(pair.y)) % 5 == 0
    said = answers(source, pair.y, held, target, int(pair.y.max()) + 1)
    return kind(Rows(source, target, pair.y, held, *said, permitted), seed)


EXPECTED = {
    none: "none",
    label: "label",
    new_classes: "new_classes",
    covariate: "covariate",
    selection: "covariate",
    noise: "covariate",
}


@pytest.mark.parametrize("base", [gauss, digits])
@pytest.mark.parametrize("change", EXPECTED)
def test_each_kind_is_told(base, change) -> None:
    for seed in range(3):
        pair = base(seed)
        change(pair)
        found = told(pair)
        assert found.name == EXPECTED[change], (seed, found)
        assert found.confidence == found.probabilities[found.name] > 0.5
        assert sum(found.probabilities.values()) == pytest.approx(1)


def test_the_share_of_new_classes_is_about_right() -> None:
    pair = digits(0)
    new_classes(pair)
    assert told(pair).far == pytest.approx((pair.truth == -1).mean(), abs=0.05)


@pytest.mark.parametrize("base", [gauss, digits])
def test_concept_shift_is_seen_in_permitted_labels_alone(base) -> None:
    pair = base(0)
    sealed = told(pair)
    assert (sealed.name, sealed.excess_error) == ("none", None)
    labels = np.full(len(pair.truth), -1)
    labels[:80] = pair.truth[:80]
    assert told(pair, labels).name == "none"
    labels[:80] = (pair.truth[:80] + (pair.rng.random(80) < 0.4)) % (pair.y.max() + 1)
    found = told(pair, labels)
    assert found.name == "concept"
    assert found.excess_error == pytest.approx(0.4, abs=0.15)


def test_a_covariate_shift_with_labels_is_no_concept_shift() -> None:
    pair = gauss(0)
    selection(pair)
    assert told(pair, pair.truth).name == "covariate"


def test_shares_that_are_known_to_have_moved_are_a_shift_even_if_little_is_seen() -> None:
    """Classes that look much alike: other shares move the looks but little."""
    rng = np.random.default_rng(0)
    y, truth = rng.integers(2, size=1000), (rng.random(1000) < 0.2).astype(int)
    x, new = (rng.normal(size=(1000, 10)) + 0.9 * (c[:, None] == 1) * np.eye(10)[0] for c in (y, truth))
    source, target = reduced(x, new)
    held = np.arange(1000) % 5 == 0
    rows = Rows(source, target, y, held, *answers(source, y, held, target, 2))
    assert kind(rows, moved=0.3).probabilities["label"] > max(0.9, kind(rows).probabilities["label"])


def test_numbers_have_no_classes_to_explain_a_gap() -> None:
    pair = gauss(0)
    label(pair)
    found = kind(Rows(*reduced(pair.x, pair.new)))
    assert (found.name, found.auc_same_shares, found.far) == ("covariate", None, None)


def test_copies_of_rows_are_no_shift() -> None:
    """Each row of either side is there twenty times: only a classifier that remembers them tells the sides apart."""
    rng = np.random.default_rng(0)
    content = np.repeat(np.arange(60), 20)
    values = rng.normal(size=(60, 40))[content]
    known = kind(Rows(values[:600], values[600:], content=content))
    assert known.auc < 0.7 < kind(Rows(values[:600], values[600:])).auc


def test_a_target_that_is_the_source_again_is_no_shift() -> None:
    """A classifier that learns nothing gives every row the same score: ties are half won."""
    values = np.random.default_rng(0).normal(size=(200, 5))
    found = kind(Rows(values, values, content=np.tile(np.arange(200), 2)))
    assert (found.name, found.auc) == ("none", pytest.approx(0.5, abs=0.01))
    is_target, ones = np.repeat([False, True], 3), np.ones(6)
    assert Seen(np.zeros(6), is_target, ones, np.arange(6)).auc() == 0.5
    one_higher = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    assert Seen(one_higher, is_target, ones, np.arange(6)).auc() == pytest.approx((3 + 6 * 0.5) / 9)


def test_few_rows_are_less_sure() -> None:
    pair = gauss(0)
    pair.new = pair.new + 0.15
    few = Pair(pair.x[:60], pair.y[:60], pair.new[:60], pair.truth[:60], pair.rng)
    assert told(pair).name == "covariate"
    assert told(few).confidence < told(pair).confidence


def test_far_rows_of_noise_have_no_mates() -> None:
    for change, crowd in ((new_classes, True), (noise, False)):
        pair = digits(1)
        change(pair)
        source, target = reduced(pair.x, pair.new)
        novel, mates = far(Rows(source, target))
        assert (mates.sum() > novel[len(source) :].sum() / 2) == crowd
        assert novel[: len(source)].mean() == pytest.approx(0.1, abs=0.01)
