"""Meta-training: a model that learns to learn, in a folder of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acclimate import __version__
from acclimate.backbones.passthrough import PassThrough
from acclimate.domains.episodes import Episodes
from acclimate.errors import DivergedError
from acclimate.files import write_json, writing
from acclimate.methods.meta.base import Learning
from acclimate.methods.registry import META
from acclimate.runs import single
from acclimate.runs.features import Features
from acclimate.runs.log import Found, Log, Show, silent, unsaid
from acclimate.runs.meta import learned, plan
from acclimate.runs.meta.assess import Sheet, assess, summed
from acclimate.runs.meta.learned import RECORD, Learned
from acclimate.runs.meta.plan import Plan
from acclimate.runs.recipe import Recipe, again
from acclimate.runs.result import environment
from acclimate.training.device import Place
from acclimate.training.keep import Watch
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.stage import Loop

LOOKS = 5
"""How often while it trains a model is asked about episodes of held-out classes."""
LOOKED_AT, JUDGED = 40, 200
"""Held-out episodes that it answers then, and at the end."""


def meta_train(
    recipe: Recipe,
    folder: Path,
    *,
    source: Sequence[Any] | None = None,
    force: bool = False,
    found: Found = unsaid,
    show: Show = silent,
) -> dict[str, Any]:
    """Meta-train in a new folder, and return the record.

    Args:
        recipe: what to do.
        folder: where the model will be; must be absent or empty unless ``force``.
        source: objects in the place of the recipe's locators.
        force: replace what is in the folder.
        found: called with what the data are, before anything is trained.
        show: called with the progress.

    Raises:
        AcclimateError: see `acclimate.errors`.
    """
    prepare, carry_out = partial(plan.prepare, recipe, source), partial(_carry_out, show)
    return single.begin(recipe, folder, prepare, carry_out, force=force, found=found)


def is_meta(folder: Path) -> bool:
    """Whether the folder's recipe is one of a meta-training."""
    return single.method_of(folder) in META


def resume(
    folder: Path, *, source: Sequence[Any] | None = None, found: Found = unsaid, show: Show = silent
) -> dict[str, Any]:
    """Continue a meta-training after a kill, bit for bit; the record of a finished one is returned as it is.

    Raises:
        DataError: the data have changed since.
        SettingsError: the data came from Python and are not given again.
    """
    if (folder / RECORD).is_file():
        return learned.record(folder)
    recipe = again(folder, f"ac.resume({str(folder)!r})", source=source)
    return single.again(recipe, folder, partial(plan.prepare, recipe, source), partial(_carry_out, show), found=found)


def _carry_out(show: Show, planned: Plan, folder: Path, where: Place) -> dict[str, Any]:
    """Train, judge on held-out classes, write; of several processes the first one judges and writes."""
    first, name, recipe = where.rank == 0, planned.learner.name, planned.recipe
    path = folder / "metrics.jsonl"
    log = Log(path if first else None, show)
    desk = Desk(planned, where, folder / "checkpoints" / name / f"0-{name}", log)
    desk.trainer.deadline = None if recipe.budget is None else time.monotonic() + recipe.budget
    try:
        done = desk.trainer.train()
    except DivergedError as error:
        hint = "; or a smaller --set method.rate" if hasattr(planned.learner, "rate") else ""
        raise DivergedError(f"{error}{hint}") from None
    if first:
        held = None if planned.held_out is None else summed(desk.judge(planned.held_out, JUDGED))
        names = np.unique(planned.episodes.names[planned.episodes.pools.rows])
        origin = {
            "meta": name,
            "backbone": recipe.backbone["name"],
            "tune": planned.tune.kind,
            "seed": recipe.seed,
            "precision": desk.place.precision,
        }
        taught = Learned(desk.whole(), desk.trainer.parts, planned.learner, planned.episodes.classes, origin)
        taught.save(folder, planned.episodes.domain.schema)
        with writing(folder / learned.ROWS, ".npz") as part:
            np.savez(part, ids=np.unique(planned.episodes.domain.ids), names=names.astype(str))
        record = {
            "version": learned.VERSION,
            "acclimate": __version__,
            "method": name,
            **{key: origin[key] for key in ("backbone", "tune", "seed")},
            "settings": {key: value for key, value in planned.learner.recipe().items() if key != "name"},
            "modality": planned.episodes.domain.schema.modality,
            "task": planned.task.config(),
            "steps": done.step,
            "planned": desk.trainer.planned,
            "seconds": round(done.seconds, 3),
            "environment": environment(desk.place.precision),
            "loss": single.losses(path),
            "held_out": held,
            "data": planned.found,
            "evaluations": [],
        }
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        write_json(folder / RECORD, {**record, "notes": remarks(record)})
    where.wait()
    return learned.record(folder)


class Desk:
    """Where a model learns to learn: its trainer, and what it is asked while it trains."""

    def __init__(self, planned: Plan, where: Place, checkpoints: Path, log: Log):
        self.plan, self.place, tune = planned, where, planned.tune
        name, backbone = planned.learner.name, planned.backbone
        domains = [part.domain for part in (planned.episodes, planned.held_out) if part is not None]
        self.features = None
        if tune.kind == "frozen":
            assert tune.layer is not None
            self.features = Features(backbone, (tune.layer,), where, domains, log.reading(name))
        self.model = Model(
            backbone if self.features is None else PassThrough(backbone, tune.layer),
            planned.task,
            layer=tune.layer,
            bottleneck=tune.bottleneck or 0,
            standardize=self.features is not None,
            seed=planned.recipe.seed,
        )
        train = self.read(planned.episodes)
        if self.features is not None:
            self.model.neck.fit(torch.from_numpy(np.asarray(train.domain.rows.take(np.arange(len(train.domain))))))
        learning = Learning(planned.learner, self.model, train.classes)
        self.trainer = Trainer(
            self.model,
            Loop(name, {}, learning, episodes=train),
            tune=tune,
            training=planned.training,
            place=where,
            seed=planned.recipe.seed,
            folder=checkpoints,
            report=log.report(name, name),
        )
        if planned.held_out is not None:
            self.trainer.watch = Watch(self._score, looks=LOOKS, keep=False)

    def read(self, episodes: Episodes) -> Episodes:
        """The same episodes as the model reads them: with features of a frozen backbone in the place of rows."""
        return learned.on_features(episodes, self.features, self.plan.tune.layer)

    def judge(self, episodes: Episodes, count: int) -> Sheet:
        """What the model, as it is, makes of so many episodes."""
        learner, parts = self.plan.learner, self.trainer.parts
        return assess(learner, self.model, parts, self.read(episodes), count, self.place)

    def _score(self, model: Model) -> float:
        assert self.plan.held_out is not None
        sheet = self.judge(self.plan.held_out, LOOKED_AT)
        value = float(np.mean(sheet[self.plan.task.primary.name]))
        return value if self.plan.task.primary.higher_is_better else -value

    def whole(self) -> Model:
        """The model with the backbone that made its features."""
        if self.features is not None:
            self.model.backbone = self.plan.backbone
        return self.model


def remarks(record: Mapping[str, Any]) -> list[str]:
    """What a reader of the record should know."""
    said = []
    if record["steps"] < record["planned"]:
        said.append(f"the budget allowed {record['steps']} of {record['planned']} steps")
    if any(loss["last"] > 10 * max(loss["first"], 1.0) for loss in record["loss"].values()):
        said.append("the loss grew while it learned: take a smaller training.learning_rate or method.rate")
    data = record["data"]
    if (
        record["held_out"]
        and data["episodes"]["groups"] != "tasks"
        and str(data["held_out"]) == str(data["episodes"]["ways"])
    ):
        said.append(
            f"all {data['held_out']} held-out classes are in each of its episodes: their interval says nothing of "
            "other classes"
        )
    if record["data"]["left_out"]:
        said.append(f"{record['data']['left_out']} classes have too few rows for an episode, and were left out")
    return said
