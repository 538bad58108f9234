"""A model of how a body moves: from state and actions to the change of the state."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones import registry as backbones
from acclimate.domains.domain import ArrayRows, Domain, Schema
from acclimate.domains.ids import hash_array
from acclimate.errors import SettingsError
from acclimate.files import read_json, write_json
from acclimate.robots.robot import Actions, Robot, find
from acclimate.robots.transitions import Transitions, changes
from acclimate.runs import store
from acclimate.tasks.regress_several import RegressSeveral
from acclimate.training.model import Model

CONFIG = "inputs.json"
SCHEMA = Schema("array", ("transition",))


@dataclass(frozen=True)
class Inputs:
    """What a model reads of a robot: its state, angles as sine and cosine, the action, and the actions before.

    Earlier actions show it a delayed actuator, which state and action alone cannot.

    Attributes:
        robot: whose states these are.
        actions: what it can do.
        history: how many earlier actions are read; longer delays than that stay invisible.
        mean: of each input ``[d]``, over the training.
        scale: deviation of each input ``[d]``.
    """

    robot: Robot
    actions: Actions
    history: int
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def rows(self, data: Transitions) -> np.ndarray:
        """Standardised inputs ``[n, d]`` float32."""
        state = torch.from_numpy(self.robot.state(data.state)).float()
        action = torch.from_numpy(self.actions.vectors(data.action))
        return self.join(state, action, torch.from_numpy(data.earlier(self.actions, self.history))).numpy()

    def join(self, state: Tensor, action: Tensor, earlier: Tensor) -> Tensor:
        """The same from states ``[n, s]``, actions ``[n, a]`` and earlier actions ``[n, history * a]``."""
        angles = state[:, self._angles]
        values = torch.cat([state[:, self._straight], angles.sin(), angles.cos(), action, earlier], dim=1)
        return (values - self._mean) * self._slope if self.mean else values

    @cached_property
    def _angles(self) -> Tensor:
        return torch.tensor(self.robot.angles, dtype=torch.int64)

    @cached_property
    def _straight(self) -> Tensor:
        return torch.tensor([k for k in range(self.robot.size) if k not in self.robot.angles], dtype=torch.int64)

    @cached_property
    def _mean(self) -> Tensor:
        return torch.tensor(self.mean)

    @cached_property
    def _slope(self) -> Tensor:
        return 1 / torch.tensor(self.scale)

    def fitted(self, data: Sequence[Transitions]) -> Inputs:
        """With mean and deviation of these transitions; what never changes is left at scale 1."""
        raw = replace(self, mean=(), scale=())
        values = np.concatenate([raw.rows(part) for part in data]).astype(np.float64)
        scale = values.std(axis=0)
        return replace(
            raw, mean=tuple(values.mean(axis=0).tolist()), scale=tuple(np.where(scale > 1e-6, scale, 1.0).tolist())
        )

    def domain(self, bodies: Mapping[str, Transitions]) -> Domain:
        """The transitions of several bodies as labelled rows; each body is a group."""
        rows = np.concatenate([self.rows(data) for data in bodies.values()])
        moved = np.concatenate([changes(self.robot, data) for data in bodies.values()])
        return Domain(
            name=self.robot.name,
            schema=replace(SCHEMA, label="change", group="body"),
            rows=ArrayRows(rows),
            ids=hash_array(rows),
            labels=np.array([json.dumps(row.tolist()) for row in moved], dtype=object),
            groups=np.repeat(np.array(list(bodies), dtype=object), [len(data) for data in bodies.values()]),
        )

    def save(self, folder: Path) -> None:
        """``folder/inputs.json``.

        Raises:
            AcclimateError: the disk is full or refuses.
        """
        known = {"robot": self.robot.name, "history": self.history, "mean": self.mean, "scale": self.scale}
        write_json(folder / CONFIG, known)

    @classmethod
    def load(cls, folder: Path, robot: Robot | None = None) -> Inputs:
        """What `save` wrote; ``robot`` where it is none of the known ones.

        Raises:
            DataError: it is not there, or damaged.
            SettingsError: it is of another robot.
        """
        with store.restoring(folder, "model of a robot"):
            known = read_json(folder / CONFIG)
            name, mean, scale = str(known["robot"]), tuple(known["mean"]), tuple(known["scale"])
            history = int(known["history"])
        robot = robot or find(name)
        if robot.name != name:
            raise SettingsError(f"{folder} is of the robot '{name}', and not of '{robot.name}'")
        return cls(robot, robot.actions, history, mean, scale)


@dataclass(frozen=True)
class Dynamics:
    """A model of how a body moves.

    Attributes:
        inputs: what it reads.
        model: a regression of the change of the state (`RegressSeveral`).
    """

    inputs: Inputs
    model: Model

    @classmethod
    def fresh(cls, inputs: Inputs, domain: Domain, hidden: tuple[int, ...], seed: int) -> Dynamics:
        """An untrained one: a perceptron with these hidden widths."""
        settings = {"hidden": hidden, "activation": "relu", "standardize": False}
        backbone = backbones.create("mlp", "array", settings, seed)
        backbone.fit(domain)
        return cls(inputs, Model(backbone, RegressSeveral.from_domain(domain), seed=seed))

    def copy(self) -> Dynamics:
        """One whose training leaves this one alone."""
        return Dynamics(self.inputs, copy.deepcopy(self.model))

    def step(self, state: Tensor, action: Tensor, earlier: Tensor) -> Tensor:
        """The states ``[n, s]`` that follow; arguments as in `Inputs.join`."""
        said = self.model.task.outputs(self.model.head, self.model.features(self.inputs.join(state, action, earlier)))
        mean, scale = self._moved
        return state + said["value"] * scale + mean

    @cached_property
    def _moved(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the changes of the state."""
        task = self.model.task
        assert isinstance(task, RegressSeveral)
        return torch.tensor(task.mean), torch.tensor(task.scale)

    def error(self, data: Transitions) -> float:
        """Mean squared error of one step ahead, over the numbers of the state in units of their training deviations."""
        task, model = self.model.task, self.model
        targets = task.encode(self.inputs.domain({"body": data}).labels)  # type: ignore[arg-type]
        with torch.inference_mode():
            said = task.outputs(model.head, model.features(torch.from_numpy(self.inputs.rows(data))))
            return float(task.loss(said, targets).mean())

    def save(self, folder: Path, origin: Mapping[str, Any]) -> None:
        """``folder/model`` and ``folder/inputs.json``.

        Raises:
            AcclimateError: the disk is full or refuses.
        """
        store.save(self.model, store.Card(SCHEMA, 1.0, dict(origin)), folder / "model")
        self.inputs.save(folder)

    @classmethod
    def load(cls, folder: Path, robot: Robot | None = None) -> Dynamics:
        """What `save` wrote; ``robot`` where it is none of the known ones.

        Raises:
            DataError: it is not there, or damaged.
            SettingsError: it is a model of another robot.
        """
        return cls(Inputs.load(folder, robot), store.load(folder / "model")[0])
