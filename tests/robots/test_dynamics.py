from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from acclimate.errors import DataError, SettingsError
from acclimate.robots.bodies import Body
from acclimate.robots.dynamics import Dynamics, Inputs
from acclimate.robots.methods import learn
from acclimate.robots.robot import find
from acclimate.robots.train import watch

PENDULUM = find("Pendulum-v1")
RAW = Inputs(PENDULUM, PENDULUM.actions, history=2)


def test_a_model_reads_sine_and_cosine_of_angles_and_the_actions_before():
    values = RAW.join(torch.tensor([[np.pi / 6, 3.0]]), torch.tensor([[1.5]]), torch.tensor([[0.5, -0.5]]))
    assert values[0].tolist() == pytest.approx([3.0, 0.5, np.sqrt(0.75), 1.5, 0.5, -0.5])


def test_inputs_are_standardised_by_the_training():
    data = [watch(PENDULUM, Body(), 300, seed) for seed in (0, 1)]
    rows = np.concatenate([RAW.fitted(data).rows(part) for part in data])
    assert rows.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert rows.std(axis=0) == pytest.approx(1, abs=1e-4)


def test_rows_and_a_planner_read_the_same():
    data = watch(PENDULUM, Body(), 50, 0)
    inputs = RAW.fitted([data])
    state = torch.from_numpy(PENDULUM.state(data.state)).float()
    action = torch.from_numpy(data.action).float()
    earlier = torch.from_numpy(data.earlier(PENDULUM.actions, 2))
    assert torch.equal(inputs.join(state, action, earlier), torch.from_numpy(inputs.rows(data)))


@pytest.fixture(scope="module")
def learned() -> Dynamics:
    data = watch(PENDULUM, Body(delay=1), 2000, 0)
    inputs = RAW.fitted([data])
    domain = inputs.domain({"body": data})
    dynamics = Dynamics.fresh(inputs, domain, (32, 32), seed=0)
    learn(dynamics, domain, {"steps": 800, "learning_rate": 3e-3, "batch_size": 128}, seed=0)
    return dynamics


def test_a_trained_model_says_what_the_body_does(learned: Dynamics):
    assert learned.error(watch(PENDULUM, Body(delay=1), 400, 1)) < 0.01  # 1 is what a constant answer gets


def test_it_has_learned_which_action_arrives(learned: Dynamics):
    state = torch.zeros(1, 2)
    with torch.inference_mode():
        by_now = learned.step(state, torch.tensor([[2.0]]), torch.tensor([[0.0, 0.0]]))[0, 1]
        by_last = learned.step(state, torch.tensor([[0.0]]), torch.tensor([[2.0, 0.0]]))[0, 1]
    assert abs(float(by_now)) < 0.08  # the delay is one step
    assert float(by_last) == pytest.approx(0.3, abs=0.08)  # 3 * torque * 0.05 s


def test_a_step_and_the_error_agree(learned: Dynamics):
    data = watch(PENDULUM, Body(delay=1), 20, 3)
    with torch.inference_mode():
        said = learned.step(
            torch.from_numpy(PENDULUM.state(data.state)).float(),
            torch.from_numpy(data.action).float(),
            torch.from_numpy(data.earlier(PENDULUM.actions, 2)),
        ).numpy()
    gone = said - PENDULUM.state(data.next_state)
    gone[:, 0] = (gone[:, 0] + np.pi) % (2 * np.pi) - np.pi
    scale = np.array(learned.model.task.scale)  # type: ignore[attr-defined]
    assert learned.error(data) == pytest.approx(float(((gone / scale) ** 2).mean()), rel=1e-3)


def test_what_is_saved_is_loaded(learned: Dynamics, tmp_path):
    learned.save(tmp_path, {})
    again = Dynamics.load(tmp_path)
    data = watch(PENDULUM, Body(), 30, 2)
    assert again.error(data) == learned.error(data)
    assert again.inputs == learned.inputs


def test_a_model_of_another_robot_is_refused(learned: Dynamics, tmp_path):
    learned.save(tmp_path, {})
    with pytest.raises(SettingsError, match="of the robot 'Pendulum-v1', and not of 'CartPole-v1'"):
        Dynamics.load(tmp_path, find("CartPole-v1"))
    (tmp_path / "inputs.json").write_text("{}")
    with pytest.raises(DataError, match="not a readable model of a robot: 'robot' is missing"):
        Dynamics.load(tmp_path)


def test_a_body_is_a_group_and_its_changes_are_labels():
    data = watch(PENDULUM, Body(), 5, 0)
    domain = replace(RAW.fitted([data])).domain({"one": data, "two": data})
    assert domain.groups.tolist() == ["one"] * 5 + ["two"] * 5  # type: ignore[union-attr]
    assert domain.labels[0] == domain.labels[5]  # type: ignore[index]
