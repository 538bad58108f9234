"""Settings of a control run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acclimate.robots.bodies import Ranges
from acclimate.robots.methods import Fit, way
from acclimate.robots.planner import Planner
from acclimate.settings import as_dict, build, within

SECTIONS = {"ranges": Ranges, "fit": Fit, "planner": Planner}


@dataclass(frozen=True)
class Control:
    """Settings of a control run.

    Attributes:
        env: id of the environment, such as Pendulum-v1 or CartPole-v1.
        bodies: how many bodies are learned from.
        seconds: of data that a new body will be adapted from.
        method: `name` and settings: nominal, finetune, randomise, randomise+finetune, or a meta-learner with inner
            steps, such as maml.
        seed: from which everything follows.
        history: earlier actions that the model reads; it can see delays of up to so many steps.
        hidden: widths of the model's hidden layers.
        ranges: between which bounds bodies are drawn.
        fit: how long and how fast the model learns.
        planner: how far and how hard it plans.
        episodes: unseen bodies that are played at the end, with and without adaptation (`ControlRun.play`).
    """

    env: str = "Pendulum-v1"
    bodies: int = 40
    seconds: float = 10.0
    method: Mapping[str, Any] = field(default_factory=lambda: {"name": "maml"})
    seed: int = 0
    history: int = 3
    hidden: tuple[int, ...] = (64, 64)
    ranges: Ranges = field(default_factory=Ranges)
    fit: Fit = field(default_factory=Fit)
    planner: Planner = field(default_factory=Planner)
    episodes: int = 0

    def __post_init__(self) -> None:
        within(self, bodies="[1, inf)", seconds="(0, inf)", history="[0, inf)", episodes="[0, inf)")

    def recipe(self) -> dict[str, Any]:
        """As plain JSON values, with every default written out."""
        sections = {name: as_dict(getattr(self, name)) for name in SECTIONS}
        return {**as_dict(self), **sections, "method": way(self.method).recipe()}


def parse(asked: Mapping[str, Any]) -> Control:
    """Settings from a mapping; a method may be its name alone.

    Raises:
        SettingsError: an unknown key (names the nearest), or a value that cannot be.
    """
    values = dict(asked)
    if isinstance(values.get("method"), str):
        values["method"] = {"name": values["method"]}
    for name, kind in SECTIONS.items():
        if isinstance(values.get(name), Mapping):
            values[name] = build(kind, values[name], name)
    found = build(Control, values, "control")
    way(found.method)
    return found
