"""Small control runs of the pendulum, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from acclimate.robots import train
from acclimate.robots.run import ControlRun
from acclimate.robots.settings import parse

pytest.importorskip("gymnasium")

SMALL = {
    "bodies": 12,
    "seconds": 10,
    "hidden": [32, 32],
    "fit": {"steps": 600, "tasks": 4, "queries": 50},
    "planner": {"horizon": 12, "samples": 32, "elites": 6, "rounds": 2},
}


def made(folder: Path, method: str, **settings: object) -> ControlRun:
    train.control(parse({**SMALL, "method": method, **settings}), folder)
    return ControlRun(folder)


@pytest.fixture(scope="session")
def finetuned(tmp_path_factory: pytest.TempPathFactory) -> ControlRun:
    return made(tmp_path_factory.mktemp("robots") / "finetune", "randomise+finetune")


@pytest.fixture(scope="session")
def maml(tmp_path_factory: pytest.TempPathFactory) -> ControlRun:
    fit = {**SMALL["fit"], "steps": 200, "learning_rate": 0.005}  # type: ignore[dict-item]
    return made(tmp_path_factory.mktemp("robots") / "maml", "maml", fit=fit)
