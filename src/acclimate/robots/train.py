"""A control run: bodies are drawn, a model learns from them, and what comes out is kept in a folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acclimate import __version__
from acclimate.errors import DataError, SettingsError
from acclimate.files import path_name, read_json, write_json
from acclimate.robots.bodies import NOMINAL, Body, draw
from acclimate.robots.dynamics import SCHEMA, Dynamics, Inputs
from acclimate.robots.methods import Taught, learn, meta_learn, plain, way
from acclimate.robots.robot import Robot, find
from acclimate.robots.settings import Control, parse
from acclimate.robots.transitions import Transitions, explore
from acclimate.runs import single
from acclimate.runs.folder import Lock, check_free, clear
from acclimate.runs.log import Found, Log, Show, rewind, silent, tidy, unsaid
from acclimate.runs.meta.learned import Learned
from acclimate.runs.result import environment
from acclimate.seeds import derive
from acclimate.settings import as_dict
from acclimate.training.device import place
from acclimate.training.loop import Report

RECORD, VERSION = "control.json", 1
DATA = "data.json"
STAGE = "dynamics"
HELD_OUT = 8
"""Bodies that are not learned from, on which the record says what an adaptation does to the error."""
TIMES = 2
"""How many times as long as a new body each body of the training is watched: support and query of meta-learning."""


def control(
    asked: Control, folder: Path, *, robot: Robot | None = None, force: bool = False, show: Show = silent
) -> dict[str, Any]:
    """Draw bodies, learn from what they do, measure on bodies held out, and write the run; returns the record.

    Args:
        asked: settings.
        folder: where the run will be; must be absent or empty unless ``force``.
        robot: in the place of ``asked.env``, where it is none of the known ones.
        force: replace a run in the folder.
        show: called with the progress.

    Raises:
        AcclimateError: what is wrong, and what to do.
    """
    robot = robot or find(asked.env)
    robot.make().close()  # what cannot be made is refused before a folder is taken
    steps = steps_of(robot, asked.seconds)
    _check_length(asked, steps)
    check_free(folder, force)
    with Lock(folder, place("cpu", "fp32")):
        check_free(folder, force)
        clear(folder)
        bodies = [as_dict(body) for body in drawn(asked)]
        write_json(folder / DATA, {"robot": robot.name, "settings": asked.recipe(), "bodies": bodies})
        return _carry_out(asked, robot, folder, show)


def is_control(folder: Path) -> bool:
    """Whether a control run was begun in the folder."""
    return (folder / DATA).is_file() and "robot" in read_json(folder / DATA)


def resume(folder: Path, *, robot: Robot | None = None, found: Found = unsaid, show: Show = silent) -> dict[str, Any]:
    """Continue a control run after a kill, bit for bit; the record of a finished one is returned as it is.

    Raises:
        SettingsError: the robot was an object, and is not given again.
        DataError: bodies are drawn otherwise by this version.
    """
    if (folder / RECORD).is_file():
        return single.load(folder / RECORD, VERSION, "a control run")
    begun = read_json(folder / DATA)
    asked, robot = parse(begun["settings"]), robot or find(begun["robot"])
    if robot.name != begun["robot"]:
        raise SettingsError(f"{folder} is a run of {begun['robot']}, found {robot.name}")
    if begun["bodies"] != [as_dict(body) for body in drawn(asked)]:
        raise DataError(f"{folder}: another version of Acclimate drew its bodies; start a new run")
    with Lock(folder, place("cpu", "fp32")):
        found({"robot": robot.name, "bodies": asked.bodies})
        tidy(folder)
        rewind(folder)
        return _carry_out(asked, robot, folder, show)


def drawn(asked: Control) -> list[Body]:
    """The bodies that are learned from."""
    return draw(asked.ranges, asked.bodies, asked.seed)


def _carry_out(asked: Control, robot: Robot, folder: Path, show: Show) -> dict[str, Any]:
    """Watch the bodies, learn from the last checkpoint on, and write what came out."""
    begun, steps, name = time.monotonic(), steps_of(robot, asked.seconds), str(asked.method["name"])
    data = watched(robot, drawn(asked), TIMES * steps, asked.seed)
    report = Log(folder / "metrics.jsonl", show).report(name, STAGE)
    taught = teach(asked, robot, data, report, folder / "checkpoints" / path_name(name) / f"0-{STAGE}")
    held = held_out(asked, robot, taught)
    save(taught, folder)
    record = {
        "version": VERSION,
        "acclimate": __version__,
        "settings": {**asked.recipe(), "env": robot.name},
        "steps": steps,
        "transitions": asked.bodies * TIMES * steps,
        "held_out": held,
        "seconds": round(time.monotonic() - begun, 3),
        "environment": environment("fp32"),
    }
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    write_json(folder / RECORD, record)
    return record


def _check_length(asked: Control, steps: int) -> None:
    """Meta-learning adapts from ``steps`` transitions of a body and judges by others of it."""
    if way(asked.method).learner is not None and (TIMES - 1) * steps < asked.fit.queries:
        raise SettingsError(
            f"seconds {asked.seconds:g}: of {TIMES * steps} steps that a body is watched for {steps} are adapted from, "
            f"and fit.queries asks for {asked.fit.queries} others; take more seconds, or "
            f"--set fit.queries={(TIMES - 1) * steps}"
        )


def steps_of(robot: Robot, seconds: float) -> int:
    """Steps of the robot in so many seconds.

    Raises:
        SettingsError: less than two.
    """
    steps = round(seconds / robot.seconds)
    if steps < 2:
        raise SettingsError(f"seconds: {seconds:g} s are {steps} steps of {robot.name}; take at least two steps")
    return steps


def watched(robot: Robot, bodies: Sequence[Body], steps: int, seed: int) -> dict[str, Transitions]:
    """What each body does under exploratory actions, by a name of the body."""
    return {f"body {k}": watch(robot, body, steps, derive(seed, "body", k)) for k, body in enumerate(bodies)}


def watch(robot: Robot, body: Body, steps: int, seed: int) -> Transitions:
    """``steps`` transitions of one body under exploratory actions."""
    env = robot.make(body)
    try:
        return explore(env, robot.actions, steps, seed)
    finally:
        env.close()


def teach(
    asked: Control,
    robot: Robot,
    data: Mapping[str, Transitions],
    report: Report | None = None,
    checkpoints: Path | None = None,
) -> Taught:
    """A model that learned from the transitions of many bodies; of as many of the nominal body, if the method says so.

    With ``checkpoints`` it goes on from the last one in that folder.

    Raises:
        AcclimateError: it blew up, or bodies have too few transitions.
    """
    chosen = way(asked.method)
    if not chosen.varied:
        data = {"nominal": watch(robot, NOMINAL, sum(map(len, data.values())), derive(asked.seed, "nominal"))}
    inputs = Inputs(robot, robot.actions, asked.history).fitted(list(data.values()))
    domain = inputs.domain(data)
    taught = Taught(chosen, asked.fit, Dynamics.fresh(inputs, domain, asked.hidden, asked.seed), seed=asked.seed)
    if chosen.learner is None:
        learn(taught.dynamics, domain, plain(asked.fit), asked.seed, report, checkpoints)
        return taught
    return meta_learn(taught, domain, min(map(len, data.values())) // TIMES, asked.seed, report, checkpoints)


def held_out(asked: Control, robot: Robot, taught: Taught) -> dict[str, Any]:
    """Error on bodies of the same ranges that were not learned from, before and after adaptation: the median.

    What a body is adapted from, and what it is judged by, are different episodes.
    """
    steps, before, after = steps_of(robot, asked.seconds), [], []
    for k, body in enumerate(draw(asked.ranges, HELD_OUT, asked.seed, "held out")):
        support, query = (watch(robot, body, steps, derive(asked.seed, side, k)) for side in ("support", "query"))
        before.append(taught.dynamics.error(query))
        after.append(taught.adapted(support).error(query))
    return {
        "bodies": HELD_OUT,
        "before": round(float(np.median(before)), 6),
        "after": round(float(np.median(after)), 6),
        "better": int(np.sum(np.array(after) < np.array(before))),
    }


def save(taught: Taught, folder: Path) -> None:
    """The model, and the learner if there is one."""
    origin = {"control": taught.way.name, "tune": "full", "seed": taught.seed, "precision": "fp32"}
    if taught.way.learner is None:
        taught.dynamics.save(folder, origin)
        return
    Learned(taught.dynamics.model, taught.parts, taught.way.learner, 0, origin).save(folder, SCHEMA)
    taught.dynamics.inputs.save(folder)
