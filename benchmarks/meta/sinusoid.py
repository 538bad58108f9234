"""python -m benchmarks.meta.sinusoid: ten gradient steps on ten points of a new sinusoid.

Amplitudes 0.1 to 5, phases 0 to pi, x from -5 to 5; a network of two hidden layers of 40. The baselines take the same
ten steps from weights that learned all training sinusoids together, and from random ones, at the rate that is best on
held-out sinusoids. Finn et al., Model-Agnostic Meta-Learning, ICML 2017, section 5.1.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from torch import nn

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.domains.episodes import Episodes
from acclimate.methods import SourceOnly
from acclimate.methods.meta.base import Learner, Learning
from acclimate.methods.meta.maml import MAML
from acclimate.methods.meta.r2d2 import R2D2
from acclimate.tasks.regress import Regress
from acclimate.training.device import place
from acclimate.training.episodes import EpisodeStream
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop
from benchmarks.common import SEEDS, say, write

RESULTS = Path(__file__).resolve().parent / "results"
SHOTS, QUERIES = 10, 50
TASKS = {"train": 5000, "validation": 200, "test": 600}
ROWS = {"train": 30, "validation": SHOTS + QUERIES, "test": SHOTS + QUERIES}
STEPS, TASKS_A_STEP, OUTER_RATE = 4000, 20, 5e-3
PLAIN_STEPS, PLAIN_ROWS = 8000, 200
RATES = (0.003, 0.01, 0.02, 0.03, 0.05, 0.1)
AFTER = (0, 1, 2, 5, 10)


def sinusoids(count: int, rows: int, seed: int) -> Domain:
    """``count`` tasks of ``rows`` points each."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-5, 5, (count, rows))
    y = rng.uniform(0.1, 5, (count, 1)) * np.sin(x - rng.uniform(0, np.pi, (count, 1)))
    made = ac.read((x.reshape(-1, 1).astype(np.float32), y.reshape(-1)), label=True)
    return replace(made, groups=np.repeat([f"sinusoid {k}" for k in range(count)], rows).astype(object))


def new_model(task: Regress, seed: int) -> Model:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU())
    backbone = from_module(network, "array", example=np.zeros((1, 1), np.float32), pretrained=False)
    return Model(backbone, task, seed=seed)


def trained(model: Model, loop: Loop, seed: int, steps: int, size: int, rate: float) -> Mapping[str, nn.Module]:
    """The learner's own parts; the model is trained in place."""
    training = Training(
        batch_size=size, steps=steps, learning_rate=rate, optimizer="adam", schedule="cosine", weight_decay=0, clip=10
    )
    trainer = Trainer(model, loop, tune=Tune("full"), training=training, place=place("cpu", "fp32"), seed=seed)
    trainer.train()
    return trainer.parts


def errors(model: Model, learner: Learner, parts: Mapping[str, nn.Module], domain: Domain) -> np.ndarray:
    """Mean squared error of each task's queries, in the sinusoids' own unit."""
    count = len(set(domain.groups))
    episodes = Episodes(domain, 1, SHOTS, QUERIES, groups="tasks", seed=1)
    tasks = EpisodeStream("source", episodes, model.backbone, model.task, size=count, seed=0).batch(0)
    query = tasks.views["query"]
    values = learner.answers(model.eval(), parts, Batch(tasks.inputs, tasks.targets), query.inputs)
    return (values - query.targets).square().mean(1).numpy() * model.task.scale**2


def summed(values: np.ndarray) -> dict[str, float]:
    """Mean over tasks, with the half-width of its 95 % interval."""
    return {"mse": round(float(values.mean()), 4), "half": round(1.96 * float(values.std()) / len(values) ** 0.5, 4)}


def curve(model: Model, learner: MAML, parts: Mapping[str, nn.Module], domain: Domain) -> dict[str, Any]:
    """Errors after each number of steps."""
    return {str(k): summed(errors(model, replace(learner, test_steps=k), parts, domain)) for k in AFTER}


def baseline(model: Model, validation: Domain, test: Domain) -> dict[str, Any]:
    """Plain descent from a model's weights, at the rate that is best after ten steps on held-out sinusoids."""

    def held_out(rate: float) -> float:
        found = errors(model, MAML(rate=rate, test_steps=10), {}, validation).mean()
        return float(found) if np.isfinite(found) else np.inf

    rate = min(RATES, key=held_out)
    return {"rate": rate, "after": curve(model, MAML(rate=rate), {}, test)}


def measured(seed: int) -> dict[str, Any]:
    train, validation, test = (sinusoids(TASKS[n], ROWS[n], 10 * seed + k) for k, n in enumerate(TASKS))
    task = Regress.from_domain(train)
    found: dict[str, Any] = {"seed": seed, "scratch": baseline(new_model(task, seed), validation, test)}
    model, begun = new_model(task, seed), time.monotonic()
    trained(model, Loop("joint", {"source": train}, SourceOnly()), seed, PLAIN_STEPS, PLAIN_ROWS, 1e-3)
    found["pretrained"] = {"seconds": round(time.monotonic() - begun), **baseline(model, validation, test)}
    for learner in (MAML(steps=3, rate=0.03, mapped=True), R2D2()):
        model, begun = new_model(task, seed), time.monotonic()
        episodes = Episodes(train, 1, SHOTS, SHOTS, groups="tasks", seed=seed)
        loop = Loop("meta", {}, Learning(learner, model, episodes.classes), episodes=episodes)
        parts = trained(model, loop, seed, STEPS, TASKS_A_STEP, OUTER_RATE)
        row: dict[str, Any] = {"settings": learner.recipe(), "seconds": round(time.monotonic() - begun)}
        if isinstance(learner, MAML):
            row["after"] = curve(model, learner, parts, test)
        else:
            row["solved"] = summed(errors(model, learner, parts, test))
        found[learner.name] = row
        say(seed, learner.name, row)
    found["ratio"] = round(found["pretrained"]["after"]["10"]["mse"] / found["maml"]["after"]["10"]["mse"], 1)
    say(found)
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(mean(values), 2), "sd": round(stdev(values), 2), "least": min(values)}


def main() -> None:
    torch.set_num_threads(1)
    runs = [measured(seed) for seed in SEEDS]
    settings = {
        "shots": SHOTS, "queries": QUERIES, "tasks": TASKS, "rows": ROWS, "steps": STEPS, "tasks_a_step": TASKS_A_STEP,
        "outer_rate": OUTER_RATE, "plain_steps": PLAIN_STEPS, "plain_rows": PLAIN_ROWS, "rates": RATES,
    }  # fmt: skip
    write("sinusoid", {**settings, "ratio": spread([run["ratio"] for run in runs]), "runs": runs}, RESULTS)


if __name__ == "__main__":
    main()
