"""The average of the weights teaches strong views."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.methods.data import Data
from acclimate.methods.self_training.mean_teacher import Average, MeanTeacher
from acclimate.tasks.regress import Regress
from acclimate.training import checkpoint
from acclimate.training.model import Model, Step


def weighing(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def test_weights_are_averaged_by_hand():
    average, layer = Average(), weighing(1.0)
    average.follow(layer, 0.9)
    assert average.values["weight"].item() == 1.0
    nn.init.constant_(layer.weight, 3.0)
    average.follow(layer, 0.9)
    assert average.values["weight"].item() == pytest.approx(0.9 * 1 + 0.1 * 3)
    halves = Average()
    halves.follow(weighing(1.0), 0.9)
    for share in (0.5, 0.5, 0.0):  # pieces of a step, and rows that were seen before
        halves.follow(layer, 0.9, share)
    assert halves.values["weight"].item() == pytest.approx(average.values["weight"].item())


def test_what_does_not_learn_is_not_kept_and_running_statistics_are():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].requires_grad_(False)
    average = Average()
    average.follow(model, 0.5)
    assert set(average.values) == {"1.weight", "1.bias", "1.running_mean", "1.running_var"}
    model[1].running_mean += 2
    average.follow(model, 0.5)
    assert average.values["1.running_mean"].tolist() == [1, 1]


@pytest.mark.parametrize("begun", [False, True])
def test_a_checkpoint_holds_the_average(begun):
    average, again = Average(), Average()
    if begun:
        average.follow(nn.Linear(2, 3), 0.9)
    tensors, values = checkpoint.flatten({"teacher": average.state_dict()})
    state = checkpoint.unflatten(tensors, json.loads(json.dumps(values)))
    again.load_state_dict(state["teacher"])
    assert set(again.values) == set(average.values)
    assert all(torch.equal(again.values[name], value) for name, value in average.values.items())


def test_the_features_receive_the_gradient_of_strong_views(moved, monkeypatch):
    """By hand: at its first step the teacher is the model, and what it is sure of is learned of the strong view."""
    models: list[Model] = []
    forward = Model.forward

    def watched(model, batch, autocast=None):
        models.append(model)
        return forward(model, batch, autocast)

    monkeypatch.setattr(Model, "forward", watched)

    def term(source: Step, target: Step) -> torch.Tensor:
        strong = forward(models[0], target.batch.views["strong"])
        sure, labels = target.outputs["logits"].softmax(1).max(1)
        assert 0 < (sure >= 0.6).sum() < len(sure)
        losses = torch.nn.functional.cross_entropy(strong.outputs["logits"], labels, reduction="none")
        return 0.7 * losses[sure >= 0.6].sum() / len(sure)

    moved(MeanTeacher(strength=0.7, threshold=0.6), term)


@pytest.mark.parametrize("settings", [{"strength": 0.0, "burn_in": 0.2}, {"burn_in": 0.99}])
def test_without_strength_or_before_it_begins_it_is_source_only_bit_for_bit(same_as_source_only, settings):
    same_as_source_only(MeanTeacher(**settings))


@pytest.mark.parametrize("settings", [{"strength": -1}, {"threshold": 1.0}, {"momentum": 1.0}, {"burn_in": -0.1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        MeanTeacher(**settings)


def test_answers_that_are_no_targets_are_refused():
    values = np.zeros((4, 1), dtype=np.float32)
    source, numbers = ac.read((values, np.array([0.5, 1, 1.5, 2])), label="label"), Regress(0.0, 1.0)
    data = Data(source, None, ac.read(values), None, None, numbers, numbers)
    assert "classes, masks or boxes that it is sure of, and task 'regress' gives none" in MeanTeacher().misses(data)
    with pytest.raises(SettingsError, match="are no targets of other views"):
        numbers.sure_targets({}, 0.5)


def stuck(where: str, seed: int = 0, n: int = 400):
    """A strong first column that in 60 % of the target's rows is stuck at "yes", and four weak ones that never are."""
    rng = np.random.default_rng([seed, where == "source"])
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)
    first = 3 * sign + rng.normal(0, 0.3, n)
    if where == "target":
        first = np.where(rng.random(n) < 0.6, 2 + rng.normal(0, 0.3, n), first)
    rest = 0.7 * sign[:, None] + rng.normal(0, 0.7, (n, 4))
    return np.column_stack([first, rest]).astype(np.float32), np.where(sign > 0, "yes", "no")


def test_it_solves_a_shift_that_source_only_does_not(solves):
    solves(MeanTeacher(threshold=0.9, burn_in=0.1), stuck)
