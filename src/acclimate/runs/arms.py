"""Arms: which candidates a run trains, and the training of one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.backbones import registry as backbones
from acclimate.backbones.base import Backbone
from acclimate.backbones.cache import as_domain, embed
from acclimate.backbones.passthrough import PassThrough
from acclimate.domains.domain import Domain
from acclimate.files import read_json, write_json
from acclimate.methods import registry as methods
from acclimate.methods.base import Data, Method
from acclimate.runs import store
from acclimate.runs.evidence import gather
from acclimate.runs.log import Log
from acclimate.runs.prepare import Prepared
from acclimate.runs.recipe import Recipe
from acclimate.selection.scores import infomax
from acclimate.settings import build
from acclimate.training.convex import fit_convex
from acclimate.training.device import Place, place
from acclimate.training.infer import infer
from acclimate.training.loop import Counters, Trainer, Watch
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Convex, Loop, Stage
from acclimate.training.tune import merge_lora

ALIGNING_BOTTLENECK = 256
IN_MEMORY = 2 << 30
"""Bytes of features that are read into memory; larger ones stay memory-mapped."""


@dataclass(frozen=True)
class Arm:
    """One candidate: a method, what it does to which backbone, with which settings."""

    name: str
    method: Method
    backbone: str
    backbone_settings: Mapping[str, Any]
    tune: Tune
    training: Training
    role: str = "adapted"

    @property
    def convex(self) -> bool:
        """Whether only a linear head on frozen features learns."""
        return self.tune.kind == "frozen" and not self.tune.bottleneck


def plan(recipe: Recipe, prepared: Prepared, objects: Mapping[str, Any] | None = None) -> list[Arm]:
    """The arms of a run: the method asked for, its reference without the target, the plain baseline.

    Raises:
        SettingsError: unknown names or settings, or a method whose needs are not met.
    """
    data, modality = prepared.data, prepared.schema.modality
    name, tune_settings = _method_name(recipe, data)
    method = methods.create(name, {k: v for k, v in recipe.method.items() if k != "name"})
    method.check(data)
    backbone = recipe.backbone.get("name") or backbones.default(modality)
    settings = {k: v for k, v in recipe.backbone.items() if k != "name"}
    spec = create_backbone(backbone, modality, settings, recipe.seed, objects).spec
    tune = build(Tune, {"kind": "frozen" if spec.pretrained else "full", **recipe.tune, **tune_settings}, "tune")
    training = build(Training, recipe.training, "training")
    wide = tune.bottleneck
    if wide is None:
        moves = method.aligns or method.name == "finetune"
        wide = ALIGNING_BOTTLENECK if tune.kind == "frozen" and moves else 0
    arms = [Arm(name, method, backbone, settings, replace(tune, bottleneck=wide), training)]
    if name != "source_only" and data.source is not None and data.same_task:
        reference = Arm(
            "source_only", methods.create("source_only"), backbone, settings, replace(tune, bottleneck=tune.bottleneck or 0), training, "reference"
        )
        arms.insert(0, reference)
    plain = backbones.PLAIN.get(modality)
    if recipe.plain_baseline and plain is not None and plain != backbone:
        kind = "source_only" if data.source is not None and data.same_task else "target_only"
        arms.append(Arm("plain", methods.create(kind), plain, {}, Tune("frozen", bottleneck=0), training, "plain"))
    return arms


def _method_name(recipe: Recipe, data: Data) -> tuple[str, dict[str, Any]]:
    name = recipe.method.get("name") or ("finetune" if data.has["target_labels"] else "dann")
    if name == "linear_probe":
        return ("target_only" if data.has["target_labels"] else "source_only"), {"kind": "frozen", "bottleneck": 0}
    return name, {}


def create_backbone(
    name: str, modality: Any, settings: Mapping[str, Any], seed: int, objects: Mapping[str, Any] | None = None
) -> Backbone:
    """A fresh backbone by name, or the object that Python handed over."""
    if objects and name in objects:
        return objects[name]()
    return backbones.create(name, modality, settings, seed)


@dataclass
class Workshop:
    """Everything that training an arm needs beside the arm itself.

    Attributes:
        folder: of the run.
        prepared: the data.
        recipe: of the run.
        log: where steps are written and shown.
        deadline: `time.monotonic` at which training has to end, or None.
        objects: backbones that came as objects, by name.
    """

    folder: Path
    prepared: Prepared
    recipe: Recipe
    log: Log
    deadline: float | None = None
    objects: Mapping[str, Any] | None = None

    def arm_folder(self, arm: str) -> Path:
        """Where a finished arm lives."""
        return self.folder / "arms" / arm

    def checkpoints(self, arm: str) -> Path:
        """Where an unfinished arm keeps its states."""
        return self.folder / "checkpoints" / arm


def train_arm(arm: Arm, shop: Workshop) -> dict[str, Any]:
    """Train an arm, or take it as it is if it is finished; returns its record.

    The arm's folder then holds ``model/``, ``evidence.npz`` and ``arm.json`` (written last: it marks the arm whole).
    """
    done = shop.arm_folder(arm.name) / "arm.json"
    if done.is_file():
        return read_json(done)
    begun = time.monotonic()
    data, where = shop.prepared.data, place(shop.recipe.device, shop.recipe.precision)
    backbone = create_backbone(
        arm.backbone, shop.prepared.schema.modality, arm.backbone_settings, shop.recipe.seed, shop.objects
    )
    first = data.source if "source_labels" in arm.method.needs else data.labelled_target
    assert first is not None
    backbone.fit(first)
    features = Features(backbone, arm, where) if arm.tune.kind == "frozen" else None
    model = Model(
        backbone,
        data.source_task if data.source is not None else data.target_task,
        layer=arm.tune.layer,
        bottleneck=arm.tune.bottleneck or 0,
        standardize=features is not None and features.dense(first),
        seed=shop.recipe.seed,
    )
    records = [
        _stage(stage, number, model, features, arm, shop, where)
        for number, stage in enumerate(arm.method.stages(data, arm.convex))
    ]
    if arm.tune.kind == "lora":
        merge_lora(model)
    outputs = {name: _outputs(model, features, domain, where) for name, domain in _judged(data).items()}
    evidence = gather(model.task, data, outputs)
    origin = {
        "arm": arm.name,
        "method": arm.method.name,
        "tune": arm.tune.kind,
        "backbone": arm.backbone,
        "seed": shop.recipe.seed,
        "precision": where.precision,
    }
    store.save(model, store.Card(shop.prepared.schema, evidence.temperature, origin), done.parent / "model")
    evidence.write(done.parent / "evidence.npz")
    record = {
        "name": arm.name,
        "role": arm.role,
        **{key: origin[key] for key in ("method", "tune", "backbone", "precision")},
        "task": model.task.config(),
        "layer": model.layer,
        "steps": sum(record.get("steps", 0) for record in records),
        "seconds": round(sum(r.get("seconds", 0) for r in records) or time.monotonic() - begun, 3),
        "stages": records,
        "temperature": evidence.temperature,
        "source_validation": evidence.source,
        "target_validation": evidence.target,
    }
    write_json(done, record)
    shutil.rmtree(shop.checkpoints(arm.name), ignore_errors=True)
    return record


class Features:
    """Frozen features of one backbone, read once through the cache."""

    def __init__(self, backbone: Backbone, arm: Arm, where: Place):
        self.backbone, self.place = backbone, where
        spec = backbone.spec
        self.layers: tuple[str, ...] = (
            tuple(spec.layers) if arm.convex and arm.tune.layer is None else (backbone.check_layer(arm.tune.layer),)
        )
        self._known: dict[int, tuple[Domain, dict[str, Domain]]] = {}

    def dense(self, domain: Domain) -> bool:
        """Whether the features are ordinary arrays (n-grams are sparse)."""
        return isinstance(next(iter(self.of(domain).values())).rows.take(np.arange(1)), np.ndarray)

    def of(self, domain: Domain) -> dict[str, Domain]:
        """The same rows with features as inputs, by layer."""
        if id(domain) not in self._known:
            arrays = embed(
                self.backbone, domain, self.layers, device=str(self.place.device), precision=self.place.precision
            )
            small = {name: self._resident(array) for name, array in arrays.items()}
            self._known[id(domain)] = (domain, {name: as_domain(domain, array) for name, array in small.items()})
        return self._known[id(domain)][1]

    @staticmethod
    def _resident(array: Any) -> Any:
        size = getattr(array, "nbytes", 4 * array.shape[0] * array.shape[1])
        return array if hasattr(array, "tocsr") or size > IN_MEMORY else np.asarray(array)


def _stage(
    stage: Stage, number: int, model: Model, features: Features | None, arm: Arm, shop: Workshop, where: Place
) -> dict[str, Any]:
    begun = time.monotonic()
    if isinstance(stage, Convex):
        assert features is not None
        validation = None if stage.validation is None else features.of(stage.validation)
        chosen = fit_convex(model, features.of(stage.train), validation, features.layers)
        seconds = round(time.monotonic() - begun, 3)
        return {"stage": stage.name, "layer": chosen.layer, "penalty": chosen.penalty, "seconds": seconds}
    real = model.backbone
    if features is not None:
        streams = {name: features.of(domain)[model.layer] for name, domain in stage.streams.items()}
        stage = replace(stage, streams=streams)
        if number == 0:
            import torch

            model.neck.fit(torch.from_numpy(np.asarray(next(iter(streams.values())).rows.values)))  # type: ignore[attr-defined]
        model.backbone = PassThrough(real, model.layer)
    trainer = Trainer(
        model,
        stage,
        tune=arm.tune,
        training=arm.training,
        place=where,
        seed=shop.recipe.seed,
        folder=shop.checkpoints(arm.name) / f"{number}-{stage.name}",
        watch=_watch(arm.training, stage, shop.prepared.data, features, where),
        deadline=shop.deadline,
        report=shop.log.report(arm.name, stage.name),
    )
    counters = trainer.train()
    model.backbone = real
    return {"stage": stage.name, **_record(counters, trainer)}


def _record(counters: Counters, trainer: Trainer) -> dict[str, Any]:
    record: dict[str, Any] = {"steps": counters.step, "planned": counters.total, "seconds": round(counters.seconds, 3)}
    if counters.best is not None:
        record |= {"best": counters.best, "best_step": counters.best_step}
    if counters.pieces > 1:
        record["accumulated"] = counters.pieces
    return record


def _watch(
    training: Training, stage: Loop, data: Data, features: Features | None, where: Place
) -> Watch | None:
    """What chooses the kept state: never a target label."""
    if training.keep == "last":
        return None
    judged = data.source_validation if training.keep == "source" else data.target
    if judged is None:
        return None

    def score(model: Model) -> float:
        domain = judged if features is None else features.of(judged)[model.layer]
        outputs = infer(model, domain, where)
        answers = model.task.decode(outputs)
        if training.keep == "infomax":
            return infomax(answers.probabilities) if answers.probabilities is not None else 0.0
        value = model.task.metrics(answers, judged.labels)[model.task.primary.name]
        return value if model.task.primary.higher_is_better else -value

    return Watch(score, training.patience)


def _judged(data: Data) -> dict[str, Domain]:
    """The domains on which every arm is judged without opening the seal."""
    found = {
        "source": data.source_validation,
        "target": data.target,
        "labelled": data.labelled_target_validation,
    }
    return {name: domain for name, domain in found.items() if domain is not None}


def _outputs(model: Model, features: Features | None, domain: Domain, where: Place) -> dict[str, np.ndarray]:
    if features is None:
        return infer(model, domain, where)
    real = model.backbone
    model.backbone = PassThrough(real, model.layer)
    outputs = infer(model, features.of(domain)[model.layer], where)
    model.backbone = real
    return outputs
