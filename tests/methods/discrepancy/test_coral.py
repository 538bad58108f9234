"""CORAL: both forms against their formulas, when which one is taken, and what they are good for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.linalg import inv, sqrtm
from torch import nn

import acclimate as ac
from acclimate.backbones import registry as backbones
from acclimate.errors import SettingsError
from acclimate.methods import SourceOnly, registry
from acclimate.methods.data import Data
from acclimate.methods.discrepancy.coral import CORAL, coral_loss, coral_map
from acclimate.tasks.classify import Classify
from acclimate.tasks.regress import Regress
from acclimate.training.convex import fit_convex
from acclimate.training.device import place
from acclimate.training.infer import infer
from acclimate.training.model import Model
from acclimate.training.stage import Convex, Loop

RNG = np.random.default_rng(0)
SOURCE, TARGET = RNG.normal(size=(9, 3)), RNG.normal(size=(7, 3)) @ RNG.normal(size=(3, 3)) + 2


def test_the_loss_is_the_distance_of_the_covariances():
    expected = np.linalg.norm(np.cov(SOURCE.T) - np.cov(TARGET.T)) ** 2 / (4 * 3**2)
    assert coral_loss(torch.from_numpy(SOURCE), torch.from_numpy(TARGET)).item() == pytest.approx(expected)


def test_the_map_whitens_and_recolours():
    whiten = inv(sqrtm(np.cov(SOURCE.T) + np.eye(3)))
    recolour = sqrtm(np.cov(TARGET.T) + np.eye(3))
    expected = (SOURCE - SOURCE.mean(0)) @ whiten @ recolour + TARGET.mean(0)
    np.testing.assert_allclose(coral_map(SOURCE, TARGET), expected, rtol=1e-9)
    assert coral_map(SOURCE.astype(np.float32), TARGET).dtype == np.float32


def test_without_a_ridge_mean_and_covariance_are_the_targets():
    found = coral_map(SOURCE, TARGET, ridge=1e-12)
    np.testing.assert_allclose(found.mean(0), TARGET.mean(0))
    np.testing.assert_allclose(np.cov(found.T), np.cov(TARGET.T), rtol=1e-6)


def test_a_single_row_has_no_covariance_and_makes_no_nan():
    one = torch.ones(1, 3, requires_grad=True)
    coral_loss(one, torch.randn(4, 3)).backward()
    assert one.grad.isfinite().all()
    np.testing.assert_allclose(coral_map(SOURCE, TARGET[:1]).mean(0), TARGET[0])


def test_the_features_descend_the_loss(moved):
    def term(source, target):
        covariances = [torch.cov(step.sites["features"].values.T) for step in (source, target)]
        return 50 * (covariances[0] - covariances[1]).square().sum() / (4 * 4**2)

    moved(CORAL(strength=50), term)


def test_strength_0_is_source_only_bit_for_bit(same_as_source_only):
    same_as_source_only(CORAL(strength=0.0))


def spurious(where: str, seed: int = 0, n: int = 400):
    """Both numbers tell the class in the source; in the target the second is noise of twice the deviation."""
    rng = np.random.default_rng([seed, where == "source"])
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)
    x0 = sign + rng.normal(0, 0.4, n)
    x1 = sign + rng.normal(0, 0.3, n) if where == "source" else rng.normal(0, 2, n)
    return np.stack([x0, x1], axis=1).astype(np.float32), np.where(sign < 0, "no", "yes")


def test_the_deep_form_solves_a_shift_that_source_only_does_not(train, right):
    def judged(method) -> float:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(2, 100), nn.ReLU())
        training = {"steps": 200, "optimizer": "sgd", "schedule": "dann", "learning_rate": 0.03}
        model = train(method, spurious("source"), spurious("target"), network=network, **training)
        return right(model, spurious("target", seed=1))

    assert judged(SourceOnly()) < 0.75
    assert judged(CORAL(strength=1000)) > 0.9


def sheared(where: str, seed: int = 0, n: int = 400):
    """Two numbers, the first of which tells the class; the target's are moved, stretched and mixed."""
    rng = np.random.default_rng([seed, where == "source"])
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)
    values = np.stack([sign + rng.normal(0, 0.3, n), rng.normal(0, 1, n)], axis=1)
    if where != "source":
        values = values @ np.array([[10.0, 15.0], [15.0, 30.0]]) + 5
    return values.astype(np.float32), np.where(sign < 0, "no", "yes")


def solved(method: CORAL, source, target, task) -> Model:
    """The model after the method's convex stage."""
    known, unknown = ac.read(source, label="label"), ac.read(target[0])
    (stage,) = method.stages(Data(known, None, unknown, None, None, task, task), True)
    assert isinstance(stage, Convex) and stage.target is unknown
    backbone = backbones.create("columns", "array", {"standardize": False})
    backbone.fit(known)
    model = Model(backbone, task, standardize=True)
    fit_convex(model, {"columns": known}, None, ("columns",), None, {"columns": unknown}, stage.carry)
    return model


def test_the_closed_form_solves_a_shift_that_source_only_does_not(right):
    source, target, test = sheared("source"), sheared("target"), sheared("target", seed=1)
    task = Classify(("no", "yes"))
    assert right(solved(CORAL(strength=0), source, target, task), test) < 0.8  # source_only
    assert right(solved(CORAL(), source, target, task), test) > 0.97


def test_the_closed_form_helps_a_regression():
    def amounts(where: str, seed: int = 0):
        values, _ = sheared(where, seed)
        hidden = values if where == "source" else np.linalg.solve([[10, 15], [15, 30]], (values - 5).T).T
        return values, np.round(hidden[:, 0].astype(np.float64), 4)

    source, target, test = amounts("source"), amounts("target"), amounts("target", seed=1)
    task = Regress.from_domain(ac.read(source, label="label"))

    def error(method: CORAL) -> float:
        outputs = infer(solved(method, source, target, task), ac.read(test[0]), place("cpu", "fp32"))
        return float(np.abs(task.decode(outputs).prediction - test[1]).mean())

    assert error(CORAL()) < 0.2 * error(CORAL(strength=0))


@pytest.fixture
def data():
    task = Classify(("no", "yes"))
    known = ac.read(sheared("source", n=20), label="label")
    return Data(known, known, known.sealed(), None, None, task, task)


@pytest.mark.parametrize(
    "form, convex, kind",
    [
        ("auto", True, Convex),
        ("auto", False, Loop),
        ("deep", True, Loop),
        ("deep", False, Loop),
        ("closed", True, Convex),
    ],
)
def test_the_form_follows_what_learns(data, form, convex, kind):
    (stage,) = CORAL(form=form).stages(data, convex)
    assert type(stage) is kind


def test_the_closed_form_is_refused_where_more_than_a_head_learns(data):
    with pytest.raises(SettingsError, match="form=closed is for a head on frozen features"):
        CORAL(form="closed").stages(data, False)


def test_sparse_features_are_refused(data):
    (stage,) = CORAL().stages(data, True)
    with pytest.raises(SettingsError, match="sparse features"):
        stage.carry(scipy.sparse.csr_matrix(SOURCE), np.zeros(9), scipy.sparse.csr_matrix(TARGET))


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="strength"):
        CORAL(strength=-1)


@pytest.fixture
def adapt(monkeypatch, tmp_path):
    """`acclimate.adapt` on frozen columns."""
    monkeypatch.setitem(registry.METHODS, "coral", "discrepancy.coral:CORAL")
    source, target = sheared("source", n=40), sheared("target", n=40)

    def run(method, **tune):
        return ac.adapt(
            ac.read(source, label="label"), ac.read(target[0]), method=method, backbone="columns", plain_baseline=False,
            tune={"kind": "frozen", **tune}, training={"steps": 2}, out=tmp_path / "run",
        )  # fmt: skip

    return run


def stage_of(run) -> dict:
    (stage,) = next(arm for arm in run.result["arms"] if arm["name"] == "coral")["stages"]
    return stage


@pytest.mark.parametrize("bottleneck", [None, 0])
def test_frozen_features_need_no_bottleneck_for_the_closed_form(adapt, bottleneck):
    stage = stage_of(adapt("coral", bottleneck=bottleneck))
    assert "penalty" in stage and "steps" not in stage


def test_the_deep_form_gets_a_bottleneck_and_insists_on_it(adapt):
    deep = {"name": "coral", "form": "deep"}
    with pytest.raises(SettingsError, match="method 'coral' moves features"):
        adapt(deep, bottleneck=0)
    assert stage_of(adapt(deep))["steps"] == 2


def test_the_deep_form_adds_to_others_and_the_closed_form_does_not(data):
    from acclimate.methods import DANN

    (stage,) = (CORAL() + DANN()).stages(data, False)
    assert isinstance(stage, Loop)
    with pytest.raises(SettingsError, match="coral"):
        replace(CORAL(), form="closed") + DANN()
