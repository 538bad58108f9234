from __future__ import annotations

import math

import pytest
import torch

from acclimate.errors import SettingsError
from acclimate.settings import build
from acclimate.training.optimizers import factor, optimizer, set_rates
from acclimate.training.settings import Training, Tune
from acclimate.training.tune import Group


@pytest.mark.parametrize(
    "value",
    [{"epochs": 0}, {"epochs": math.inf}, {"batch_size": 0}, {"accumulate": 0}, {"steps": 0}, {"learning_rate": -1},
     {"warmup": 1.0}, {"warmup": -0.1}, {"clip": -1}, {"weight_decay": -1}, {"patience": 0}, {"head_factor": 0},
     {"checkpoint_seconds": -1}, {"learning_rate": math.nan}],
)  # fmt: skip
def test_trainings_that_cannot_be(value):
    with pytest.raises(SettingsError, match=next(iter(value))):
        Training(**value)


@pytest.mark.parametrize("value", [{"bottleneck": -1}, {"rank": 0}, {"decay": 0}, {"decay": 1.5}, {"alpha": -0.1}])
def test_tunes_that_cannot_be(value):
    with pytest.raises(SettingsError, match=next(iter(value))):
        Tune(**value)


@pytest.mark.parametrize(
    ("kind", "key", "near"),
    [(Training, "learning_rat", "learning_rate"), (Tune, "bottlneck", "bottleneck"), (Training, "step", "steps")],
)
def test_an_unknown_key_names_the_nearest(kind, key, near):
    with pytest.raises(SettingsError, match=f"unknown setting '{key}'; did you mean '{near}'"):
        build(kind, {key: 1}, "section")


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("linear", 0.0, 0.0), ("linear", 0.05, 0.5), ("linear", 0.1, 1.0), ("linear", 0.55, 0.5), ("linear", 1.0, 0.0),
        ("cosine", 0.1, 1.0), ("cosine", 0.55, 0.5), ("cosine", 1.0, 0.0), ("constant", 0.05, 0.5),
        ("constant", 0.9, 1.0), ("dann", 0.0, 1.0), ("dann", 0.5, 6**-0.75), ("dann", 1.0, 11**-0.75),
    ],
)  # fmt: skip
def test_schedules(schedule, progress, expected):
    assert factor(Training(schedule=schedule, warmup=0.1), progress) == pytest.approx(expected, abs=1e-12)


def test_every_group_keeps_its_base_rate():
    groups = [Group([torch.nn.Parameter(torch.ones(2, 2))], 0.1), Group([torch.nn.Parameter(torch.ones(2))], 0.01)]
    made = optimizer(groups, Training())
    for scale in (0.5, 0.1):
        set_rates(made, scale)
        assert [group["lr"] for group in made.param_groups] == pytest.approx([0.1 * scale, 0.01 * scale])
