"""Transitions: what a body was in, what it did, and where that led; from a simulator or from a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.errors import DataError
from acclimate.files import writing
from acclimate.robots.robot import Actions, Robot, wrapped
from acclimate.seeds import derive, generator

PARTS = ("state", "action", "next_state")
HELD = 10
"""Steps for which an exploratory action is held, every other time; in between each step draws its own."""


@dataclass(frozen=True)
class Transitions:
    """Steps of one body in the order in which they happened.

    A new episode begins where a state is not the one that the step before led to.

    Attributes:
        state: ``[n, observed]`` what the environment showed.
        action: ``[n, a]`` what was asked then, as the robot takes it; discrete actions are whole numbers ``[n, 1]``.
        next_state: ``[n, observed]`` what it showed a step later.
    """

    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray

    def __len__(self) -> int:
        return len(self.state)

    def part(self, rows: slice) -> Transitions:
        """Some of the steps."""
        return Transitions(self.state[rows], self.action[rows], self.next_state[rows])

    def check(self, robot: Robot, actions: Actions, where: str = "transitions") -> Transitions:
        """The same as float64 arrays of two dimensions.

        Raises:
            DataError: none, wrong shapes, numbers that are not finite, or actions that the robot does not have.
        """
        widths = {"state": robot.observed, "action": actions.width, "next_state": robot.observed}
        found = {name: _matrix(getattr(self, name), name, width, where) for name, width in widths.items()}
        lengths = {name: len(values) for name, values in found.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{where}: state, action and next_state have different numbers of rows: {lengths}")
        if not lengths["state"]:
            raise DataError(f"{where}: no transitions")
        actions.check(found["action"], where)
        return Transitions(**found)

    def begins(self) -> np.ndarray:
        """Whether each step ``[n]`` begins an episode."""
        same = np.isclose(self.state[1:], self.next_state[:-1], rtol=1e-5, atol=1e-6).all(axis=1)
        return np.concatenate([[True], ~same])

    def earlier(self, actions: Actions, steps: int) -> np.ndarray:
        """The actions before each one, newest first, as a model reads them ``[n, steps * size]``; neutral at first."""
        vectors = actions.vectors(self.action)
        idle = actions.vectors(actions.neutral()[None])
        ages = np.arange(len(self)) - np.maximum.accumulate(np.where(self.begins(), np.arange(len(self)), 0))
        back = [
            np.where((ages >= k)[:, None], vectors[np.maximum(np.arange(len(self)) - k, 0)], idle)
            for k in range(1, steps + 1)
        ]
        return np.concatenate([np.empty((len(self), 0), np.float32), *back], axis=1)

    def write(self, path: Path | str) -> None:
        """As ``.npz`` (arrays state, action, next_state) or as ``.csv`` (columns state_0, ..., action_0, ...)."""
        path = Path(path)
        if path.suffix == ".npz":
            with writing(path, ".npz") as part:
                np.savez(part, state=self.state, action=self.action, next_state=self.next_state)
            return
        names = [f"{name}_{k}" for name in PARTS for k in range(getattr(self, name).shape[1])]
        values = np.concatenate([getattr(self, name) for name in PARTS], axis=1)
        with writing(path) as part, part.open("w", encoding="utf-8") as file:
            np.savetxt(file, values, delimiter=",", header=",".join(names), comments="", fmt="%.9g")


def read(path: Path | str) -> Transitions:
    """Transitions from ``.npz`` or ``.csv`` as `Transitions.write` writes them; check them against the robot next.

    Raises:
        DataError: not such a file, or columns are missing.
    """
    path = Path(path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                values: dict[str, Any] = {name: file[name] for name in PARTS if name in file}
        else:
            import pandas as pd

            frame = pd.read_csv(path)
            columns = {name: [c for c in frame.columns if c.rpartition("_")[0] == name] for name in PARTS}
            values = {name: frame[found].to_numpy() for name, found in columns.items() if found}
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as transitions (.npz or .csv): {error}") from None
    if missing := [name for name in PARTS if name not in values]:
        raise DataError(
            f"{path}: {' and '.join(missing)} missing; transitions have arrays state, action and next_state (.npz), or "
            "columns state_0, ..., action_0, ..., next_state_0, ... (.csv)"
        )
    return Transitions(**values)


def _matrix(values: Any, name: str, width: int, where: str) -> np.ndarray:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{where}: {name} holds something that is not a number") from None
    found = found[:, None] if found.ndim == 1 and width == 1 else found
    if found.ndim != 2 or found.shape[1] != width:
        raise DataError(f"{where}: {name} has shape {list(found.shape)}, expected [rows, {width}] of this robot")
    bad = ~np.isfinite(found).all(axis=1)
    if bad.any():
        raise DataError(f"{where}: {name} is not finite in {int(bad.sum())} rows, first in row {bad.argmax() + 1}")
    return found


Policy = Callable[[np.ndarray], np.ndarray]
"""An observation ``[observed]`` to an action as the robot takes it ``[width]``."""


def explore(env: Any, actions: Actions, steps: int, seed: int) -> Transitions:
    """What a body does under exploratory actions: drawn anew for some steps, held for the next, and so on.

    Args:
        env: of `Robot.make`.
        actions: of the robot.
        steps: how many transitions, over as many episodes as it takes.
        seed: from which actions and first states come.
    """
    rng, episode = generator(seed, "explore"), 0
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    action = _drawn(actions, rng)
    while len(rows) < steps:
        seen, _ = env.reset(seed=derive(seed, "episode", episode) % 2**31)
        ended = False
        while not ended and len(rows) < steps:
            held = len(rows) // HELD % 2 and len(rows) % HELD
            action = action if held else _drawn(actions, rng)
            after, _, terminated, truncated, _ = env.step(taken(actions, action))
            rows.append((seen, action, after))
            seen, ended = after, terminated or truncated
        episode += 1
    state, action, reached = (np.stack(part).astype(np.float64) for part in zip(*rows, strict=True))
    return Transitions(state, action, reached)


def _drawn(actions: Actions, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(actions.count, size=1) if actions.count else rng.uniform(actions.low, actions.high)


def taken(actions: Actions, action: np.ndarray) -> Any:
    """An action ``[width]`` in the form that the environment takes."""
    return int(action[0]) if actions.count else action.astype(np.float32)


def episode(env: Any, actions: Actions, policy: Policy, seed: int) -> float:
    """The return of one episode from a first state that follows from the seed."""
    seen, _ = env.reset(seed=derive(seed, "test") % 2**31)
    total, ended = 0.0, False
    while not ended:
        seen, reward, terminated, truncated, _ = env.step(taken(actions, policy(seen)))
        total, ended = total + float(reward), terminated or truncated
    return total


def changes(robot: Robot, data: Transitions) -> np.ndarray:
    """How much each state changed ``[n, s]``; angles by the shorter way."""
    found = robot.state(data.next_state) - robot.state(data.state)
    for place in robot.angles:
        found[:, place] = wrapped(found[:, place])
    return found


def joined(parts: Sequence[Transitions]) -> Transitions:
    """Those of several bodies or episodes, one after the other."""
    return Transitions(*(np.concatenate([getattr(part, name) for part in parts]) for name in PARTS))
