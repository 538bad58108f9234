"""What twenty settings of one method cost beside one, on frozen features.

Both are measured in alternation in one process with one thread, in seconds of its processor time, so that other work on
the machine is not counted. A step is measured on its own, and so are whole runs of `compare`, from the reading of the
files (whose features are in the cache) to the result.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import acclimate as ac
from acclimate.backbones import registry
from acclimate.backbones.passthrough import PassThrough
from acclimate.methods.registry import parse
from acclimate.tasks.classify import Classify
from acclimate.training.device import place
from acclimate.training.fleet import Fleet, Member
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop
from benchmarks.common import say, write
from benchmarks.features import PAIRS

SETTINGS = 20
STRENGTHS = [float(f"{value:.3g}") for value in np.logspace(-2, 1, SETTINGS)]
METHODS = ("mcc", "dann")
BOTTLENECK, BLOCKS, STEPS, RUNS = 256, 15, 20, 2
Steps = Callable[[int], None]


def main() -> None:
    """Protocol: strengths 0.01 to 10, evenly on a log scale; batch 32, bottleneck 256, the defaults otherwise. Steps:
    median of the blocks, milliseconds, and the ratio of neighbouring blocks with its quartiles; ``speedup`` is over
    training one after the other. Runs: `compare` with one setting and with all, features in the cache, minilm.
    """
    torch.set_num_threads(1)
    found: dict[str, Any] = {"steps": {}, "runs": {}}
    for backbone in PAIRS:
        found["steps"][backbone] = {method: steps(backbone, method) for method in METHODS}
        say(backbone, found["steps"][backbone])
    for method in METHODS:
        found["runs"][method] = runs("minilm", method)
        say("compare", method, found["runs"][method])
    write("fleet", {"protocol": main.__doc__, "settings": SETTINGS, "blocks": BLOCKS, "steps_a_block": STEPS, **found})


def steps(backbone: str, method: str) -> dict[str, Any]:
    """Milliseconds of a step of one setting and of all, and how they compare."""
    ways = trainings(backbone, method)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for train in ways.values():
        train(STEPS)
    for _ in range(BLOCKS):
        for way, train in ways.items():
            begun = time.process_time()
            train(STEPS)
            taken[way].append((time.process_time() - begun) / STEPS)
    low, middle, high = (float(q) for q in np.quantile(np.divide(taken["all"], taken["one"]), [0.25, 0.5, 0.75]))
    return {
        **{way: round(1e3 * float(np.median(values)), 3) for way, values in taken.items()},
        "ratio": round(middle, 2),
        "quartiles": [round(low, 2), round(high, 2)],
        "speedup": round(SETTINGS / middle, 2),
    }


def trainings(backbone: str, method: str) -> dict[str, Steps]:
    """So many further steps of a training of one setting, and of all in one loop."""
    pair = PAIRS[backbone]
    source = ac.read(pair["source"], input=pair.get("input"), label=pair["label"])
    target = ac.read(pair["target"], input=pair.get("input"))
    seen = [next(iter(ac.embed(domain, backbone).values())) for domain in (source, target)]
    assert source.labels is not None
    domains = {"source": ac.read((seen[0], source.labels), label="label"), "target": ac.read(seen[1])}
    network, task = registry.create(backbone, source.schema.modality), Classify.from_domain(source)

    def model() -> Model:
        made = Model(PassThrough(network), task, bottleneck=BOTTLENECK, standardize=True)
        made.neck.fit(torch.from_numpy(np.asarray(seen[0])))
        return made

    options: dict[str, Any] = {
        "tune": Tune("frozen", bottleneck=BOTTLENECK),
        "training": Training(steps=10**9),
        "place": place("cpu", "fp32"),
        "seed": 0,
    }
    stage = Loop(method, domains, parse(method))
    members = [Member(model()) for _ in STRENGTHS]
    one = Trainer(model(), stage, **options)
    every = Fleet(members, stage, parse(method).given, {"strength": STRENGTHS}, **options)
    return {"one": _further(one), "all": _further(every)}


def _further(trainer: Trainer) -> Steps:
    def train(count: int) -> None:
        trainer.counters.total = trainer.counters.step + count
        trainer.train()

    return train


def runs(backbone: str, method: str) -> dict[str, Any]:
    """Seconds of a run of one setting and of all."""
    asked = {"one": [method], "all": [f"{method}:strength={value!r}" for value in STRENGTHS]}
    taken: dict[str, list[float]] = {way: [] for way in asked}
    for turn in range(RUNS + 1):
        for way, methods in asked.items():
            if turn or way == "one":  # the very first fills the cache
                seconds = compare(backbone, methods)
                taken[way] += [seconds] if turn else []
    medians = {way: float(np.median(values)) for way, values in taken.items()}
    ratio = medians["all"] / medians["one"]
    return {**{way: round(value, 1) for way, value in medians.items()}, "ratio": round(ratio, 2)}


def compare(backbone: str, methods: list[str]) -> float:
    """Seconds of one run."""
    pair = PAIRS[backbone]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        ac.compare(
            pair["source"],
            pair["target"],
            methods=methods,
            backbone=backbone,
            label=pair["label"],
            out=Path(folder) / "run",
            **({"input": pair["input"]} if "input" in pair else {}),
        )
        return time.process_time() - begun


if __name__ == "__main__":
    main()
