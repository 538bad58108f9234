"""A controller: a model of one body, and a planner that uses it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acclimate.errors import DataError
from acclimate.files import read_json, write_json
from acclimate.robots.dynamics import Dynamics
from acclimate.robots.planner import Planner
from acclimate.robots.robot import Robot
from acclimate.robots.transitions import Transitions
from acclimate.runs import store
from acclimate.seeds import derive
from acclimate.settings import as_dict, build

CONFIG = "controller.json"


class Controller:
    """Acts on one body: `reset` when an episode begins, then `act` once a step.

    Attributes:
        dynamics: how the body moves, as far as is known.
        planner: how far and how hard it plans.
        seed: from which its draws follow, together with the number of the step.
        about: how the model came to be: method, rows it was adapted to, errors.
    """

    def __init__(
        self, dynamics: Dynamics, planner: Planner | None = None, seed: int = 0, about: Mapping[str, Any] | None = None
    ):
        self.dynamics, self.planner, self.seed = dynamics, planner or Planner(), seed
        self.about = dict(about or {})
        self.reset()

    def reset(self) -> None:
        """Forget the episode: its plan and its actions."""
        inputs = self.dynamics.inputs
        idle = torch.from_numpy(inputs.actions.vectors(inputs.actions.neutral()[None]))[0]
        self._earlier, self._step = idle.repeat(inputs.history), 0
        self._guess: torch.Tensor | None = None

    def act(self, state: np.ndarray) -> np.ndarray:
        """The action ``[width]``, as the robot takes it, in a state as the environment shows it ``[observed]``.

        Raises:
            DataError: another shape, or numbers that are not finite.
        """
        inputs = self.dynamics.inputs
        robot, actions = inputs.robot, inputs.actions
        seen = np.asarray(state, dtype=np.float64)
        if seen.shape != (robot.observed,) or not np.isfinite(seen).all():
            raise DataError(
                f"act: expected {robot.observed} finite numbers, as '{robot.name}' shows them; found {seen.tolist()}"
            )
        here = torch.from_numpy(robot.state(seen[None])[0]).float()
        self._guess = plan = self.planner.plan(
            self.dynamics.step,
            robot.reward,
            actions,
            here,
            self._earlier,
            self._guess,
            derive(self.seed, "plan", self._step),
        )
        first = plan[0].numpy()
        taken = np.array([first.argmax()]) if actions.count else first.astype(np.float64)
        said = torch.from_numpy(actions.vectors(taken[None]))[0]
        self._earlier = torch.cat([said, self._earlier])[: len(self._earlier)]
        self._step += 1
        return taken

    def error(self, data: Transitions) -> float:
        """See `Dynamics.error`.

        Raises:
            DataError: transitions that are not of this robot.
        """
        return self.dynamics.error(data.check(self.dynamics.inputs.robot, self.dynamics.inputs.actions))

    def save(self, folder: Path | str) -> None:
        """Everything that `load` needs: safetensors and JSON.

        Raises:
            AcclimateError: the disk is full or refuses.
        """
        folder = Path(folder)
        self.dynamics.save(folder, self.about)
        write_json(folder / CONFIG, {"planner": as_dict(self.planner), "seed": self.seed, "about": self.about})

    @classmethod
    def load(cls, folder: Path | str, robot: Robot | None = None) -> Controller:
        """A saved controller; ``robot`` where it is none of the known ones.

        Raises:
            DataError: it is not there, or damaged.
        """
        folder = Path(folder)
        with store.restoring(folder, "controller"):
            known = read_json(folder / CONFIG)
            planner = build(Planner, known["planner"], "planner")
            seed, about = int(known["seed"]), dict(known["about"])
        return cls(Dynamics.load(folder, robot), planner, seed, about)
