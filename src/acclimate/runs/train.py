"""The training of one arm, from its backbone to its folder in the run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from acclimate.backbones.agreement import settled
from acclimate.backbones.base import Backbone
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.files import read_json
from acclimate.methods.fair.groups import codes
from acclimate.runs.arms import Arm, fitted_backbone
from acclimate.runs.features import Features
from acclimate.runs.keep import keep
from acclimate.runs.rating import SAMPLE
from acclimate.runs.sentences import SentenceFeatures
from acclimate.runs.sites import SiteFeatures
from acclimate.runs.watching import guard
from acclimate.runs.workshop import Workshop
from acclimate.selection.scores import infomax
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import KEPT
from acclimate.training.convex import fit_convex
from acclimate.training.device import Place, place
from acclimate.training.infer import infer, outputs_and_features, together
from acclimate.training.keep import Watch
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.private import PrivateTrainer
from acclimate.training.stage import Adjust, Convex, Loop
from acclimate.training.stream import move
from acclimate.training.tune import merge_lora
from acclimate.trust.fairness.groups import Judged, worst
from acclimate.trust.privacy import budget

JUDGED = 10_000
"""Target rows that score a state after each epoch, at most."""


def train_arm(arm: Arm, shop: Workshop) -> dict[str, Any]:
    """Train an arm, or take it as it is if it is finished; returns its record.

    The arm's folder then holds ``model/``, ``evidence.npz`` and ``arm.json`` (written last: it marks the arm whole).
    Several processes train together; the first one alone judges and writes.
    """
    where = place(shop.recipe.device, shop.recipe.precision)
    done = shop.arm_folder(arm.name) / "arm.json"
    if not where.first(done.is_file()):
        bench = Bench(arm, shop, where)
        stages = bench.train(seconds=shop.seconds)
        if where.rank == 0:
            keep(bench, done, stages)
        where.wait()
    return read_json(done)


class Bench:
    """One arm while it is trained: its model, and the features that the model reads if its backbone is frozen."""

    def __init__(self, arm: Arm, shop: Workshop, where: Place):
        self.arm, self.shop, self.place = arm, shop, where
        self.begun = time.monotonic()
        data, recipe = shop.prepared.data, shop.recipe
        cached = arm.tune.kind == "frozen" and data.task.reads in KEPT
        self.features = self._features() if cached else None
        backbone = self._backbone() if self.features is None else self.features.backbone
        self.place = where if self.features is None else self.features.place
        self.model = Model(
            backbone,
            data.task,
            layer=arm.tune.layer,
            bottleneck=arm.tune.bottleneck or 0,
            # vectors are compared as the backbone gives them: columns in which known rows hardly differ would rule
            standardize=self.features is not None
            and not backbone.spec.sparse
            and data.task.kind != "vector"
            and (arm.privacy is None or self._public is not None),
            seed=recipe.seed,
        )
        if self.features is not None and arm.method.harmony is not None:
            self.features = SiteFeatures(self.features, data, arm.method.harmony)
        self.stages = arm.method.stages(data, arm.convex)
        self.guard = guard(shop.prepared, self.answers)
        self.noise = None if arm.privacy is None else budget.noise(arm.privacy, self.stages, arm.training)

    @property
    def _public(self) -> Domain | None:
        """Rows of which a private training may take statistics."""
        private = self.arm.privacy
        return None if private is None or private.of == "both" else self.shop.prepared.data.target

    def _backbone(self) -> Backbone:
        return fitted_backbone(self.arm, self.shop.prepared, self.shop.recipe.seed, self.shop.objects)

    def _features(self) -> Features:
        """Those of a frozen backbone, read for the first arm that asks for them."""
        arm, shop, where = self.arm, self.shop, self.place
        key = (arm.backbone, repr(arm.backbone_settings), arm.tune.layer, "source_labels" in arm.method.needs)
        if key not in shop.frozen:
            backbone = self._backbone()
            sentences = shop.prepared.data.task.reads == "sentences"
            every = arm.tune.layer is None and not sentences
            layers = tuple(backbone.spec.layers) if every else (backbone.check_layer(arm.tune.layer),)
            if shop.recipe.precision == "auto" and arm.privacy is not None:
                where = replace(where, precision="fp32")  # the choice would tell of rows
            elif shop.recipe.precision == "auto":
                kind = settled(backbone, shop.prepared.wholes, layers, str(where.device), where.precision)
                where = replace(where, precision=kind)
            kind_of = SentenceFeatures if sentences else Features
            shop.frozen[key] = kind_of(backbone, layers, where, shop.prepared.wholes, shop.log.reading(arm.name))
        return shop.frozen[key]

    def train(self, first: int = 0, seconds: float | None = None) -> list[dict[str, Any]]:
        """Carry out the method's stages, from the ``first`` on, in so many seconds; returns the record of each."""
        left = self.stages[first:]
        loops = sum(isinstance(stage, Loop) for stage in left)
        end = None if seconds is None else time.monotonic() + seconds
        records = []
        for number, stage in enumerate(left, first):
            if not isinstance(stage, Loop):
                records.append(self._solve(stage) if isinstance(stage, Convex) else self._adjust(stage))
                continue
            now = time.monotonic()
            records.append(self._loop(stage, number, None if end is None else now + max(0.0, end - now) / loops))
            loops -= 1
        if self.arm.tune.kind == "lora":
            merge_lora(self.model)
        return records

    def _solve(self, stage: Convex) -> dict[str, Any]:
        features, begun = self.features, time.monotonic()
        assert features is not None
        validation = None if stage.validation is None else features.of(stage.validation)
        target = None if stage.target is None else features.of(stage.target)
        chosen = fit_convex(
            self.model,
            features.of(stage.train),
            validation,
            features.layers,
            stage.task,
            target=target,
            carry=stage.carry,
            soft=stage.soft,
        )
        seconds = round(time.monotonic() - begun, 3)
        record = {"stage": stage.name, "layer": chosen.layer, "penalty": chosen.penalty, "seconds": seconds}
        return (
            record if chosen.effective_rows is None else {**record, "effective_rows": round(chosen.effective_rows, 1)}
        )

    def _adjust(self, stage: Adjust) -> dict[str, Any]:
        begun = time.monotonic()
        with self.reading():
            said = stage.change(self.model, self)
        return {"stage": stage.name, **said, "seconds": round(time.monotonic() - begun, 3)}

    def _loop(self, stage: Loop, number: int, deadline: float | None) -> dict[str, Any]:
        if self.arm.tune.kind == "frozen" and self.model.task.writes:  # nothing can learn: it is taken as it is
            return {"stage": stage.name, "steps": 0, "seconds": 0.0}
        stage = self.prepare(stage, number)
        with self.reading():
            options = {
                "watch": self.watch(stage),
                "deadline": deadline,
                "report": self.shop.log.report(self.arm.name, stage.name),
                **self.options(f"{number}-{stage.name}"),
            }
            trainer = (
                Trainer(self.model, stage, guard=self.guard, **options)
                if self.noise is None
                else PrivateTrainer(self.model, stage, noise=self.noise, **options)
            )
            trainer.train()
        return trainer.record()

    def options(self, stage: str, arm: str | None = None) -> dict[str, Any]:
        """What every training of this arm is given; checkpoints under the name of the arm, or another."""
        return {
            "tune": self.arm.tune,
            "training": self.arm.training,
            "place": self.place,
            "seed": self.shop.recipe.seed,
            "folder": self.shop.checkpoints(arm or self.arm.name) / stage,
        }

    def prepare(self, stage: Loop, number: int) -> Loop:
        """The stage as the model reads it inside `reading`; before the first one, layer and standardisation are set."""
        if self.features is None:
            return stage
        if number == 0:
            self._choose_layer(stage)
        streams = {name: self._read(domain) for name, domain in stage.streams.items()}
        if number == 0 and self.model.neck.standardize:
            first = next(iter(streams.values())) if self._public is None else self._read(self._public)
            known: Any = first.rows
            self.model.neck.fit(torch.from_numpy(np.asarray(known.values)))
        return replace(stage, streams=streams)

    def _choose_layer(self, stage: Loop) -> None:
        """Read the layer whose linear probe is best on validation, as a convex stage would."""
        features, model = self.features, self.model
        if features is None or len(features.layers) == 1 or stage.validation is None or self.noise is not None:
            return
        train, task = next(iter(stage.streams.values())), stage.task or model.task
        if train.labels is None:  # a pupil reads the default layer: no probe can be fitted
            return
        key = (id(train), id(stage.validation), repr(task))  # `features` holds on to the domains that it has read
        if key not in features.best:
            probe = Model(model.backbone, task, standardize=model.neck.standardize, seed=self.shop.recipe.seed)
            seen = features.of(train), features.of(stage.validation)
            features.best[key] = fit_convex(probe, *seen, features.layers).layer
        model.use_layer(features.best[key])
        model.new_head(model.task)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside the block the model of a frozen backbone reads features instead of raw inputs."""
        real = self.model.backbone
        if self.features is not None:
            self.model.backbone = self.features.reader(self.model.layer)
        try:
            yield
        finally:
            self.model.backbone = real

    def _read(self, domain: Domain) -> Domain:
        """The rows as the model reads them inside `reading`."""
        return domain if self.features is None else self.features.of(domain)[self.model.layer]

    def answers(self, domain: Domain) -> Answers:
        """What the model as it is answers, uncalibrated."""
        return self.model.task.decode(self.outputs(domain), rows=domain.rows)

    def outputs(self, domain: Domain) -> dict[str, np.ndarray]:
        """What the head says of every row."""
        return infer(self.model, self._read(domain), self.place)

    def look(self, domain: Domain) -> dict[str, np.ndarray]:
        """`outputs`, and what the head reads of the first rows, ``features``, unless it is sparse."""
        if self.model.backbone.spec.sparse and not self.model.neck.moves:
            return self.outputs(domain)
        read, rows = self._read(domain), np.arange(len(domain))
        found = infer(self.model, read.select(rows[:SAMPLE]), self.place, want=outputs_and_features)
        if len(domain) <= SAMPLE:
            return found
        rest = infer(self.model, read.select(rows[SAMPLE:]), self.place)
        return {**found, **{name: together([found[name], said]) for name, said in rest.items()}}

    def batches(self, domain: Domain, size: int = 256) -> Iterator[Batch]:
        """Every row once, in the domain's order, as the model reads them."""
        rows = self._read(domain).rows
        for start in range(0, len(rows), size):
            inputs = self.model.backbone.collate(rows.take(np.arange(start, min(start + size, len(rows)))))
            yield move(Batch(inputs), self.place.device)

    def watch(self, stage: Loop) -> Watch | None:
        """What chooses the kept state: held-out labels that were permitted, or no labels at all."""
        keep = self.arm.training.keep
        judged = stage.validation if keep in ("source", "worst_group") else self.shop.prepared.data.target
        if keep in (None, "last") or judged is None:
            return None

        def score(model: Model) -> float:
            if keep == "infomax":
                read = self._read(judged)  # in an order that says nothing of the labels
                some = read.select(np.arange(JUDGED)) if len(read) > JUDGED else read
                answers = model.task.decode(infer(model, some, self.place))
                assert answers.probabilities is not None
                return infomax(answers.probabilities)
            answers = self.answers(judged)
            assert judged.labels is not None
            if keep == "worst_group":
                right = (answers.prediction == judged.labels).astype(float)
                return worst(Judged(right), codes(judged))
            value = model.task.metrics(answers, judged.labels)[model.task.primary.name]
            return value if model.task.primary.higher_is_better else -value

        return Watch(score, self.arm.training.patience)
