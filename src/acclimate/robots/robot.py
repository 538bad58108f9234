"""The robots: environments of Gymnasium whose body can be changed, with what a planner has to know of them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from acclimate.errors import DataError, MissingAssetError, SettingsError
from acclimate.robots.bodies import NOMINAL, Body

if TYPE_CHECKING:
    import gymnasium

Reward = Callable[[Tensor, Tensor], Tensor]
"""Of the state that was reached ``[n, s]`` and the action ``[n, a]``: ``[n]``."""
NEUTRAL = 0
"""What a robot with discrete actions does before the first delayed action arrives."""


@dataclass(frozen=True)
class Actions:
    """What a robot can do.

    Attributes:
        low: of continuous actions, ``[a]``; empty where they are discrete.
        high: of continuous actions, ``[a]``.
        count: of discrete actions; 0 where they are continuous.
    """

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    count: int = 0

    @property
    def size(self) -> int:
        """Numbers of an action as a model reads it."""
        return self.count or len(self.low)

    @property
    def width(self) -> int:
        """Numbers of an action as the robot takes it."""
        return 1 if self.count else len(self.low)

    def vectors(self, actions: np.ndarray) -> np.ndarray:
        """Actions ``[n, width]`` as a model reads them ``[n, size]`` float32; discrete ones are one of ``count``."""
        if self.count:
            return np.eye(self.count, dtype=np.float32)[actions[:, 0].astype(int)]
        return actions.astype(np.float32)

    def neutral(self) -> np.ndarray:
        """What the robot does while nobody says anything, as it takes it ``[width]``."""
        return np.full(1, NEUTRAL) if self.count else np.clip(0.0, self.low, self.high)

    def check(self, actions: np.ndarray, where: str) -> None:
        """Refuse actions ``[n, width]`` that the robot does not have.

        Raises:
            DataError: says which.
        """
        if self.count:
            bad = (actions != np.round(actions)) | (actions < 0) | (actions >= self.count)
            known = f"the robot's actions are discrete, whole numbers from 0 to {self.count - 1}"
        else:
            slack = 1e-4 * (np.asarray(self.high) - np.asarray(self.low))
            bad = (actions < np.asarray(self.low) - slack) | (actions > np.asarray(self.high) + slack)
            known = f"the robot's actions are continuous, from {list(self.low)} to {list(self.high)}"
        if bad.any():
            row = int(np.flatnonzero(bad.any(axis=1))[0])
            raise DataError(f"{where}: row {row + 1} has the action {actions[row].tolist()}, and {known}")


@dataclass(frozen=True)
class Robot:
    """An environment of Gymnasium, its parts that can be changed, and what is wanted of it.

    Attributes:
        name: id in Gymnasium.
        seconds: that a step lasts.
        observed: numbers that the environment shows.
        size: numbers of a state.
        state: observations ``[n, observed]`` to states ``[n, s]``, in which angles are single numbers.
        angles: places in the state that are angles in radians; a model reads their sine and cosine.
        reward: what a planner maximises.
        change: makes an unwrapped environment that of another body; the delay is not its business.
    """

    name: str
    seconds: float
    observed: int
    size: int
    state: Callable[[np.ndarray], np.ndarray]
    angles: tuple[int, ...]
    reward: Reward
    change: Callable[[Any, Body], None]

    def make(self, body: Body = NOMINAL) -> gymnasium.Env[Any, Any]:
        """The environment with this body.

        Raises:
            SettingsError: the environment cannot be made, or does not have what the body changes.
            MissingAssetError: Gymnasium, or what the environment needs, is not installed.
        """
        gym = _gymnasium()
        try:
            env = gym.make(self.name)
        except gym.error.DependencyNotInstalled as error:
            raise MissingAssetError(f"environment '{self.name}' needs a package that is missing: {error}") from None
        except (gym.error.Error, ImportError, TypeError, ValueError, AttributeError) as error:
            raise SettingsError(f"environment '{self.name}' cannot be made: {str(error).splitlines()[0]}") from None
        if env.observation_space.shape != (self.observed,):
            raise SettingsError(
                f"environment '{self.name}' shows observations of shape {env.observation_space.shape}, expected "
                f"({self.observed},)"
            )
        actions_of(env, self.name)
        self.change(env.unwrapped, body)
        return delayed(env, body.delay) if body.delay else env

    @property
    def actions(self) -> Actions:
        """What it can do."""
        env = self.make()
        try:
            return actions_of(env, self.name)
        finally:
            env.close()


def actions_of(env: gymnasium.Env[Any, Any], name: str) -> Actions:
    """The actions of an environment.

    Raises:
        SettingsError: they are neither one of several nor a vector between bounds.
    """
    gym, space = _gymnasium(), env.action_space
    if isinstance(space, gym.spaces.Discrete):
        return Actions(count=int(space.n))
    if isinstance(space, gym.spaces.Box) and len(space.shape) == 1 and np.isfinite([space.low, space.high]).all():
        return Actions(tuple(map(float, space.low)), tuple(map(float, space.high)))
    raise SettingsError(f"environment '{name}' has actions {space}; known are Discrete(n), and Box with finite bounds")


def delayed(env: gymnasium.Env[Any, Any], steps: int) -> gymnasium.Env[Any, Any]:
    """The environment, at which each action arrives ``steps`` steps late; before that its neutral action does."""
    gym = _gymnasium()
    actions = actions_of(env, "delayed")
    idle = NEUTRAL if actions.count else actions.neutral().astype(env.action_space.dtype)

    class Delayed(gym.Wrapper):  # type: ignore[name-defined]
        def reset(self, **options: Any) -> Any:
            self.pending = deque([idle] * steps)
            return self.env.reset(**options)

        def step(self, action: Any) -> Any:
            self.pending.append(action)
            return self.env.step(self.pending.popleft())

    return Delayed(env)


def find(name: str) -> Robot:
    """A robot by the id of its environment.

    Raises:
        SettingsError: none of the known ones; names them.
    """
    if name in ROBOTS:
        return ROBOTS[name]
    raise SettingsError(
        f"environment '{name}' cannot be made into a robot; known: {', '.join(ROBOTS)}. Another one is an "
        "acclimate.robots.robot.Robot, given in the place of its name"
    )


def wrapped(angle: Any) -> Any:
    """An angle between -pi and pi."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _pendulum_state(seen: np.ndarray) -> np.ndarray:
    return np.stack([np.arctan2(seen[:, 1], seen[:, 0]), seen[:, 2]], axis=1)


def _pendulum_reward(state: Tensor, action: Tensor) -> Tensor:
    return -(wrapped(state[:, 0]).square() + 0.1 * state[:, 1].square() + 0.001 * action[:, 0].square())


def _change_pendulum(env: Any, body: Body) -> None:
    env.m, env.l, env.g = env.m * body.mass, env.l * body.length, env.g * body.gravity


def _cartpole_reward(state: Tensor, action: Tensor) -> Tensor:
    """The environment's own reward is 1 until it ends, which leaves a planner no slope: upright, in the middle, slow,
    and not where the episode ends.
    """
    place, speed, angle = state[:, 0], state[:, 1], state[:, 2]
    over = (angle.abs() > 0.2) | (place.abs() > 2.3)
    return 1 - 0.2 * (angle / 0.2).square() - 0.2 * (place / 2.3).square() - 0.05 * speed.square() - 10 * over


def _change_cartpole(env: Any, body: Body) -> None:
    env.masspole, env.length, env.gravity = (
        env.masspole * body.mass,
        env.length * body.length,
        env.gravity * body.gravity,
    )
    env.total_mass = env.masspole + env.masscart
    env.polemass_length = env.masspole * env.length


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ImportError:
        raise MissingAssetError("robots need the extra 'control': pip install 'acclimate[control]'") from None
    return gymnasium


def _as_seen(seen: np.ndarray) -> np.ndarray:
    return seen


ROBOTS = {
    robot.name: robot
    for robot in (
        Robot("Pendulum-v1", 0.05, 3, 2, _pendulum_state, (0,), _pendulum_reward, _change_pendulum),
        Robot("CartPole-v1", 0.02, 4, 4, _as_seen, (2,), _cartpole_reward, _change_cartpole),
    )
}
