from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from acclimate.errors import DataError, SettingsError
from acclimate.robots.bodies import Body
from acclimate.robots.robot import ROBOTS, Actions, find, wrapped

PENDULUM, CARTPOLE = find("Pendulum-v1"), find("CartPole-v1")


def moved(body: Body, torque: float, angle: float, steps: int = 1) -> list[float]:
    """Angular velocities of a pendulum that begins at rest, after each of some steps of one torque."""
    env = PENDULUM.make(body)
    env.reset(seed=0)
    env.unwrapped.state = np.array([angle, 0.0])
    return [float(env.step(np.array([torque], np.float32))[0][2]) for _ in range(steps)]


def test_the_body_changes_how_the_pendulum_moves():
    # upright, gravity pulls at nothing: 3 / (m l^2) * torque * 0.05 s; lying, 3 g / (2 l) * 0.05 s
    assert moved(Body(), 1.0, 0.0) == pytest.approx([0.15])
    assert moved(Body(mass=2.0), 1.0, 0.0) == pytest.approx([0.075])
    assert moved(Body(length=2.0), 1.0, 0.0) == pytest.approx([0.0375])
    assert moved(Body(), 0.0, np.pi / 2) == pytest.approx([0.75])
    assert moved(Body(gravity=0.5), 0.0, np.pi / 2) == pytest.approx([0.375])


def test_a_delayed_action_arrives_later():
    still = moved(Body(delay=2), 1.0, 0.0, 4)
    assert still[:2] == [0.0, 0.0]
    assert still[2] == pytest.approx(0.15)
    assert still[3] == pytest.approx(moved(Body(), 1.0, 0.0, 2)[1])


def test_one_reset_forgets_the_delayed_actions():
    env = PENDULUM.make(Body(delay=1))
    env.reset(seed=0)
    env.step(np.array([2.0], np.float32))
    env.reset(seed=0)
    env.unwrapped.state = np.zeros(2)
    assert env.step(np.array([2.0], np.float32))[0][2] == 0.0


def test_the_body_changes_what_cartpole_computes_with():
    cart = CARTPOLE.make(Body(mass=2.0, length=3.0)).unwrapped
    assert (cart.masspole, cart.length) == pytest.approx((0.2, 1.5))
    assert (cart.total_mass, cart.polemass_length) == pytest.approx((1.2, 0.3))


def test_a_state_has_the_angle_itself():
    seen = np.array([[np.cos(-2.0), np.sin(-2.0), 5.0]])
    assert PENDULUM.state(seen)[0] == pytest.approx([-2.0, 5.0])
    assert wrapped(np.pi + 0.1) == pytest.approx(-np.pi + 0.1)


def test_the_pendulum_is_rewarded_as_by_its_environment():
    import torch

    env = PENDULUM.make()
    env.reset(seed=0)
    env.unwrapped.state = np.array([1.0, -2.0])
    _, reward, *_ = env.step(np.array([1.5], np.float32))
    assert float(PENDULUM.reward(torch.tensor([[1.0, -2.0]]), torch.tensor([[1.5]]))) == pytest.approx(reward)


def test_an_environment_that_is_not_known_is_refused():
    with pytest.raises(SettingsError, match="'Walker-v9' cannot be made into a robot; known: Pendulum-v1, CartPole-v1"):
        find("Walker-v9")


def test_an_environment_that_cannot_be_made_is_refused():
    with pytest.raises(SettingsError, match=r"environment 'Nowhere-v0' cannot be made: .*Nowhere"):
        replace(PENDULUM, name="Nowhere-v0").make()
    with pytest.raises(SettingsError, match=r"shows observations of shape \(3,\), expected \(5,\)"):
        replace(PENDULUM, observed=5).make()


class Unbounded(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (3,))
    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))


def test_actions_without_bounds_are_refused():
    gymnasium.register("Unbounded-v0", Unbounded, disable_env_checker=True)
    with pytest.raises(SettingsError, match=r"known are Discrete\(n\), and Box with finite bounds"):
        replace(PENDULUM, name="Unbounded-v0").make()


def test_actions_as_a_model_reads_them():
    assert CARTPOLE.actions == Actions(count=2)
    assert CARTPOLE.actions.vectors(np.array([[1], [0]])).tolist() == [[0, 1], [1, 0]]
    assert PENDULUM.actions == Actions((-2.0,), (2.0,))
    assert PENDULUM.actions.vectors(np.array([[1.5]])).tolist() == [[1.5]]


def test_discrete_and_continuous_actions_are_told_apart():
    with pytest.raises(DataError, match=r"row 2 has the action \[0.5\], and .* discrete, whole numbers from 0 to 1"):
        CARTPOLE.actions.check(np.array([[1.0], [0.5]]), "log.csv")
    with pytest.raises(DataError, match=r"row 1 has the action \[2.5\], and .* continuous, from \[-2.0\] to \[2.0\]"):
        PENDULUM.actions.check(np.array([[2.5]]), "log.csv")


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_what_is_said_of_a_robot_is_true(robot):
    env = robot.make()
    seen, _ = env.reset(seed=0)
    assert robot.state(seen[None].astype(float)).shape == (1, robot.size)
    seconds = getattr(env.unwrapped, "dt", None) or env.unwrapped.tau
    assert robot.seconds == pytest.approx(seconds)
