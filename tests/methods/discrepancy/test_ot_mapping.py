"""The plan on frozen features, where rows arrive, and what it is good for."""

from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.methods import registry
from acclimate.methods.data import Data
from acclimate.methods.discrepancy import ot_mapping
from acclimate.methods.discrepancy.ot_mapping import OTMapping, barycentric_map, class_regularised_plan
from acclimate.settings import build
from acclimate.tasks.classify import Classify
from acclimate.tasks.regress import Regress


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(registry.METHODS, "ot_mapping", "discrepancy.ot_mapping:OTMapping")


def test_the_plan_is_pots_for_a_mass_of_1_a_target_row():
    import ot

    rng = np.random.default_rng(0)
    cost, labels = rng.random((12, 9)), np.arange(12) % 3
    plan = class_regularised_plan(cost, labels, 0.2, 0.1)
    mass = np.full(12, 9 / 12), np.ones(9)
    wanted = ot.da.sinkhorn_lpl1_mm(mass[0], labels, mass[1], cost, 0.1, 0.2, numInnerItermax=1000) / 9
    np.testing.assert_allclose(plan, wanted, atol=2e-4)
    assert np.abs(plan - class_regularised_plan(cost, None, 0.2, 0.1)).max() > 0.01  # the class term does something
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 12, atol=1e-4)


def test_the_class_term_keeps_classes_out_of_each_others_rows():
    rng = np.random.default_rng(0)
    cost, labels = rng.random((40, 40)), np.repeat(["a", "b"], 20)

    def mixed(classes: float) -> float:
        plan = class_regularised_plan(cost, labels, classes, 0.1)
        share = plan[:20].sum(axis=0) / plan.sum(axis=0)
        return float(np.minimum(share, 1 - share).mean())

    assert mixed(0.0) > 0.2 > 0.08 > mixed(0.3)


def test_the_class_term_means_the_same_for_more_rows():
    cost, labels = np.random.default_rng(0).random((10, 8)), np.arange(10) % 2
    once = class_regularised_plan(cost, labels, 0.2, 0.1)
    thrice = class_regularised_plan(np.tile(cost, (3, 3)), np.tile(labels, 3), 0.2, 0.1)
    np.testing.assert_allclose(9 * thrice[:10, :8], once, atol=1e-5)


def test_rows_arrive_at_the_mean_of_their_targets():
    plan = np.array([[0.3, 0.1], [0.0, 0.0], [0.0, 0.2]])
    source, target = np.array([[5.0], [7.0], [9.0]]), np.array([[0.0], [4.0]])
    moved, weight = barycentric_map(plan, source, target)
    np.testing.assert_allclose(moved[:, 0], [1.0, 7.0, 4.0])  # no mass: it stays
    np.testing.assert_allclose(weight, [2.0, 0.0, 1.0])


def toy(n: int = 300, seed: int = 0, rare: float = 0.5) -> tuple[np.ndarray, ...]:
    """Two lobes, and in the target the same ones moved; ``rare``: share of the first class there."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    theirs = (rng.random(n) > rare).astype(int)
    centres = np.array([[-1.0, -1.0], [1.0, 1.0]])
    source = centres[labels] + rng.normal(0, 0.4, (n, 2))
    target = centres[theirs] * [1.0, 0.3] + [0.0, 2.5] + rng.normal(0, 0.4, (n, 2))
    return source.astype(np.float32), labels.astype(str), target.astype(np.float32), theirs.astype(str)


def test_the_order_of_the_rows_changes_no_bit():
    source, labels, target, _ = toy()
    rng = np.random.default_rng(1)
    a, b = rng.permutation(300), rng.permutation(300)
    for method in (OTMapping(), OTMapping(marginal=1.0)):
        moved, weight = method.carry(source, labels, target)
        turned, weight_turned = method.carry(source[a], labels[a], target[b])
        assert np.array_equal(moved[a], turned)
        assert weight is None or np.array_equal(weight[a], weight_turned)


def test_other_rows_move_as_the_nearest_chosen_one_of_their_class(monkeypatch):
    source, labels, target, theirs = toy()
    whole, _ = OTMapping().carry(source, labels, target)
    monkeypatch.setattr(ot_mapping, "LARGEST", 100)
    few, _ = OTMapping().carry(source, labels, target)
    kept = ot_mapping._by_content(source, labels)[:100]
    for row in range(300):
        own = kept[labels[kept] == labels[row]]
        guide = own[np.square(source[own] - source[row]).sum(axis=1).argmin()]
        np.testing.assert_allclose(few[row] - source[row], few[guide] - source[guide], atol=1e-5)
    for label in "01":
        np.testing.assert_allclose(few[labels == label].mean(0), target[theirs == label].mean(0), atol=0.25)
    assert not np.allclose(whole, few)


@pytest.fixture
def adapt(tmp_path):
    count = 0

    def make(source, labels, target, truth, **settings) -> dict[str, float]:
        nonlocal count
        count += 1
        run = ac.adapt(
            ac.read((source, labels), label="label"), ac.read(target), method={"name": "ot_mapping", **settings},
            backbone={"name": "columns"}, tune="frozen", plain_baseline=False, out=tmp_path / f"run{count}",
        )  # fmt: skip
        found = run.evaluate((target, truth), label="label")
        return {name: arm["metrics"]["accuracy"] for name, arm in found["arms"].items()}

    return make


def test_it_solves_a_shift_that_source_only_does_not(adapt):
    found = adapt(*toy())
    assert found["source_only"] < 0.75
    assert found["ot_mapping"] > 0.9


def test_with_other_class_shares_a_marginal_does_better_than_using_every_row_up(adapt):
    data = toy(rare=0.1)
    assert adapt(*data, marginal=0.5)["ot_mapping"] > adapt(*data)["ot_mapping"] + 0.1


def data(task) -> Data:
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    labels = np.arange(40) % 2 if task.name == "classify" else values[:, 0]
    return Data(ac.read((values, labels), label="label"), None, ac.read(values + 1), None, None, task, task)


def test_numbers_are_carried_without_a_class_term():
    found = data(Regress())
    source, target = (domain.rows.take(np.arange(40)) for domain in (found.source, found.target))
    carried, _ = OTMapping(classes=0.5).stages(found, True)[0].carry(source, found.source.labels, target)
    assert np.array_equal(carried, OTMapping(classes=0.0).carry(source, None, target)[0])
    assert not np.array_equal(carried, source)


def test_training_end_to_end_is_refused_and_names_deepjdot():
    with pytest.raises(SettingsError, match=r"closed form.*deepjdot"):
        OTMapping().stages(data(Classify(("0", "1"))), convex=False)


def test_sparse_features_are_refused():
    from scipy import sparse

    source, labels, target, _ = toy(20)
    with pytest.raises(SettingsError, match="dense"):
        OTMapping().carry(sparse.csr_matrix(source), labels, sparse.csr_matrix(target))


@pytest.mark.parametrize("settings", [{"entropy": 0}, {"classes": -1}, {"marginal": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        build(OTMapping, settings, "method ot_mapping")
