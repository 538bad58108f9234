"""Robots: twenty unseen pendulums a seed, adapted to from ten seconds of data, and what a planner makes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from acclimate.robots.bodies import CHANGES, Body, draw, unseen
from acclimate.robots.controller import Controller
from acclimate.robots.dynamics import Dynamics
from acclimate.robots.methods import Taught, Way, learn, plain
from acclimate.robots.planner import Planner
from acclimate.robots.robot import find
from acclimate.robots.settings import parse
from acclimate.robots.train import TIMES, steps_of, teach, watch, watched
from acclimate.robots.transitions import Policy, episode
from acclimate.seeds import derive, generator
from acclimate.settings import as_dict
from benchmarks.common import RESULTS, SEEDS, say, write

ROBOT = find("Pendulum-v1")
EACH = 5
"""Bodies of each change, a seed."""
PLANNER = Planner(samples=64, elites=8)
SHOWN = ("length", 1)
"""The body whose angle is kept step by step, of the first seed."""


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: models of a pendulum learn from 40 bodies with random mass, length, gravity and delay, 20 s each (the
    nominal one from as many transitions of the body as it comes). A new body differs in one thing: a factor beyond the
    ends of the training's ranges, or a delay of 1 to 3 steps. It is watched for 10 s (200 steps) under exploratory
    actions; the model is adapted to these and judged by another 10 s (error one step ahead) and by the return of one
    episode under the same planner (with 64 samples a round, of which 8 are kept: half of the default) from the same
    first state. The oracle is trained on 800 s of that very body. Settings
    were chosen on bodies within the ranges, none on these. What was measured is kept."""
    path = RESULTS / "robots.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    for seed in seeds:
        if missing := [change for change in CHANGES if (seed, change) not in {(r["seed"], r["change"]) for r in runs}]:
            models = trained(seed)
            for change in missing:
                runs += cell(models, change, seed)
                settings = parse({}).recipe()
                write(
                    "robots",
                    {"protocol": main.__doc__, "settings": {**settings, "planner": as_dict(PLANNER)}, "runs": runs},
                )


def trained(seed: int) -> dict[str, Taught]:
    """Every model that learned from many bodies, by the method that uses it."""
    asked = parse({"seed": seed})
    data = watched(ROBOT, draw(asked.ranges, asked.bodies, seed), TIMES * steps_of(ROBOT, asked.seconds), seed)
    found = {}
    for name in ("nominal", "randomise", "maml"):
        begun = time.monotonic()
        found[name] = teach(parse({"seed": seed, "method": name}), ROBOT, data)
        say(seed, name, f"{time.monotonic() - begun:.0f} s")
    tuned = {"finetune": "nominal", "randomise+finetune": "randomise"}
    return {**found, **{name: replace(found[base], way=Way(name)) for name, base in tuned.items()}}


def cell(models: Mapping[str, Taught], change: str, seed: int) -> list[dict[str, Any]]:
    """The bodies of one change."""
    asked = parse({"seed": seed})
    found, steps = [], steps_of(ROBOT, asked.seconds)
    for k, body in enumerate(unseen(asked.ranges, change, EACH, seed)):
        own = derive(seed, change, k)
        support, query = (watch(ROBOT, body, steps, derive(own, n)) for n in ("learn", "judge"))
        known = {name: taught.adapted(support) for name, taught in models.items()}
        known["oracle"] = oracle(models["randomise"], body, own)
        kept = seed == SEEDS[0] and (change, k) == SHOWN
        arms = {"random": played(random_policy(own), body, own, False)}
        for name, dynamics in known.items():
            controller = Controller(dynamics, PLANNER, seed=own)
            arms[name] = {"error": dynamics.error(query), **played(controller.act, body, own, kept)}
        say(seed, change, k, {name: round(arm["return"]) for name, arm in arms.items()})
        found.append({"seed": seed, "change": change, "body": as_dict(body), "arms": arms})
    return found


def oracle(randomised: Taught, body: Body, seed: int) -> Dynamics:
    """A model of the same size that learned from much data of the very body."""
    asked = parse({})
    data = watch(ROBOT, body, asked.bodies * TIMES * steps_of(ROBOT, asked.seconds), derive(seed, "oracle"))
    inputs = randomised.dynamics.inputs.fitted([data])
    domain = inputs.domain({"body": data})
    dynamics = Dynamics.fresh(inputs, domain, asked.hidden, asked.seed)
    learn(dynamics, domain, plain(asked.fit), asked.seed)
    return dynamics


def random_policy(seed: int) -> Policy:
    """Actions that nobody chose."""
    rng = generator(seed, "random policy")
    return lambda seen: rng.uniform(ROBOT.actions.low, ROBOT.actions.high)


def played(policy: Policy, body: Body, seed: int, kept: bool) -> dict[str, Any]:
    """The return of an episode, and the angle in each step where it is kept."""
    angles: list[float] = []

    def watching(seen: np.ndarray) -> np.ndarray:
        angles.append(round(float(ROBOT.state(seen[None])[0, 0]), 4))
        return policy(seen)

    total = episode(ROBOT.make(body), ROBOT.actions, watching, seed)
    return {"return": round(total, 2), **({"angles": angles} if kept else {})}


if __name__ == "__main__":
    main()
