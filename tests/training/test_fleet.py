"""A fleet: each member ends where it would have ended alone, whatever becomes of the others."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from acclimate.backbones.passthrough import PassThrough
from acclimate.errors import DivergedError, InterruptedRunError
from acclimate.methods import registry
from acclimate.methods.base import Align
from acclimate.training import checkpoint
from acclimate.training.device import place
from acclimate.training.fleet import Fleet, Member
from acclimate.training.guard import Guard
from acclimate.training.keep import Watch
from acclimate.training.loop import Report, Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop
from acclimate.training.symptoms import Symptoms

ALIGNING = [name for name in registry.METHODS if issubclass(registry.find(name), Align)]
BATCHED = [name for name in ALIGNING if registry.create(name).batched]
OTHER = {"fixmatch": {"threshold": [0.95, 0.8, 0.6, 0.0]}, "mcc": {"temperature": [1.0, 2.5, 4.0, 1.0]}}
"""Values for settings beside the strength."""
STRENGTHS = [0.0, 0.1, 1.0, 2.0]
TASK_CLASSES = ("no", "yes")

Make = Callable[..., Any]


@pytest.fixture
def loop(domain) -> Callable[[str], Loop]:
    """The loop of a method, by its word, from one set of points to another."""

    def make(word: str) -> Loop:
        method = registry.parse(word)
        method = getattr(method, "trainer", method)  # of a combination
        views = {"target": method.views} if isinstance(method, Align) else {}
        streams = {"source": domain(48), "target": domain(40, shift=0.7, labelled=False, seed=1)}
        return Loop("loop", streams, method, views=views)

    return make


@pytest.fixture
def model(make_model) -> Callable[[], Model]:
    """A bottleneck and a head on frozen features."""

    def make() -> Model:
        made = make_model(nn.Identity(), bottleneck=16, standardize=True)
        made.backbone = PassThrough(made.backbone)
        made.neck.mean.copy_(torch.tensor([0.3, -0.1]))
        made.neck.scale.copy_(torch.tensor([1.4, 0.9]))
        return made

    return make


@pytest.fixture
def options() -> Callable[..., dict[str, Any]]:
    def make(folder: Any = None, **training: Any) -> dict[str, Any]:
        settings = Training(**{"steps": 25, "batch_size": 8, "learning_rate": 0.01, **training})
        tune = Tune("frozen", bottleneck=16)
        return {"tune": tune, "training": settings, "place": place("cpu", "fp32"), "seed": 0, "folder": folder}

    return make


@pytest.fixture
def fleet(model, loop, options) -> Make:
    """``fleet(word, settings, folder=, deadline=, members=, **training)``."""

    def make(
        word: str, settings: dict[str, list[float]], *, members: Any = None, deadline: Any = None, **more: Any
    ) -> Fleet:
        stage = loop(word)
        members = members or [Member(model()) for _ in next(iter(settings.values()))]
        return Fleet(members, stage, stage.method.given, settings, deadline=deadline, **options(**more))

    return make


@pytest.fixture
def alone(model, loop, options) -> Make:
    """The same for one setting, trained as ever."""

    def make(word: str, **more: Any) -> Trainer:
        guard = more.pop("guard", None)
        report = more.pop("report", None)
        watch = more.pop("watch", None)
        return Trainer(model(), loop(word), guard=guard, report=report, watch=watch, **options(**more))

    return make


def word(name: str, settings: dict[str, list[float]], number: int) -> str:
    return ":".join([name, *(f"{key}={values[number]!r}" for key, values in settings.items())])


def close(left: nn.Module, right: nn.Module) -> None:
    a, b = left.state_dict(), right.state_dict()
    assert a.keys() == b.keys()
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=1e-4, atol=1e-5, msg=lambda said, name=name: f"{name}: {said}")


@pytest.mark.parametrize("name", BATCHED)
def test_each_member_ends_where_it_would_have_ended_alone(fleet, alone, name):
    settings = {"strength": STRENGTHS, **OTHER.get(name, {})}
    together = fleet(name, settings)
    begun = together.members[0].model.neck.project[0].weight.detach().clone()
    done = together.train()
    assert (done.step, together.lost) == (25, {})
    for number, member in enumerate(together.members):
        single = alone(word(name, settings, number))
        single.train()
        close(member.model, single.model)
        assert not member.model.training
        assert (member.model.neck.project[0].weight - begun).abs().max() > 0.01
    weights = [member.model.neck.project[0].weight for member in together.members]
    assert (weights[0] - weights[-1]).abs().max() > 1e-3, "the settings make a difference"


def test_members_of_a_combination_differ_in_the_settings_of_both(fleet, alone):
    settings = {"dann.strength": [1.0, 0.1], "mcc.strength": [0.3, 2.0], "mcc.temperature": [2.5, 1.5]}
    together = fleet("dann+mcc", settings)
    together.train()
    for number, member in enumerate(together.members):
        single = alone(word("dann+mcc", settings, number))
        single.train()
        close(member.model, single.model)


@pytest.mark.parametrize("training", [{"clip": 0.0}, {"optimizer": "sgd"}, {"weight_decay": 0.5}, {"clip": 0.05}])
def test_clipping_decay_and_optimizer_are_each_members_own(fleet, alone, training):
    settings = {"strength": [0.1, 3.0]}
    together = fleet("dann", settings, **training)
    together.train()
    for number, member in enumerate(together.members):
        single = alone(word("dann", settings, number), **training)
        single.train()
        close(member.model, single.model)
        together._fill(number)
        close(nn.ModuleDict(together.parts), nn.ModuleDict(single.parts))


@pytest.mark.parametrize("name", ["dann", "bnm", "mcc"])
def test_one_that_diverges_is_lost_and_the_others_go_on(fleet, alone, name):
    settings = {"strength": [0.1, 1e38, 1.0]}
    together = fleet(name, settings, clip=0.0, warmup=0.0, optimizer="sgd", learning_rate=0.1)
    done = together.train()
    assert done.step == 25
    assert list(together.lost) == [1]
    with pytest.raises(DivergedError) as error:
        alone(word(name, settings, 1), clip=0.0, warmup=0.0, optimizer="sgd", learning_rate=0.1).train()
    assert together.lost[1] == str(error.value)
    for number in (0, 2):
        single = alone(word(name, settings, number), clip=0.0, warmup=0.0, optimizer="sgd", learning_rate=0.1)
        single.train()
        close(together.members[number].model, single.model)


def test_where_all_are_lost_it_stops(fleet):
    together = fleet("dann", {"strength": [1.0, 2.0]}, clip=0.0, warmup=0.0, optimizer="sgd", learning_rate=1e30)
    assert together.train().step < 25
    assert set(together.lost) == {0, 1}


def test_a_budget_stops_all_at_the_same_step(fleet):
    together = fleet("mcc", {"strength": [0.1, 1.0]}, deadline=0.0)
    assert together.train().step == 1


def test_an_interrupted_fleet_resumes_bit_for_bit(fleet, tmp_path, same_bits):
    settings = {"strength": [0.1, 1.0, 3.0]}
    whole = fleet("dann", settings)
    whole.train()

    def stop(step: int, total: int, losses: Any) -> None:
        if step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    from acclimate.training import interrupt

    first = fleet("dann", settings, folder=tmp_path)
    first.report = Report(progress=stop)
    with interrupt.graceful(), pytest.raises(InterruptedRunError):
        first.train()
    assert [int(path.name) for path in checkpoint.saved(tmp_path)] == [10]
    second = fleet("dann", settings, folder=tmp_path)
    assert second.train().step == 25
    for left, right in zip(whole.members, second.members, strict=True):
        same_bits(left.model, right.model)
    assert set(whole.together.buffers) == set(second.together.buffers)


def test_each_member_tells_its_own_losses(fleet, alone):
    said: list[list[dict[str, Any]]] = [[], [], []]
    settings = {"strength": [0.0, 1.0]}
    together = fleet("mcc", settings)
    told = [Member(member.model, Report(log=said[k].append)) for k, member in enumerate(together.members)]
    fleet("mcc", settings, members=told).train()
    single = alone("mcc:strength=1.0", report=Report(log=said[2].append))
    single.train()
    assert [row["step"] for row in said[0]] == [row["step"] for row in said[2]] == [1, 10, 20, 25]
    assert {row["losses"]["confusion_features"] for row in said[0]} == {0.0}
    for left, right in zip(said[1], said[2], strict=True):
        assert left["losses"] == pytest.approx(right["losses"], abs=2e-6)


def test_each_member_keeps_the_state_that_scored_best(fleet, alone, model, tmp_path, same_bits):
    settings = {"strength": [0.1, 3.0]}
    watch = Watch(lambda model: -abs(model.neck.project[0].weight[0, 0].item() - 0.2))

    def members() -> list[Member]:
        return [Member(model(), watch=watch) for _ in range(2)]

    together = fleet("mcc", settings, members=members())
    assert 2 * together.epoch < 25
    together.train()
    for number, member in enumerate(together.members):
        single = alone(word("mcc", settings, number), watch=watch)
        single.train()
        record, known = together.record_of(number), single.record()
        assert record["best_step"] == known["best_step"]
        assert record["best"] == pytest.approx(known["best"], abs=1e-5)
        close(member.model, single.model)
    assert {together.record_of(number)["best_step"] for number in range(2)} != {25}
    half = fleet("mcc", settings, members=members(), folder=tmp_path)
    half.counters.total = 15
    half.train()
    resumed = fleet("mcc", settings, members=members(), folder=tmp_path)
    resumed.counters.total = 15
    resumed.train()  # which is over: what it knows is from the checkpoint
    for number in range(2):
        assert resumed.record_of(number)["best_step"] == half.record_of(number)["best_step"]
        same_bits(half.members[number].model, resumed.members[number].model)


def test_each_member_is_guarded_as_it_would_be_alone(fleet, alone, model):
    def watched() -> tuple[Guard, list[dict[str, Any]]]:
        shares = np.array([0.5, 0.5])
        return Guard(Symptoms(TASK_CLASSES, shares)), []

    settings = {"strength": [0.1, 3.0]}
    guards = [watched() for _ in range(4)]
    members = [Member(model(), Report(log=log.append), guard) for guard, log in guards[:2]]
    fleet("dann", settings, members=members, steps=100, batch_size=32).train()
    for number, (guard, log) in enumerate(guards[2:]):
        alone(
            word("dann", settings, number), guard=guard, report=Report(log=log.append), steps=100, batch_size=32
        ).train()
    for left, right in zip(guards[:2], guards[2:], strict=True):
        seen, known = ([row["measured"] for row in log if "measured" in row] for _, log in (left, right))
        assert len(seen) == len(known) > 0
        for mine, theirs in zip(seen, known, strict=True):
            assert mine == pytest.approx(theirs, abs=0.02)
        assert left[0].symptoms.warnings == right[0].symptoms.warnings
