"""Density ratios, the weights made of them, and what they are good for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.methods import registry
from acclimate.methods.base import Method
from acclimate.methods.reweight import importance_weighting
from acclimate.methods.reweight.importance_weighting import (
    ImportanceWeighting,
    _of_rows,
    effective_rows,
    importance_weights,
    relative_weights,
)
from acclimate.methods.transfer.source_only import SourceOnly
from acclimate.settings import build
from acclimate.tasks.classify import Classify
from acclimate.tasks.sites import Site
from acclimate.training.device import place
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.step import Stepper
from acclimate.training.tune import Tuning

RATE = 0.1


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(registry.METHODS, "importance_weighting", "reweight.importance_weighting:ImportanceWeighting")


@pytest.mark.parametrize("relative", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_relative_weights_are_the_ratio_to_the_mixture(relative):
    ratio = torch.tensor([0.01, 0.5, 1.0, 3.0, 80.0], dtype=torch.float64)
    wanted = ratio / (relative * ratio + 1 - relative)
    torch.testing.assert_close(relative_weights(ratio.log(), relative), wanted / wanted.mean())


@pytest.mark.parametrize("relative", [0.0, 0.5])
def test_domains_that_do_not_overlap_still_give_weights(relative):
    weights = relative_weights(torch.tensor([-900.0, -901.0, -950.0]), relative)
    torch.testing.assert_close(weights, torch.softmax(torch.tensor([0.0, -1.0, -50.0]), 0) * 3)


def test_the_ratio_of_two_normals_is_found():
    """log p_t / p_s = x - 1/2 for N(1, 1) over N(0, 1), whatever the number of rows."""
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(1900, 1)), rng.normal(1, 1, size=(700, 1))
    weights = importance_weights(source.astype(np.float32), target.astype(np.float32), relative=0.0)
    slope, intercept = np.polyfit(source[:, 0], np.log(weights), 1)
    assert weights.mean() == pytest.approx(1)
    assert slope == pytest.approx(1, abs=0.1)
    assert intercept == pytest.approx(-0.5, abs=0.15)
    assert effective_rows(weights) == pytest.approx(1900 / np.e, rel=0.3)  # E[w]^2 / E[w^2] = exp(-1)


def test_noise_in_many_columns_does_not_make_wild_weights():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(2, 80, 100)).astype(np.float32)  # as many columns as rows, and no shift
    assert effective_rows(importance_weights(source, target, relative=0.0)) > 70


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_the_order_of_the_rows_does_not_matter(monkeypatch, kind):
    monkeypatch.setattr(importance_weighting, "LARGEST", 40)
    rng = np.random.default_rng(0)
    source, target = (kind(rng.normal(shift, 1, (60, 3)).astype(np.float32)) for shift in (0, 1))
    a, b = rng.permutation(60), rng.permutation(60)
    weights = importance_weights(source, target)
    assert np.array_equal(weights[a], importance_weights(source[a], target[b]))
    assert effective_rows(weights) < 58


def test_effective_rows_are_kishs():
    assert effective_rows(np.ones(7)) == 7
    assert effective_rows(np.array([3.0, 0.0, 0.0])) == 1
    assert effective_rows(np.array([1.0, 2.0])) == pytest.approx(9 / 5)


def test_a_rows_weight_is_the_mean_over_its_regions():
    site = Site(torch.zeros(3, 1), torch.tensor([0, 0, 2]))
    assert _of_rows(torch.tensor([1.0, 3.0, 5.0]), site, 3).tolist() == [2.0, 0.0, 5.0]


def test_the_model_learns_from_weighted_rows_and_the_discriminator_from_fixed_features():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    backbone = from_module(network, "array", example=np.zeros((1, 3), np.float32), pretrained=False)
    model, method = Model(backbone, Classify(("no", "yes"))), ImportanceWeighting(relative=0.3, hidden=0)
    parts = method.parts(model.sites)
    batches = {
        "source": Batch(torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1]), "source"),
        "target": Batch(torch.randn(6, 3) + 2, None, "target"),
    }
    critic = parts["discriminator"]
    with torch.no_grad():
        for weight in critic.parameters():
            weight.mul_(4)  # sure of itself, so that weights differ
    source, target = (model(batch) for batch in batches.values())
    ours, theirs = (side.sites["features"].values.detach() for side in (source, target))
    odds = critic(ours)[:, 0].detach().exp()
    weights = odds / (0.3 * odds + 0.7)
    weights = weights / weights.mean()
    assert weights.std() > 0.05
    task = (weights * source.loss).mean()
    told = -0.5 * (torch.log(1 - critic(ours).sigmoid()).mean() + torch.log(critic(theirs).sigmoid()).mean())
    of_model = [*model.backbone.parameters(), *model.head.parameters()]
    parameters = [*of_model, *critic.parameters()]
    gradients = [*torch.autograd.grad(task, of_model), *torch.autograd.grad(told, list(critic.parameters()))]
    before = [p.detach().clone() for p in parameters]
    training = Training(
        batch_size=6, optimizer="sgd", schedule="constant", learning_rate=RATE, warmup=0, clip=0, weight_decay=0
    )
    tuning = Tuning(model, Tune("full"), training)
    stepper = Stepper(
        model, method, parts, tuning=tuning, training=training, place=place("cpu", "fp32"), seed=0
    )  # fmt: skip
    stepper.step(batches, 0, 0.5)
    for old, new, gradient in zip(before, parameters, gradients, strict=True):
        torch.testing.assert_close((old - new.detach()) / RATE, gradient, rtol=1e-3, atol=1e-5)


def bent(where: str, seed: int = 0, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """The class is ``x1 > |x0|``, which no line tells; nearly all of the source is at the left, the target right."""
    rng = np.random.default_rng([seed, where == "source"])
    right = rng.random(n) < (0.12 if where == "source" else 0.97)
    x0 = np.where(right, 1, -1) * rng.uniform(0.2, 2, n)
    x1 = np.abs(x0) + rng.normal(0, 0.7, n)
    return np.stack([x0, x1], axis=1).astype(np.float32), np.where(x1 > np.abs(x0), "yes", "no")


def test_a_weighted_line_is_right_where_the_target_is(tmp_path):
    source, target, test = bent("source"), bent("target"), bent("target", seed=1)
    run = ac.adapt(
        ac.read(source, label="label"), ac.read(target[0]), method={"name": "importance_weighting", "relative": 0.1},
        backbone="columns", tune="frozen", plain_baseline=False, out=tmp_path / "run",
    )  # fmt: skip
    found = run.evaluate(test, label="label")
    accuracy = {name: arm["metrics"]["accuracy"] for name, arm in found["arms"].items()}
    assert accuracy["source_only"] < 0.75
    assert accuracy["importance_weighting"] > 0.85
    stage = next(arm for arm in run.result["arms"] if arm["name"] == "importance_weighting")["stages"][0]
    assert 30 < stage["effective_rows"] < 300  # of 480: about the 12 % at the right
    assert "effective_rows" not in next(a for a in run.result["arms"] if a["name"] == "source_only")["stages"][0]


def test_end_to_end_it_solves_that_too(train, right):
    source, target, test = bent("source"), bent("target"), bent("target", seed=1)

    def accuracy(method: Method) -> float:
        torch.manual_seed(0)
        line = nn.Sequential(nn.Linear(2, 2))  # all that it can learn is a line
        return right(train(method, source, target, network=line, learning_rate=0.02, steps=300), test)

    assert accuracy(SourceOnly()) < 0.75
    assert accuracy(ImportanceWeighting(relative=0.1)) > 0.85


@pytest.mark.parametrize("settings", [{"relative": -0.1}, {"relative": 1.1}, {"hidden": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=f"importance_weighting.*{next(iter(settings))}"):
        build(ImportanceWeighting, settings, "method importance_weighting")
