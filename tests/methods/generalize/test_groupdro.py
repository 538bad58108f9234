"""Which source a row came from, the weights of sources, and what they are good for."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.domains.domain import Domain, join
from acclimate.errors import SettingsError
from acclimate.methods import registry
from acclimate.methods.data import Data
from acclimate.methods.generalize.groupdro import GroupDRO, group_losses, group_weights_step
from acclimate.settings import build
from acclimate.tasks.classify import Classify
from acclimate.training.device import place
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stream import Stream, cut

TASK = Classify(("no", "yes"))


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(registry.METHODS, "groupdro", "generalize.groupdro:GroupDRO")


def clues(n: int, agree: bool, seed: int) -> Domain:
    """``x0`` tells the class, noisily; ``x1`` tells it better, or the opposite where they do not agree."""
    rng = np.random.default_rng(seed)
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)
    values = np.stack([sign + rng.normal(0, 0.8, n), (sign if agree else -sign) + rng.normal(0, 0.3, n)], axis=1)
    return ac.read((values.astype(np.float32), np.where(sign > 0, "yes", "no")), label="label")


def model() -> Model:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 2))
    backbone = from_module(network, "array", example=np.zeros((1, 2), np.float32), pretrained=False)
    return Model(backbone, TASK)


def trainer(method: GroupDRO, source: Domain, **training) -> Trainer:
    data = Data(source, None, None, None, None, TASK, TASK)
    assert not method.misses(data)
    settings = Training(**{"steps": 400, "batch_size": 64, "learning_rate": 0.02, **training})
    stage = method.stages(data, False)[0]
    return Trainer(model(), stage, tune=Tune("full"), training=settings, place=place("cpu", "fp32"), seed=0)


def test_joined_rows_know_where_they_came_from():
    a, b, c = clues(6, True, 0), clues(4, True, 1), clues(2, True, 2)
    assert a.origin is None and join([a]).origin is None
    every = join([join([a, b]), c])
    assert every.origin.tolist() == [0] * 6 + [1] * 4 + [2] * 2
    assert every.select(np.array([11, 0, 7])).sealed().origin.tolist() == [2, 0, 1]


def test_batches_carry_it_with_the_rows_and_through_cuts():
    a, b = clues(20, True, 0), clues(12, False, 1)
    both = join([a, b])
    stream = Stream("source", both, model().backbone, TASK, size=8, seed=0)
    batch = stream.batch(1)
    assert batch.origin.tolist() == both.origin[stream.indices(1)].tolist()
    assert len(set(batch.origin.tolist())) == 2
    assert torch.cat([piece.origin for piece in cut(batch, 3)]).tolist() == batch.origin.tolist()
    assert Stream("source", a, model().backbone, TASK, size=8, seed=0).batch(0).origin is None


def test_the_pieces_against_the_formula():
    means, present = group_losses(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([2, 0, 2]), 4)
    assert means.tolist() == [2.0, 0.0, 3.5, 0.0]
    assert present.tolist() == [True, False, True, False]
    weights = torch.tensor([0.5, 0.2, 0.3])
    raised = np.array([0.5, 0.2, 0.3]) * np.exp(0.1 * np.array([1.0, 0.0, 4.0]))
    stepped = group_weights_step(weights, torch.tensor([1.0, 0.0, 4.0]), 0.1)
    np.testing.assert_allclose(stepped, raised / raised.sum(), rtol=1e-6)


def test_a_weight_that_fell_to_0_can_rise_again():
    weights = torch.tensor([1.0, 0.0])
    for _ in range(100):
        weights = group_weights_step(weights, torch.tensor([0.0, 2.0]), 1.0)
    assert weights[1] > 0.99


def test_one_step_is_algorithm_1():
    source = join([clues(40, True, 0), clues(24, False, 1)])
    method = GroupDRO(rate=0.5, adjustment=2.0)
    run = trainer(
        method,
        source,
        steps=1,
        optimizer="sgd",
        schedule="constant",
        warmup=0,
        clip=0,
        weight_decay=0,
        learning_rate=0.1,
    )
    batch = run.streams["source"].batch(0)
    loss = run.model(batch).loss
    means = torch.stack([loss[batch.origin == k].mean() for k in (0, 1)])
    weights = 0.5 * torch.exp(0.5 * (means.detach() + 2.0 / torch.tensor([40.0, 24.0]).sqrt()))
    weights = weights / weights.sum()
    parameters = list(run.model.parameters())
    gradients = torch.autograd.grad((weights * means).sum(), parameters)
    before = [p.detach().clone() for p in parameters]
    run.train()
    torch.testing.assert_close(run.parts["groups"].weights, weights)
    for old, new, gradient in zip(before, parameters, gradients, strict=True):
        torch.testing.assert_close((old - new.detach()) / 0.1, gradient, rtol=1e-4, atol=1e-6)


def test_weights_survive_a_checkpoint():
    source = join([clues(40, True, 0), clues(24, False, 1)])
    whole, first, second = (trainer(GroupDRO(rate=0.3), source, steps=12, schedule="constant") for _ in range(3))
    whole.train()
    first.tuning.train()
    for step in range(5):
        first.stepper.step({"source": first.streams["source"].batch(step)}, step, step / 12)
    first.counters.step = 5
    second.load(first.state())
    second.train()
    assert torch.equal(whole.parts["groups"].weights, second.parts["groups"].weights)
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_clue_that_fails_in_a_small_source_is_not_relied_on(tmp_path):
    sources = [clues(380, True, 0), clues(40, False, 1)]
    test = clues(400, False, 2)
    common = {"backbone": model().backbone.network, "tune": "full", "plain_baseline": False, "label": "label"}
    run = ac.adapt(
        sources, None, method={"name": "groupdro", "rate": 0.1}, out=tmp_path / "run",
        training={"steps": 600, "batch_size": 64, "learning_rate": 0.02}, **common,
    )  # fmt: skip
    found = run.evaluate(test, label="label")
    accuracy = {name: arm["metrics"]["accuracy"] for name, arm in found["arms"].items()}
    assert accuracy["source_only"] < 0.68
    assert accuracy["groupdro"] > accuracy["source_only"] + 0.15


def test_one_source_is_refused():
    data = Data(clues(20, True, 0), None, None, None, None, TASK, TASK)
    assert re.search(r"several sources.*repeat --source", registry.unfit(GroupDRO(), data))


@pytest.mark.parametrize("settings", [{"rate": -1}, {"adjustment": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=f"groupdro.*{next(iter(settings))}"):
        build(GroupDRO, settings, "method groupdro")


@pytest.mark.parametrize("parts", [2, 4])
def test_weights_move_once_a_step_whatever_it_is_cut_into(parts):
    source = join([clues(64, True, 0), clues(64, False, 1)])
    found = []
    for accumulate in (1, parts):
        one = trainer(GroupDRO(rate=0.1), source, steps=5, batch_size=128, accumulate=accumulate, learning_rate=1e-3)
        one.train()
        found.append(one.parts["groups"].weights)
    assert (found[0] - 0.5).abs().max() > 0.02
    assert (found[0] - found[1]).abs().max() < 0.1 * (found[0] - 0.5).abs().max()
