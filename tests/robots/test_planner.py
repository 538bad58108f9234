from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from acclimate.errors import SettingsError
from acclimate.robots.planner import Planner, returns
from acclimate.robots.robot import Actions, find
from acclimate.robots.transitions import episode

PENDULUM, CARTPOLE = find("Pendulum-v1"), find("CartPole-v1")


def pendulum(state: Tensor, action: Tensor, earlier: Tensor) -> Tensor:
    """What the environment computes."""
    velocity = (state[:, 1] + (15 * state[:, 0].sin() + 3 * action[:, 0]) * 0.05).clamp(-8, 8)
    return torch.stack([state[:, 0] + velocity * 0.05, velocity], dim=1)


def cartpole(state: Tensor, action: Tensor, earlier: Tensor) -> Tensor:
    _, speed, angle, turning = state.T
    force = 20 * action[:, 1] - 10
    push = (force + 0.05 * turning.square() * angle.sin()) / 1.1
    turned = (9.8 * angle.sin() - angle.cos() * push) / (0.5 * (4 / 3 - 0.1 * angle.cos().square() / 1.1))
    pushed = push - 0.05 * turned * angle.cos() / 1.1
    return state + 0.02 * torch.stack([speed, pushed, turning, turned], dim=1)


class Agent:
    """Plans with a given model."""

    def __init__(self, robot, step, planner: Planner):
        self.robot, self.step, self.planner, self.plan, self.count = robot, step, planner, None, 0
        self.actions = robot.actions

    def __call__(self, seen: np.ndarray) -> np.ndarray:
        state = torch.from_numpy(self.robot.state(seen[None].astype(np.float64))[0]).float()
        asked = (self.step, self.robot.reward, self.actions, state, torch.zeros(0), self.plan, self.count)
        self.plan, self.count = self.planner.plan(*asked), self.count + 1
        first = self.plan[0].numpy()
        return np.array([first.argmax()]) if self.actions.count else first


def test_with_the_true_dynamics_the_pendulum_swings_up():
    agent = Agent(PENDULUM, pendulum, Planner(horizon=20, samples=64, elites=8, rounds=3))
    assert episode(PENDULUM.make(), agent.actions, agent, seed=0) > -200  # hanging still costs about 2000


def test_with_the_true_dynamics_the_pole_is_balanced():
    agent = Agent(CARTPOLE, cartpole, Planner(horizon=20, samples=64, elites=8, rounds=3))
    assert episode(CARTPOLE.make(), agent.actions, agent, seed=0) == 500  # all that an episode has


def test_a_plan_finds_the_best_actions_of_a_problem_that_is_known():
    def step(state: Tensor, action: Tensor, earlier: Tensor) -> Tensor:
        return state + action

    def reward(state: Tensor, action: Tensor) -> Tensor:
        return -(state[:, 0] - 1.5).square()

    actions = Actions((-1.0,), (1.0,))
    planner = Planner(horizon=3, samples=400, elites=40, rounds=12)
    plan = planner.plan(step, reward, actions, torch.zeros(1), torch.zeros(0), None, seed=0)
    assert plan[:, 0].tolist() == pytest.approx([1.0, 0.5, 0.0], abs=0.05)


def test_returns_are_summed_rewards_and_earlier_actions_move_on():
    def step(state: Tensor, action: Tensor, earlier: Tensor) -> Tensor:
        return state + earlier[:, -1:]  # what was asked two steps ago arrives

    tried = torch.tensor([[[1.0], [2.0], [3.0]]])
    total = returns(
        step, lambda state, action: state[:, 0] + 100 * action[:, 0], tried, torch.zeros(1), torch.tensor([10.0, 20.0])
    )
    assert total.item() == (20 + 30 + 31) + 100 * 6


def test_a_model_that_says_no_number_is_no_plan():
    def step(state: Tensor, action: Tensor, earlier: Tensor) -> Tensor:
        return torch.where(action > 0, torch.nan, action)

    actions = Actions((-1.0,), (1.0,))
    plan = Planner(horizon=2, samples=64, elites=4).plan(
        step, lambda state, action: state[:, 0], actions, torch.zeros(1), torch.zeros(0), None, seed=0
    )
    assert (plan <= 0).all()


def test_the_same_seed_plans_the_same_bits():
    state, idle = torch.tensor([2.0, 0.0]), torch.zeros(0)

    def plan(seed: int) -> Tensor:
        return Planner().plan(pendulum, PENDULUM.reward, PENDULUM.actions, state, idle, None, seed)

    before = torch.get_rng_state()
    assert torch.equal(plan(1), plan(1))
    assert not torch.equal(plan(1), plan(2))
    assert torch.equal(before, torch.get_rng_state())


def test_planners_that_cannot_plan_are_refused():
    with pytest.raises(SettingsError, match="elites are some of the samples: found 9 of 8"):
        Planner(samples=8, elites=9)
    with pytest.raises(SettingsError, match="horizon"):
        Planner(horizon=0)
