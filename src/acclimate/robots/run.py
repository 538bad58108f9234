"""What a control run produced, and what it makes of a new body."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from acclimate.errors import DataError, SettingsError
from acclimate.files import write_json
from acclimate.robots.bodies import CHANGES, Body, unseen
from acclimate.robots.controller import Controller
from acclimate.robots.dynamics import Dynamics, Inputs
from acclimate.robots.methods import Taught, way
from acclimate.robots.robot import Robot
from acclimate.robots.settings import Control, parse
from acclimate.robots.train import RECORD, VERSION, steps_of, watch
from acclimate.robots.transitions import Transitions, episode, read
from acclimate.runs import single
from acclimate.runs.meta.learned import Learned
from acclimate.seeds import derive
from acclimate.settings import as_dict


class ControlRun:
    """A model that learned from many bodies; `adapt` makes it the controller of a new one.

    Attributes:
        folder: where it lives.
        result: the content of control.json.
    """

    def __init__(self, folder: Path | str, robot: Robot | None = None):
        self.folder, self._robot = Path(folder), robot
        if not (self.folder / RECORD).is_file():
            raise DataError(f"{self.folder}: no finished control run ({RECORD} is missing)")
        self.result: dict[str, Any] = single.load(self.folder / RECORD, VERSION, "a control run")

    @cached_property
    def settings(self) -> Control:
        """As the run was made with."""
        return parse(self.result["settings"])

    @cached_property
    def taught(self) -> Taught:
        """The model before it has seen a new body, and its method."""
        asked = self.settings
        chosen = way(asked.method)
        if chosen.learner is None:
            return Taught(chosen, asked.fit, Dynamics.load(self.folder, self._robot), seed=asked.seed)
        learned, inputs = Learned.read(self.folder), Inputs.load(self.folder, self._robot)
        return Taught(chosen, asked.fit, Dynamics(inputs, learned.model), learned.parts, asked.seed)

    @property
    def robot(self) -> Robot:
        """Whose bodies these are."""
        return self.taught.dynamics.inputs.robot

    def adapt(self, transitions: Transitions | Path | str, held_out: float = 0.0) -> Controller:
        """The controller of a body, adapted to its transitions.

        Args:
            transitions: in the order in which they happened, or a file of them (`robots.transitions.read`).
            held_out: share at the end that is not learned from; the controller's ``about`` then says what the error
                there is, before and after.

        Raises:
            DataError: transitions that are not of this robot, or too few.
            SettingsError: ``held_out`` is no share.
        """
        if not 0 <= held_out < 1:
            raise SettingsError(f"held out is a share from 0 to below 1, found {held_out}")
        where = "transitions" if isinstance(transitions, Transitions) else str(transitions)
        given = transitions if isinstance(transitions, Transitions) else read(transitions)
        inputs = self.taught.dynamics.inputs
        data = given.check(inputs.robot, inputs.actions, where)
        known = round(len(data) * (1 - held_out))
        if known < 2:
            raise DataError(f"{where}: {known} transitions to adapt from; take at least 2")
        adapted = self.taught.adapted(data.part(slice(known)))
        about: dict[str, Any] = {"method": self.taught.way.name, "transitions": known}
        if known < len(data):
            rest = data.part(slice(known, None))
            about |= {"held_out": len(rest), "before": self.taught.dynamics.error(rest), "after": adapted.error(rest)}
        return Controller(adapted, self.settings.planner, self.settings.seed, about)

    def unadapted(self) -> Controller:
        """The controller that has not seen the body."""
        about = {"method": self.taught.way.name, "transitions": 0}
        return Controller(self.taught.dynamics, self.settings.planner, self.settings.seed, about)

    def rehearse(self, body: Body, seed: int = 0) -> dict[str, float]:
        """On a simulated body: watch it for the run's seconds, adapt, and play an episode with and without.

        Returns:
            The returns ``unadapted`` and ``adapted``, from the same first state.
        """
        steps = steps_of(self.robot, self.settings.seconds)
        data = watch(self.robot, body, steps, derive(seed, "support"))
        controllers = {"unadapted": self.unadapted(), "adapted": self.adapt(data)}
        return {name: play(self.robot, body, controller, seed) for name, controller in controllers.items()}

    def play(self) -> None:
        """`rehearse` ``episodes`` bodies unlike all of the training, one property beyond its ranges in turn.

        The record keeps, as ``played``, of each the property (``change``), the body and its two returns.
        """
        played = []
        for k in range(self.settings.episodes):
            change = CHANGES[k % len(CHANGES)]
            body = unseen(self.settings.ranges, change, k // len(CHANGES) + 1, self.settings.seed)[-1]
            played.append({"change": change, **as_dict(body), **self.rehearse(body, seed=k)})
        self.result["played"] = played
        write_json(self.folder / RECORD, self.result)

    def __repr__(self) -> str:
        return f"ControlRun({str(self.folder)!r}, {self.taught.way.name} on {self.robot.name})"


def finished(folder: Path | str, robot: Robot | None = None) -> ControlRun:
    """A trained run whose bodies have been played too."""
    run = ControlRun(folder, robot)
    if run.settings.episodes and "played" not in run.result:
        run.play()
    return run


def play(robot: Robot, body: Body, controller: Controller, seed: int) -> float:
    """The return of one episode of a body under a controller, which is reset before."""
    env = robot.make(body)
    controller.reset()
    try:
        return episode(env, robot.actions, controller.act, seed)
    finally:
        env.close()
