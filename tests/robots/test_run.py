from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.errors import DataError, InterruptedRunError, SettingsError
from acclimate.robots.bodies import Body
from acclimate.robots.controller import Controller
from acclimate.robots.methods import way
from acclimate.robots.robot import find
from acclimate.robots.run import ControlRun
from acclimate.robots.settings import parse
from acclimate.robots.train import watch
from acclimate.robots.transitions import Transitions
from acclimate.runs.report.words import number
from acclimate.training import interrupt
from tests.robots.conftest import SMALL, made

PENDULUM = find("Pendulum-v1")
LONG = Body(length=1.7)
"""Longer than any body of the training."""


def weights(controller: Controller) -> dict[str, torch.Tensor]:
    return controller.dynamics.model.state_dict()


def same(one: Controller, other: Controller) -> bool:
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


@pytest.fixture(params=["finetuned", "maml"])
def run(request: pytest.FixtureRequest) -> ControlRun:
    return request.getfixturevalue(request.param)


def test_adaptation_lowers_the_error_on_held_out_transitions(run: ControlRun):
    support, query = watch(PENDULUM, LONG, 200, 1), watch(PENDULUM, LONG, 200, 2)
    before, after = run.unadapted().error(query), run.adapt(support).error(query)
    assert after < 0.5 * before
    assert run.result["held_out"]["better"] >= 7  # of 8 bodies of the training's ranges


def test_the_page_tells_the_error_before_and_after(run: ControlRun):
    page = ac.report(run.folder).read_text(encoding="utf-8")
    held = run.result["held_out"]
    assert f"fell from {number(held['before'])} to {number(held['after'])}" in page
    assert f"smaller for {held['better']} of 8" in page and "Pendulum-v1" in page and "<svg" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page) and "<script" not in page
    told = ac.report(run.folder, lang="zh").read_text(encoding="utf-8")
    assert f"{number(held['before'])} 降至 {number(held['after'])}" in told and "{" not in told.split("<style")[0]


def test_adaptation_leaves_the_run_as_it_was(run: ControlRun):
    before = {name: value.clone() for name, value in weights(run.unadapted()).items()}
    run.adapt(watch(PENDULUM, LONG, 100, 1))
    assert all(torch.equal(value, weights(run.unadapted())[name]) for name, value in before.items())


def test_held_out_transitions_never_reach_the_adaptation(run: ControlRun):
    data = watch(PENDULUM, LONG, 200, 1)
    spoiled = Transitions(*(part.copy() for part in (data.state, data.action, data.next_state)))
    spoiled.next_state[160:] = 0.7
    one, other = run.adapt(data, held_out=0.2), run.adapt(spoiled, held_out=0.2)
    assert same(one, other)
    assert (one.about["transitions"], one.about["held_out"]) == (160, 40)
    assert one.about["after"] < one.about["before"]
    assert one.about["after"] != other.about["after"]
    assert not same(one, run.adapt(data))


def test_a_folder_is_all_that_is_needed(run: ControlRun):
    data = watch(PENDULUM, LONG, 50, 1)
    assert same(ControlRun(run.folder).adapt(data), run.adapt(data))


def test_the_same_seed_gives_the_same_bits(tmp_path):
    short = {"bodies": 4, "seconds": 2, "fit": {"steps": 10, "queries": 20}}
    one, twin = (made(tmp_path / name, "meta_sgd", **short) for name in ("one", "twin"))
    other = made(tmp_path / "other", "meta_sgd", seed=1, **short)
    data = watch(PENDULUM, LONG, 50, 1)
    assert same(one.adapt(data), twin.adapt(data))
    assert not same(one.adapt(data), other.adapt(data))
    assert one.result["held_out"] == twin.result["held_out"]


@pytest.mark.parametrize("method", ["meta_sgd", "randomise+finetune"])
def test_stopped_and_resumed_is_the_same_to_the_bit(tmp_path, method):
    short = {"bodies": 4, "seconds": 2, "fit": {"steps": 40, "queries": 20}}
    whole, folder = made(tmp_path / "whole", method, **short), tmp_path / "stopped"

    def stop(arm, stage, step, total, losses):
        if step >= 20:
            os.kill(os.getpid(), signal.SIGTERM)

    with interrupt.graceful(), pytest.raises(InterruptedRunError):
        ac.control("Pendulum-v1", method=method, out=folder, show=stop, **{**SMALL, **short})
    with pytest.raises(DataError, match="no finished control run"):
        ControlRun(folder)
    with pytest.raises(DataError, match="it is not finished; `acclimate resume"):
        ac.report(folder)
    steps = []
    again = ac.resume(folder, show=lambda arm, stage, step, total, losses: steps.append(step))
    assert min(steps) > 20
    assert again.result["held_out"] == whole.result["held_out"]
    data = watch(PENDULUM, LONG, 50, 1)
    assert same(again.adapt(data), whole.adapt(data))
    assert not (folder / "checkpoints").exists()
    assert ac.resume(folder, show=stop).result == again.result


def test_only_the_run_that_was_begun_is_resumed(tmp_path):
    run = made(tmp_path / "run", "randomise", bodies=4, seconds=2, fit={"steps": 10})
    (run.folder / "control.json").unlink()
    swing = replace(PENDULUM, name="Swing-v0")
    with pytest.raises(SettingsError, match="is a run of Pendulum-v1, found Swing-v0"):
        ac.resume(run.folder, robot=swing)
    begun = json.loads((run.folder / "data.json").read_text())
    begun["bodies"][0]["mass"] += 1
    (run.folder / "data.json").write_text(json.dumps(begun))
    with pytest.raises(DataError, match="another version of Acclimate drew its bodies"):
        ac.resume(run.folder)


def test_bodies_that_are_played_are_kept_and_on_the_page(tmp_path):
    fit = {"steps": 10, "finetune_steps": 3}
    run = made(tmp_path / "run", "randomise+finetune", bodies=4, seconds=2, fit=fit, episodes=1)
    assert "played" not in run.result, "as if killed before"
    played = ac.resume(run.folder).result["played"]
    assert ControlRun(run.folder).result["played"] == played and len(played) == 1
    low, high = run.settings.ranges.mass
    assert played[0]["change"] == "mass" and not low <= played[0]["mass"] <= high
    page = ac.report(run.folder).read_text(encoding="utf-8")
    assert f"mass × {played[0]['mass']:.3g}" in page and number(played[0]["adapted"]) in page


def test_a_saved_controller_acts_as_before(run: ControlRun, tmp_path):
    controller = run.adapt(watch(PENDULUM, LONG, 100, 1))
    controller.save(tmp_path / "controller")
    again = Controller.load(tmp_path / "controller")
    seen = watch(PENDULUM, LONG, 6, 5).state
    first = [controller.act(state) for state in seen]
    assert np.array_equal(first, [again.act(state) for state in seen])
    controller.reset()
    assert np.array_equal(first, [controller.act(state) for state in seen])
    assert again.about == controller.about


def test_methods_that_never_adapt_do_not(tmp_path):
    run = made(tmp_path / "run", "randomise", bodies=4, seconds=2, fit={"steps": 10})
    assert same(run.adapt(watch(PENDULUM, LONG, 50, 1)), run.unadapted())


def test_the_nominal_model_knows_the_nominal_body_alone(tmp_path):
    run = made(tmp_path / "run", "nominal", bodies=8)
    errors = [run.unadapted().error(watch(PENDULUM, body, 200, 3)) for body in (Body(), LONG, Body(mass=0.5))]
    assert errors[0] < 0.25 * min(errors[1:])


def test_a_finetuning_of_no_steps_changes_nothing(tmp_path):
    run = made(tmp_path / "run", "finetune", bodies=4, seconds=2, fit={"steps": 10, "finetune_steps": 0})
    assert same(run.adapt(watch(PENDULUM, LONG, 50, 1)), run.unadapted())


def test_cartpole_has_discrete_actions(tmp_path):
    run = ac.control(
        "CartPole-v1", method="fomaml", out=tmp_path / "run", bodies=4, seconds=2, fit={"steps": 100, "queries": 50}
    )
    controller = run.adapt(watch(run.robot, Body(length=2.0), 100, 0), held_out=0.2)
    assert controller.about["after"] < controller.about["before"]
    actions = {int(controller.act(np.array([0, 0, angle, 3 * angle]))[0]) for angle in (-0.15, 0.15)}
    assert actions == {0, 1}
    with pytest.raises(DataError, match="discrete, whole numbers from 0 to 1"):
        run.adapt(Transitions(np.zeros((3, 4)), np.full((3, 1), 0.5), np.zeros((3, 4))))


def test_another_robot_is_an_object(tmp_path):
    swing = replace(PENDULUM, name="Swing-v0")
    with pytest.raises(SettingsError, match="environment 'Swing-v0' cannot be made"):
        ac.control(swing, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_no_run_or_controller_is_refused(run: ControlRun, tmp_path):
    with pytest.raises(DataError, match="no finished control run"):
        ControlRun(tmp_path)
    with pytest.raises(DataError, match="not a readable controller"):
        Controller.load(tmp_path)
    with pytest.raises(DataError, match="1 transitions to adapt from"):
        run.adapt(watch(PENDULUM, LONG, 2, 1), held_out=0.5)
    with pytest.raises(SettingsError, match="held out is a share"):
        run.adapt(watch(PENDULUM, LONG, 20, 1), held_out=1.0)
    with pytest.raises(DataError, match="the model of a robot, which `acclimate control --adapt"):
        ac.load(run.folder)
    run.unadapted().save(tmp_path / "controller")
    for asked in (ac.load, ac.report):
        with pytest.raises(DataError, match="the controller of a robot; read it with"):
            asked(tmp_path / "controller")
    with pytest.raises(DataError, match="act: expected 3 finite numbers"):
        run.unadapted().act(np.zeros(2))
    with pytest.raises(SettingsError, match="--force replaces it"):
        ac.control(out=run.folder)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"bodys": 3}, "did you mean 'bodies'"),
        ({"bodies": 0}, "bodies must lie in"),
        ({"method": "mamle"}, "did you mean 'maml'"),
        ({"method": "protonet"}, "unknown method 'protonet'"),
        ({"method": {"name": "nominal", "rate": 1}}, "has no settings of its own, found rate"),
        ({"method": {"name": "maml", "rat": 1}}, "did you mean 'rate'"),
        ({"fit": {"step": 3}}, "did you mean 'steps'"),
        ({"ranges": {"mass": [2, 1]}}, "low to high"),
        ({"planner": {"samples": 8}}, "elites are some of the samples"),
    ],
)
def test_settings_are_checked(asked: dict, said: str):
    with pytest.raises(SettingsError, match=said):
        parse(asked)


def test_a_recipe_says_everything():
    recipe = parse({"method": "maml"}).recipe()
    assert recipe["method"]["steps"] == 5
    assert parse(recipe).recipe() == recipe
    assert way({"name": "randomise+finetune"}).adapts
    assert not way({"name": "nominal"}).varied


def test_less_than_two_steps_of_data_are_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"0\.05 s are 1 steps of Pendulum-v1"):
        ac.control(seconds=0.05, out=tmp_path / "run")


def test_bodies_that_are_watched_too_shortly_to_learn_to_adapt_leave_no_folder(tmp_path):
    with pytest.raises(SettingsError, match=r"seconds 2: of 80 steps .* --set fit.queries=40"):
        ac.control("Pendulum-v1", seconds=2, method="maml", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
