from __future__ import annotations

import numpy as np
import pytest

from acclimate.errors import DataError
from acclimate.robots.bodies import Body
from acclimate.robots.robot import find
from acclimate.robots.train import watch
from acclimate.robots.transitions import Transitions, changes, episode, read

PENDULUM, CARTPOLE = find("Pendulum-v1"), find("CartPole-v1")


def test_exploring_gives_the_steps_of_the_environment():
    data = watch(PENDULUM, Body(), 250, seed=0)
    assert len(data) == 250
    assert data.begins().nonzero()[0].tolist() == [0, 200]  # an episode has 200 steps
    env = PENDULUM.make()
    env.reset(seed=0)
    env.unwrapped.state = PENDULUM.state(data.state[3:4])[0]
    assert env.step(data.action[3].astype(np.float32))[0] == pytest.approx(data.next_state[3], abs=1e-5)


def test_exploratory_actions_change_at_every_step_and_are_held_in_turn():
    action = watch(PENDULUM, Body(), 40, seed=0).action[:, 0]
    assert len(set(action[:10])) == len(set(action[20:30])) == 10
    assert len(set(action[10:20])) == len(set(action[30:40])) == 1


def test_the_same_seed_gives_the_same_bits():
    one, same, other = (watch(CARTPOLE, Body(), 60, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.next_state, same.next_state)
    assert not np.array_equal(one.next_state, other.next_state)


def steps(*episodes: int) -> Transitions:
    """Episodes of so many steps of a pendulum that counts."""
    state = np.concatenate([np.arange(n) + 100 * k for k, n in enumerate(episodes)])[:, None] * np.ones(3)
    action = np.linspace(-2, 2, len(state))[:, None]
    return Transitions(state, action, state + 1)


def test_earlier_actions_stay_within_their_episode():
    data = steps(3, 2)
    action = data.action[:, 0]
    expected = [[0, 0], [action[0], 0], [action[1], action[0]], [0, 0], [action[3], 0]]
    assert data.earlier(PENDULUM.actions, 2) == pytest.approx(np.array(expected))
    assert data.earlier(PENDULUM.actions, 0).shape == (5, 0)


def test_earlier_discrete_actions_are_one_of_several():
    state = np.arange(2)[:, None] * np.ones(4)
    data = Transitions(state, np.array([[1], [0]]), state + 1)
    assert data.earlier(CARTPOLE.actions, 1).tolist() == [[1, 0], [0, 1]]  # nothing said: the neutral action, 0


def test_an_angle_changes_by_the_shorter_way():
    before, after = np.pi - 0.05, -np.pi + 0.05
    seen = [np.array([[np.cos(angle), np.sin(angle), 1.0]]) for angle in (before, after)]
    assert changes(PENDULUM, Transitions(seen[0], np.zeros((1, 1)), seen[1]))[0] == pytest.approx([0.1, 0.0])


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_what_is_written_is_read(tmp_path, suffix: str):
    data = watch(CARTPOLE, Body(), 30, seed=0)
    data.write(tmp_path / f"log{suffix}")
    found = read(tmp_path / f"log{suffix}").check(CARTPOLE, CARTPOLE.actions)
    for name in ("state", "action", "next_state"):
        assert getattr(found, name) == pytest.approx(getattr(data, name), rel=1e-6)
    assert found.begins().tolist() == data.begins().tolist()


def test_files_that_hold_no_transitions_are_refused(tmp_path):
    (tmp_path / "log.csv").write_text("state_0,action_0\n1,2\n")
    with pytest.raises(DataError, match="next_state missing; transitions have arrays state, action and next_state"):
        read(tmp_path / "log.csv")
    with pytest.raises(DataError, match="not readable as transitions"):
        read(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    ("part", "values", "said"),
    [
        ("state", np.zeros((4, 2)), r"state has shape \[4, 2\], expected \[rows, 3\]"),
        ("action", np.zeros((4, 2)), r"action has shape \[4, 2\], expected \[rows, 1\]"),
        ("next_state", np.zeros((3, 3)), "different numbers of rows"),
        ("state", np.full((4, 3), np.nan), "state is not finite in 4 rows, first in row 1"),
        ("action", np.array([["left"]] * 4), "action holds something that is not a number"),
        ("action", np.full((4, 1), 9.0), r"continuous, from \[-2.0\] to \[2.0\]"),
    ],
)
def test_transitions_that_are_not_of_the_robot_are_refused(part: str, values: np.ndarray, said: str):
    data = {"state": np.zeros((4, 3)), "action": np.zeros((4, 1)), "next_state": np.zeros((4, 3)), part: values}
    with pytest.raises(DataError, match=said):
        Transitions(**data).check(PENDULUM, PENDULUM.actions, "log.npz")
    with pytest.raises(DataError, match="no transitions"):
        Transitions(np.zeros((0, 3)), np.zeros((0, 1)), np.zeros((0, 3))).check(PENDULUM, PENDULUM.actions)


def test_an_episode_is_the_sum_of_its_rewards():
    actions = CARTPOLE.actions
    fell = episode(CARTPOLE.make(), actions, lambda seen: np.array([1]), seed=0)
    env = CARTPOLE.make()
    assert 5 < fell < 15  # always to the right: 1 a step until it falls
    assert fell == episode(env, actions, lambda seen: np.array([1]), seed=0)
