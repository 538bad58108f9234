"""MMD: the estimate against its definition, and what it is good for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.errors import SettingsError
from acclimate.methods import SourceOnly
from acclimate.methods.data import Data
from acclimate.methods.discrepancy.mmd import MMD, mmd
from acclimate.tasks.regress import Regress
from acclimate.training.device import place
from acclimate.training.infer import infer
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune


def naive(source: np.ndarray, target: np.ndarray, kernels: int) -> float:
    """The definition, pair by pair."""
    rows = np.concatenate([source, target]).astype(np.float64)
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
    gamma = np.median([((rows[i] - rows[j]) ** 2).sum() for i, j in pairs])
    total, n, m = 0.0, len(source), len(target)
    for i, j in pairs:
        distance = ((rows[i] - rows[j]) ** 2).sum()
        value = np.mean([np.exp(-distance / (gamma * 2.0 ** (k - kernels // 2))) for k in range(kernels)])
        if i < n and j < n:
            total += value / (n * (n - 1))
        elif i >= n and j >= n:
            total += value / (m * (m - 1))
        else:
            total -= value / (n * m)
    return float(total)


@pytest.mark.parametrize("kernels", [1, 2, 5])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_it_is_the_unbiased_estimate(kernels, offset):
    rng = np.random.default_rng(0)  # of 10 rows: 45 pairs, the median of which is one of them
    source = (rng.normal(size=(4, 3)) + offset).astype(np.float32)
    target = (rng.normal(1, 2, size=(6, 3)) + offset).astype(np.float32)
    found = mmd(torch.from_numpy(source), torch.from_numpy(target), kernels).item()
    assert found == pytest.approx(naive(source, target, kernels), rel=1e-4)


def test_equal_distributions_are_at_0_on_average_and_others_are_not():
    torch.manual_seed(0)
    same = np.array([mmd(torch.randn(16, 4), torch.randn(16, 4)).item() for _ in range(300)])
    assert abs(same.mean()) < 3 * same.std() / np.sqrt(300)
    assert same.min() < 0
    assert np.mean([mmd(torch.randn(16, 4), torch.randn(16, 4) + 1).item() for _ in range(20)]) > 0.1


def test_degenerate_batches_have_finite_gradients():
    for source, target in ((torch.ones(1, 2), torch.zeros(1, 2)), (torch.zeros(3, 2), torch.zeros(3, 2))):
        source.requires_grad_()
        mmd(source, target).backward()
        assert source.grad.isfinite().all()


def test_the_features_descend_the_discrepancy(moved):
    def term(source, target):
        rows = torch.cat([step.sites["features"].values for step in (source, target)])
        squares = (rows[:, None] - rows).square().sum(2)
        apart = 1 - torch.eye(12)
        gamma = squares.detach()[apart > 0].median()
        kernel = sum((-squares / (gamma * factor)).exp() for factor in (0.5, 1.0, 2.0)) / 3 * apart
        return 0.7 * ((kernel[:6, :6].sum() + kernel[6:, 6:].sum()) / 30 - kernel[:6, 6:].sum() / 18)

    moved(MMD(strength=0.7, kernels=3), term)


@pytest.mark.parametrize("settings", [{"strength": -1}, {"kernels": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        MMD(**settings)


def test_strength_0_is_source_only_bit_for_bit(same_as_source_only):
    same_as_source_only(MMD(strength=0.0))


def test_mmd_solves_a_shift_that_source_only_does_not(solves, points_of):
    solves(MMD(), points_of, optimizer="sgd", schedule="dann", learning_rate=0.03)


def amounts(where: str, seed: int = 0, n: int = 400):
    """Both numbers are the amount in the source, up to noise; in the target the second is about 2 whatever it is."""
    rng = np.random.default_rng([seed, where == "source"])
    wanted = rng.normal(size=n)
    x1 = wanted + rng.normal(0, 0.1, n) if where == "source" else rng.normal(2, 0.5, n)
    return np.stack([wanted + rng.normal(0, 0.2, n), x1], axis=1).astype(np.float32), np.round(wanted, 4)


def test_mmd_helps_a_regression():
    source, target, test = amounts("source"), amounts("target"), amounts("target", seed=1)
    known, where = ac.read(source, label="label"), place("cpu", "fp32")
    task = Regress.from_domain(known)

    def error(method) -> float:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(2, 32), nn.ReLU())
        model = Model(from_module(network, "array", example=source[0][:1], pretrained=False), task)
        (stage,) = method.stages(Data(known, None, ac.read(target[0]), None, None, task, task), False)
        training = Training(steps=200, optimizer="sgd", schedule="dann", learning_rate=0.03)
        Trainer(model, stage, tune=Tune("full"), training=training, place=where, seed=0).train()
        return float(np.abs(task.decode(infer(model, ac.read(test[0]), where)).prediction - test[1]).mean())

    assert error(MMD()) < 0.5 * error(SourceOnly())
