"""What training an arm needs beside the arm, and what becomes of arms that fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acclimate.errors import DataError, DivergedError, SettingsError
from acclimate.files import path_name
from acclimate.runs.arms import Arm
from acclimate.runs.features import Features
from acclimate.runs.log import Log
from acclimate.runs.prepare import Prepared
from acclimate.runs.recipe import Recipe

MAY_FAIL: dict[str, tuple[type[Exception], ...]] = {
    "plain": (DataError,),
    "beside": (DataError,),
    "candidate": (DataError, SettingsError, DivergedError),
}
"""What an arm of a role may fail with and be left out; any other failure ends the run."""


@dataclass(frozen=True)
class Workshop:
    """Everything that training an arm needs beside the arm itself.

    Attributes:
        folder: of the run.
        prepared: the data.
        recipe: of the run.
        log: where steps are written and shown.
        seconds: that the arm's loops may take together, or None.
        objects: backbones that came as objects, by name.
        frozen: features of frozen backbones, which the arms that a process trains share.
    """

    folder: Path
    prepared: Prepared
    recipe: Recipe
    log: Log
    seconds: float | None = None
    objects: Mapping[str, Any] | None = None
    frozen: dict[tuple[object, ...], Features] = field(default_factory=dict)

    def arm_folder(self, arm: str) -> Path:
        """Where a finished arm lives."""
        return self.folder / "arms" / path_name(arm)

    def checkpoints(self, arm: str) -> Path:
        """Where an unfinished arm keeps its states."""
        return self.folder / "checkpoints" / path_name(arm)


def attempt(arm: Arm, train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The record of an arm, or why it is ``left_out`` where its role allows that."""
    try:
        return train()
    except (DataError, SettingsError, DivergedError) as error:
        if isinstance(error, MAY_FAIL.get(arm.role, ())):
            return {"left_out": str(error)}
        raise
