"""Arms that differ in a few numbers, trained in one loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from acclimate.errors import AcclimateError
from acclimate.files import read_json
from acclimate.methods.base import Method
from acclimate.runs.arms import Arm
from acclimate.runs.keep import keep
from acclimate.runs.train import Bench, train_arm
from acclimate.runs.workshop import Workshop, attempt
from acclimate.training.device import out_of_memory, place
from acclimate.training.fleet import Fleet, Member
from acclimate.training.stage import Loop


def crews(arms: Sequence[Arm]) -> list[list[Arm]]:
    """The arms, those of equal shape together, in the order in which each shape is first seen."""
    found: list[list[Arm]] = []
    for arm in arms:
        crew = next((crew for crew in found if arm.shape is not None and crew[0].shape == arm.shape), None)
        if crew is None:
            found.append([arm])
        else:
            crew.append(arm)
    return found


def train_crew(arms: Sequence[Arm], shop: Workshop) -> dict[str, dict[str, Any]]:
    """Train arms of equal shape; returns their records. Those that fail and may be left out say why.

    The first stage is trained for all at once, what follows one by one. Each ends as an arm like any other. Where that
    cannot be (sparse features, memory), they are trained one after the other.
    """
    folders = {arm.name: shop.arm_folder(arm.name) / "arm.json" for arm in arms}
    if len(arms) == 1 or all(path.is_file() for path in folders.values()):
        return _one_by_one(arms, shop)
    where = place(shop.recipe.device, shop.recipe.precision)
    benches = [Bench(arm, shop, where) for arm in arms]
    if benches[0].model.backbone.spec.sparse:
        return _one_by_one(arms, shop)
    end = None if shop.seconds is None else time.monotonic() + shop.seconds
    try:
        ended, lost = _together(benches, end)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, AcclimateError) or not out_of_memory(error):
            raise
        return _one_by_one(arms, shop)
    records: dict[str, dict[str, Any]] = {}
    for number, bench in enumerate(benches):
        left = None if end is None else max(0.0, end - time.monotonic()) / (len(arms) - number)
        records[bench.arm.name] = _finish(bench, ended[number], left, lost.get(number))
    return records


def _one_by_one(arms: Sequence[Arm], shop: Workshop) -> dict[str, dict[str, Any]]:
    shares = None if shop.seconds is None else shop.seconds / len(arms)
    return {arm.name: attempt(arm, partial(train_arm, arm, replace(shop, seconds=shares))) for arm in arms}


def _together(benches: Sequence[Bench], end: float | None) -> tuple[list[dict[str, Any]], Mapping[int, str]]:
    """Train the first stage; returns what the record of each says of it, and who was lost."""
    first, begun = benches[0], time.monotonic()
    loops = max(sum(isinstance(stage, Loop) for stage in bench.stages) for bench in benches)
    stages = [bench.prepare(cast(Loop, bench.stages[0]), 0) for bench in benches]
    trained = [cast(Method, stage.method) for stage in stages]
    stage, name = stages[0], f"{first.arm.name}:fleet"
    with ExitStack() as reading:
        for bench in benches:
            reading.enter_context(bench.reading())
        reports = [bench.shop.log.report(bench.arm.name, stage.name, name) for bench in benches]
        fleet = Fleet(
            [Member(b.model, told, b.guard, b.watch(stage)) for b, told in zip(benches, reports, strict=True)],
            stage,
            trained[0].given,
            {key: [method.numbers[key] for method in trained] for key in trained[0].numbers},
            deadline=None if end is None else begun + max(0.0, end - begun) / loops,
            **first.options(f"0-{stage.name}", name),
        )
        fleet.train()
    return [fleet.record_of(number) for number in range(len(benches))], fleet.lost


def _finish(bench: Bench, record: dict[str, Any], seconds: float | None, lost: str | None) -> dict[str, Any]:
    """The later stages of one arm, and its folder, unless it is there."""
    if lost is not None:
        return {"left_out": lost}
    done = bench.shop.arm_folder(bench.arm.name) / "arm.json"
    if done.is_file():
        return read_json(done)
    return attempt(bench.arm, partial(_write, bench, done, record, seconds))


def _write(bench: Bench, done: Path, record: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    keep(bench, done, [record, *bench.train(1, seconds)])
    return read_json(done)
