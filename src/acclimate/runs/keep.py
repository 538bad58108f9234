"""What is kept of a trained arm: its model, its evidence without opening the seal, and its record."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acclimate.files import write_json
from acclimate.runs import certainty, store
from acclimate.runs.columns import narrowed
from acclimate.runs.evidence import Evidence, gather
from acclimate.runs.rating import rate
from acclimate.runs.report import view
from acclimate.runs.shares import shift_seen
from acclimate.runs.sites import SiteFeatures
from acclimate.trust.certainty.certainty import Certainty
from acclimate.trust.privacy import budget

if TYPE_CHECKING:
    from acclimate.runs.train import Bench

OF_SOURCE = ("source", "narrowed")
"""Domains to judge by whose rows are the source's."""
VIEWED = ("adapted", "reference")
"""Roles of arms whose features the report shows."""


def keep(bench: Bench, done: Path, stages: list[dict[str, Any]]) -> None:
    """Judge an arm without opening the seal, and write its folder; ``done``, its record, last."""
    arm, shop, model = bench.arm, bench.shop, bench.model
    judged = _judged(bench, stages)
    evidence, features, held = judged.evidence, judged.features, judged.held
    origin = {
        "arm": arm.name,
        "method": arm.method.name,
        "tune": arm.tune.kind,
        "backbone": arm.backbone,
        "seed": shop.recipe.seed,
        "precision": bench.place.precision,
    }
    private = None if arm.privacy is None else budget.ledger(arm.privacy, stages)
    if private is not None:
        origin["privacy"] = private
    called, columns = shop.prepared.target_inputs(shop.recipe)
    card = store.Card(shop.prepared.schema, evidence.temperature, origin, called, evidence.offsets, columns)
    store.save(model, card, done.parent / "model", judged.certainty)
    evidence.write(done.parent / "evidence.npz")
    if arm.role in VIEWED and view.wanted():
        view.write_view(done.parent / view.FILE, features, shop.recipe.seed)
    seed, plainly = shop.recipe.seed, arm.method.name == "source_only" and arm.role != "plain"
    seconds = sum(stage["seconds"] for stage in stages) or time.monotonic() - bench.begun
    record = {
        "name": arm.name,
        "role": arm.role,
        **{key: origin[key] for key in ("method", "tune", "backbone", "precision")},
        "task": model.task.config(),
        "layer": model.layer,
        "steps": sum(stage.get("steps", 0) for stage in stages),
        "seconds": round(seconds, 3),
        "stages": stages,
        "privacy": private,
        "warnings": bench.guard.symptoms.warnings,
        "temperature": evidence.temperature,
        "offsets": list(evidence.offsets),
        "validators": rate(
            model,
            evidence.arrays,
            features,
            seed,
            evidence.temperature,
            evidence.offsets,
            None if held is None else held.weights,
        ),
        "shift": shift_seen(features, evidence.arrays, shop.prepared.data, seed) if plainly else None,
        "source_validation": evidence.source,
        "target_validation": evidence.target,
        "narrowed_validation": evidence.narrowed,
        "certainty": certainty.record(
            judged.certainty, held, evidence.temperature, judged.temperatures, judged.calibration
        ),
    }
    write_json(done, record)
    shutil.rmtree(shop.checkpoints(arm.name), ignore_errors=True)


def _settle(bench: Bench) -> None:
    """Let a head that remembers labelled rows see those that were trained on, and those that were held out."""
    data, task = bench.shop.prepared.data, bench.model.task
    if task.kind != "vector":
        return
    learned = data.source is not None and task == data.source_task
    train = data.source if learned else data.labelled_target
    held = data.source_validation if learned else data.labelled_target_validation
    assert train is not None and train.labels is not None
    task.settle(bench.model.head, bench.outputs(train), train.labels, None if held is None else bench.outputs(held))


@dataclass(frozen=True)
class Judged:
    """What an arm says of every domain that it may be judged by, and what its head reads of these.

    Attributes:
        evidence: see there.
        features: by domain, of its first rows.
        held: rows that certainty is measured on, or None.
        certainty: None where it is not measured.
        temperatures: that fit the target, by how they were found; None where there are none.
        calibration: how the deployed temperature was found.
    """

    evidence: Evidence
    features: dict[str, Any]
    held: certainty.HeldOut | None
    certainty: Certainty | None
    temperatures: dict[str, float] | None
    calibration: str


def _judged(bench: Bench, stages: list[dict[str, Any]]) -> Judged:
    data, task = bench.shop.prepared.data, bench.model.task
    judged = {
        "source": data.source_validation,
        "target": data.target,
        "labelled": data.labelled_target_validation,
        "narrowed": narrowed(data),
    }
    if task.likely:
        del judged["target"]  # has no right answers that it might find likely
    there = {name: domain for name, domain in judged.items() if domain is not None}
    with bench.reading():
        _settle(bench)
        outputs = {name: bench.look(domain) for name, domain in there.items() if name in OF_SOURCE}
        trained = certainty.bank(bench) if bench.noise is None else None
    if isinstance(bench.features, SiteFeatures):  # from here on the model is the target's alone, as it will be used
        bench.model.follow(*bench.features.target(bench.model.layer))
        bench.features = bench.features.plain
    with bench.reading():
        outputs |= {name: bench.look(domain) for name, domain in there.items() if name not in OF_SOURCE}
    features = {name: said.pop("features") for name, said in outputs.items() if "features" in said}
    after = takewhile(lambda stage: "steps" not in stage, reversed(stages))  # a loop moves the calibration
    heat = next((stage["temperature"] for stage in after if "temperature" in stage), None)
    if bench.noise is not None:  # a private model keeps nothing of held-out rows
        heat = 1.0
    recipe, shares = bench.shop.recipe, bench.shop.prepared.shares
    told = bench.arm.role != "candidate" and bench.noise is None
    sharp = told or recipe.calibration != "source"
    held = certainty.held_out(task, data, outputs, features, recipe.seed, sharp)
    evidence = gather(task, data, outputs, heat, shares)
    others = certainty.temperatures(task, outputs, held, evidence.temperature)
    used = "method" if heat is not None else "labelled" if held is not None and held.name == "labelled" else "source"
    if heat is None and others is not None and recipe.calibration != "source":
        used = recipe.calibration
        evidence = gather(task, data, outputs, others[used], shares)
    found = None
    if told:
        heat, merged = evidence.temperature, bench.arm.method.merges
        found = certainty.measure(task, outputs, features, held, trained, heat, evidence.offsets, merged)
    return Judged(evidence, features, held, found, others, used)
