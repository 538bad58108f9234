"""Pretraining: an encoder is taught on rows without labels, and lands in a folder that others name as backbone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from acclimate import __version__
from acclimate.backbones import saved
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.files import write_json
from acclimate.methods.pretrain.base import Objective, Unasked
from acclimate.methods.registry import PRETRAINING
from acclimate.runs import encoder, lesson, single
from acclimate.runs.encoder import RECORD
from acclimate.runs.lesson import Lesson
from acclimate.runs.log import Found, Log, Show, silent, unsaid
from acclimate.runs.recipe import Recipe, again
from acclimate.runs.result import environment
from acclimate.selection.validators import rankme
from acclimate.tasks.base import Task
from acclimate.training.device import Place
from acclimate.training.infer import features, infer
from acclimate.training.loop import Trainer
from acclimate.training.model import Model, Step
from acclimate.training.stage import Loop
from acclimate.training.stream import Stream, move
from acclimate.training.tune import merge_lora

LOOKED_AT = 500
"""Rows of a domain whose features are looked at before and after."""
FEW_STEPS = 20
"""Fewer steps than that are remarked."""
COLLAPSED = 0.5
"""An effective rank that falls to less than this share of what it was is told as a likely collapse."""


def pretrain(
    recipe: Recipe,
    folder: Path,
    *,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    force: bool = False,
    found: Found = unsaid,
    show: Show = silent,
) -> dict[str, Any]:
    """Teach an encoder without labels in a new folder, and return the record.

    Args:
        recipe: what to do; its ``label`` names a column that is kept from the inputs, and is not read.
        folder: where the encoder will be; must be absent or empty unless ``force``.
        source: objects in the place of the recipe's source locators.
        target: objects in the place of the target locators.
        force: replace what is in the folder.
        found: called with what the data are, before anything is trained.
        show: called with the progress.

    Raises:
        AcclimateError: see `acclimate.errors`.
    """
    return single.begin(
        recipe,
        folder,
        lambda: lesson.prepare(recipe, source, target),
        partial(_carry_out, show),
        force=force,
        found=found,
    )


def is_pretraining(folder: Path) -> bool:
    """Whether the folder's recipe is one of a pretraining."""
    return single.method_of(folder) in PRETRAINING


def resume(
    folder: Path,
    *,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    found: Found = unsaid,
    show: Show = silent,
) -> dict[str, Any]:
    """Continue a pretraining after a kill, bit for bit; the record of a finished one is returned as it is.

    Raises:
        DataError: the data have changed since.
        SettingsError: the data came from Python and are not given again.
    """
    if (folder / RECORD).is_file():
        return encoder.load(folder)
    recipe = again(folder, f"ac.resume({str(folder)!r})", source=source, target=target)
    prepare, carry_out = partial(lesson.prepare, recipe, source, target), partial(_carry_out, show)
    return single.again(recipe, folder, prepare, carry_out, found=found)


def _carry_out(show: Show, plan: Lesson, folder: Path, where: Place) -> dict[str, Any]:
    """Train, look at the encoder before and after, write it; of several processes the first one looks and writes."""
    first, name = where.rank == 0, plan.method.name
    path = folder / "metrics.jsonl"
    desk = Desk(plan, where, folder / "checkpoints" / name / f"0-{name}", Log(path if first else None, show))
    before = desk.look() if first else {}
    desk.trainer.deadline = None if plan.recipe.budget is None else time.monotonic() + plan.recipe.budget
    done = desk.trainer.train()
    if plan.tune.kind == "lora":
        merge_lora(desk.model)
    if first:
        after = desk.look()
        origin = {
            "method": name,
            "backbone": plan.recipe.backbone["name"],
            "steps": done.step,
            "seed": plan.recipe.seed,
        }
        saved.save(plan.backbone, folder / saved.FOLDER, origin)
        record = {
            "version": encoder.VERSION,
            "acclimate": __version__,
            **origin,
            "settings": {key: value for key, value in plan.method.recipe().items() if key != "name"},
            "tune": plan.tune.kind,
            "modality": plan.backbone.spec.modality,
            "planned": desk.trainer.planned,
            "seconds": round(done.seconds, 3),
            "environment": environment(where.precision),
            "loss": single.losses(path),
            "evidence": {side: _beside(before[side], after[side]) for side in before},
            "data": plan.found,
        }
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        write_json(folder / RECORD, {**record, "notes": remarks(record)})
    where.wait()
    return encoder.load(folder)


class Desk:
    """Where an encoder is taught: its trainer, and what is looked at without training."""

    def __init__(self, plan: Lesson, where: Place, checkpoints: Path, log: Log):
        recipe, method = plan.recipe, plan.method
        self.plan, self.place = plan, where
        student, unasked = method.encoder(plan.backbone), cast(Task, Unasked())
        self.model = Model(student, unasked, seed=recipe.seed)
        self.plain = Model(plan.backbone, unasked, seed=recipe.seed)
        # Only the stream "source" may move statistics of batch norms, so a lone domain goes by that name.
        self.streams = plan.train if len(plan.train) > 1 else {"source": next(iter(plan.train.values()))}
        views = dict.fromkeys(self.streams, method.views)
        self.trainer = Trainer(
            self.model,
            Loop(method.name, self.streams, Objective(method, student), views=views),
            tune=plan.tune,
            training=plan.training,
            place=where,
            seed=recipe.seed,
            folder=checkpoints,
            report=log.report(method.name, method.name),
        )

    def look(self) -> dict[str, dict[str, Any]]:
        """Of each side the effective rank of the backbone's features, and the loss on rows held out."""
        seen = {}
        for side, domain in self.plan.wholes.items():
            sample = domain.select(domain.order[:LOOKED_AT])
            values = infer(self.plain, sample, self.place, 64, want=features)["features"]
            rank = {"rank": rankme(values), "width": int(values.shape[1]), "rows": len(sample)}
            held = self.plan.held_out.get(side)
            seen[side] = {**rank, "held_out": None if held is None else self._loss(side, held)}
        return seen

    def _loss(self, side: str, domain: Domain) -> float:
        """The mean loss on a domain, with views and hidden words that are the same whenever it is asked."""
        method, training = self.plan.method, self.plan.training
        stream = Stream(
            f"held_out_{side}",
            domain,
            self.model.backbone,
            self.model.task,
            size=min(training.batch_size, len(domain)),
            seed=self.plan.recipe.seed,
            views=method.views,
        )
        still = Still(self.model.eval(), self.trainer.parts, self.place)
        with torch.no_grad():
            losses = [
                method.loss(still, move(stream.batch(k), self.place.device)).item() for k in range(stream.batches)
            ]
        return sum(losses) / len(losses)


class Still:
    """A `Pass` that trains nothing."""

    progress, share = 1.0, 0.0

    def __init__(self, model: Model, parts: Mapping[str, nn.Module], where: Place):
        self.model, self.parts, self.place = model, parts, where

    def run(self, batch: Batch, draw: str = "") -> Step:
        """Forward pass; nothing is drawn in evaluation mode."""
        return self.model(batch, self.place.autocast())

    def open(self, batch: Batch, draw: str = "") -> Model:
        """The model."""
        return self.model


def _beside(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What was looked at before and after training, side by side."""
    held = None
    if before["held_out"] is not None:
        held = {"before": round(before["held_out"], 6), "after": round(after["held_out"], 6)}
    rank = {"before": round(before["rank"], 3), "after": round(after["rank"], 3)}
    return {"held_out_loss": held, "effective_rank": {**rank, "width": before["width"], "rows": before["rows"]}}


def remarks(record: Mapping[str, Any]) -> list[str]:
    """What the evidence says of the encoder, side by side, in sentences."""
    said = []
    if record["steps"] < record["planned"]:
        said.append(f"the budget allowed {record['steps']} of {record['planned']} steps")
    if record["steps"] < FEW_STEPS:
        said.append(f"{record['steps']} steps teach an encoder little; give it more time, rows or epochs")
    for side, seen in record["evidence"].items():
        rank, held = seen["effective_rank"], seen["held_out_loss"]
        if rank["after"] < COLLAPSED * rank["before"]:
            said.append(
                f"{side}: the features' effective rank fell from {rank['before']:.1f} to {rank['after']:.1f}: the "
                "encoder may have collapsed; compare it with the backbone as it was"
            )
        if held is not None and held["after"] >= held["before"]:
            said.append(
                f"{side}: the loss on rows held out did not fall: the encoder learned nothing that holds beyond the "
                "rows it read"
            )
    return said
