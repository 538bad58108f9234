"""What is saved is what is loaded, and only whole checkpoints count."""

from __future__ import annotations

from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

from acclimate.domains.domain import join
from acclimate.methods import registry
from acclimate.methods.data import Data, Teacher
from acclimate.tasks.classify import Classify
from acclimate.training import checkpoint
from acclimate.training.keep import Watch
from acclimate.training.settings import Training
from acclimate.training.stage import Loop

TASK = Classify(("no", "yes"))
OPTIMIZERS = get_args(get_type_hints(Training)["optimizer"])
OTHERS = {"users", "writing", "pseudo_labels", "images", "sensitive"}
APART = ("ot_mapping", "forest", *(name for name in registry.METHODS if OTHERS & set(registry.find(name).needs)))
"""Methods without a loop, those whose rows are users (tests/runs/test_recommend.py), and of what is written."""
SCHEDULES = get_args(get_type_hints(Training)["schedule"])


@pytest.fixture
def data(domain):
    source = join([domain(16), domain(16, seed=5)])
    teacher = Teacher(("somebody",), np.random.default_rng(0).dirichlet([1.0, 1.0], 32))
    return Data(
        source, domain(16, seed=1), domain(32, 1.0, labelled=False, seed=2), domain(32, 1.0, seed=3),
        domain(16, 1.0, seed=4), TASK, TASK, teacher,
    )  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", [name for name in registry.METHODS if name not in APART])
def test_a_state_that_went_through_a_file_continues_bit_for_bit(
    data, make_model, make_trainer, tmp_path, same_bits, method, optimizer, schedule
):
    stage = [stage for stage in registry.create(method).stages(data, False) if isinstance(stage, Loop)][-1]

    def trainer(folder=None):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.3), nn.Linear(4, 4))
        watch = Watch(lambda model: float(model.head.bias.detach().sum()))
        settings = {"optimizer": optimizer, "schedule": schedule, "learning_rate": 0.02, "steps": 9}
        return make_trainer(stage, model=make_model(network), folder=folder, watch=watch, **settings)

    unbroken = trainer()
    unbroken.train()
    first = trainer()
    first.tuning.train()
    for step in range(5):
        batches = {name: stream.batch(step) for name, stream in first.streams.items()}
        first.stepper.step(batches, step, step / 9)
        first.counters.step += 1
        first._judge()
    checkpoint.save(tmp_path, 5, first.state())
    second = trainer(tmp_path)
    done = second.train()
    assert done.step == 9
    assert (second.best.score, second.best.step) == (unbroken.best.score, unbroken.best.step)
    same_bits(second.model, unbroken.model)
    same_bits(nn.ModuleDict(second.parts), nn.ModuleDict(unbroken.parts))


def test_optimizer_states_take_the_layout_of_the_parameters():
    layer = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.randn(2, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    saved = {
        k: {n: v.clone().contiguous() for n, v in state.items()}
        for k, state in checkpoint.optimizer_state(optimizer).items()
    }
    fresh = torch.optim.AdamW(layer.parameters(), fused=True)
    checkpoint.restore_optimizer(fresh, saved)
    for name, value in optimizer.state[layer.weight].items():
        restored = fresh.state[layer.weight][name]
        assert torch.equal(restored, value)
        assert restored.stride() == value.stride()


def test_any_key_comes_back(tmp_path):
    state = {
        "model": {"a.b/c": torch.arange(3), "": torch.ones(()), "bits": torch.ones(2, dtype=torch.bfloat16)},
        "counters": {"step": 3, "best": None, "rate": 0.1},
        "optimizer": {"model": {"0": {"step": torch.tensor(2.0), "momentum_buffer": None}}},
    }
    checkpoint.save(tmp_path, 3, state)
    found = checkpoint.load(tmp_path)
    assert found["counters"] == state["counters"]
    assert found["optimizer"]["model"]["0"]["momentum_buffer"] is None
    for key, value in state["model"].items():
        assert torch.equal(found["model"][key], value)
        assert found["model"][key].dtype == value.dtype


def test_the_newest_alone_is_kept(tmp_path):
    for step in (1, 2, 30):
        checkpoint.save(tmp_path, step, {"x": torch.tensor(step)})
    assert [path.name for path in tmp_path.iterdir()] == ["000000030"]
    assert checkpoint.load(tmp_path)["x"] == 30


@pytest.mark.parametrize("file", ["state.safetensors", "state.json"])
@pytest.mark.parametrize("keep", [0, 20, -1])
def test_a_broken_newest_checkpoint_gives_way_to_the_one_before(tmp_path, file, keep):
    for step in (1, 2):
        checkpoint.save(tmp_path / f"{step}", step, {"x": torch.full((50,), float(step)), "n": list(range(9))})
        (tmp_path / f"{step}" / f"{step:09d}").rename(tmp_path / f"{step:09d}")
    broken = tmp_path / "000000002" / file
    broken.write_bytes(broken.read_bytes()[:keep])
    if file == "state.json" and keep == -1:  # the last byte is the end of the line
        assert len(checkpoint.saved(tmp_path)) == 2
        return
    assert [path.name for path in checkpoint.saved(tmp_path)] == ["000000001"]
    assert checkpoint.load(tmp_path)["x"][0] == 1


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.load(tmp_path) is None
    assert checkpoint.load(tmp_path / "absent") is None
