"""One arm of a run, as its influence is computed: its rows as the head reads them, and training it again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from acclimate.domains.domain import Domain
from acclimate.errors import SettingsError
from acclimate.methods.ensemble.auto import Auto
from acclimate.runs.arms import Arm
from acclimate.runs.log import Log
from acclimate.runs.predictor import Predictor
from acclimate.runs.prepare import Prepared
from acclimate.runs.recipe import Recipe
from acclimate.runs.train import Bench
from acclimate.runs.workshop import Workshop
from acclimate.training.convex import fit_at, values_of
from acclimate.training.device import place
from acclimate.training.stage import Convex
from acclimate.trust.influence.removal import Removed
from acclimate.trust.influence.scores import Labelled, alignment, criterion_of, influence, losses_of, newton

Form = Literal["influence", "gradient"]
FORMS: Mapping[Form, str] = {
    "influence": "influence function of the convex head (Koh & Liang 2017)",
    "gradient": "product of gradients of the last layer (TracIn, Pruthi et al. 2020), for this head is no optimum of a "
    "convex loss of the source alone: scores order rows, and promise no amount",
}


class Study:
    """An arm whose source rows are scored, and which is trained again without some of them.

    Attributes:
        form: "influence" where the head is the optimum of a convex loss on frozen features, else "gradient".
        source: the labelled rows of the source that the arm learned from.

    Raises:
        SettingsError: an arm whose head is not linear, or which learns from other arms.
    """

    def __init__(self, arm: Arm, recipe: Recipe, prepared: Prepared, model: Predictor, record: Mapping[str, Any],
                 objects: Mapping[str, Any] | None = None):  # fmt: skip
        self.arm, self.recipe, self.prepared, self.model, self.record = arm, recipe, prepared, model, record
        network, task = model.network, model.network.task
        check(arm, network.head, task.reads)
        assert prepared.data.source is not None
        self.task, self.source, self.criterion = task, prepared.data.source, criterion_of(task)
        assert isinstance(network.head, nn.Linear)
        self.head = network.head
        self.shop = Workshop(Path(tempfile.gettempdir()), prepared, recipe, Log(None), objects=objects)
        self.place = place(recipe.device, recipe.precision)
        stages = arm.method.stages(prepared.data, arm.convex)
        self.stage = (
            stages[0] if len(stages) == 1 and isinstance(stages[0], Convex) and stages[0].soft is None else None
        )
        self.ridge: float | None = None
        if self.stage is not None:
            assert self.stage.train.labels is not None
            self.ridge = task.ridge(record["stages"][0]["penalty"], self.stage.train.labels)
        self.form: Form = "gradient" if self.ridge is None else "influence"

    def scores(self, target: Domain) -> np.ndarray:
        """Of each row of `source` ``[n]`` for the mean loss of labelled target rows; positive: the row helped."""
        asked = self.labelled(target)
        if self.ridge is None:
            return alignment(self.criterion, self.head, self.labelled(self.source), asked)
        found = influence(self.criterion, self.head, self._train, asked, self.ridge)
        return found[: len(self.source)]  # of a joint training the target's rows follow

    def predicted(self, gone: np.ndarray, target: Domain) -> float | None:
        """The change of the mean loss of labelled target rows without some of `source`; None by gradients."""
        if self.ridge is None:
            return None
        return newton(self.criterion, self.head, self._train, self.labelled(target), self.ridge, gone)

    @cached_property
    def _train(self) -> Labelled:
        """What a convex head was fitted to."""
        assert self.stage is not None
        train = self.stage.train
        assert train.labels is not None
        values, weight = self.features(train), None
        if self.stage.carry is not None:
            towards: Any = None if self.stage.target is None else self.features(self.stage.target)
            values, weight = self.stage.carry(values, train.labels, towards)
        return Labelled(values, self.targets(train), weight)

    def losses(self, rows: Domain) -> tuple[np.ndarray, float]:
        """The loss of each labelled row ``[m]`` by the run's own model, and the primary metric."""
        losses = losses_of(self.criterion, self.head, self.labelled(rows))
        assert rows.labels is not None
        return losses, self.task.metrics(self.model.answers(rows, cached=True), rows.labels)[self.task.primary.name]

    def without(self, gone: np.ndarray, judged: Domain, predicted: float | None = None) -> Removed:
        """Train the arm again without some rows of `source`; a convex head keeps its layer and penalty."""
        assert judged.labels is not None
        kept = self.source.select(np.setdiff1d(np.arange(len(self.source)), gone))
        prepared = replace(self.prepared, data=replace(self.prepared.data, source=kept))
        with tempfile.TemporaryDirectory() as folder:
            shop = replace(self.shop, folder=Path(folder), prepared=prepared)
            bench = Bench(self.arm, shop, self.place)
            if self.stage is None:
                budget = shop.recipe.budget
                bench.train(seconds=None if budget is None else self.record["seconds"])
            else:
                self._solve(bench)
            with bench.reading():
                outputs = bench.outputs(judged)
        said = {name: torch.from_numpy(values) for name, values in outputs.items()}
        losses = self.task.loss(said, self.targets(judged)).double().numpy()
        answers = self.task.decode(outputs, rows=judged.rows)
        return Removed(gone, predicted, losses, self.task.metrics(answers, judged.labels)[self.task.primary.name])

    def _solve(self, bench: Bench) -> None:
        stage, features, layer = bench.stages[0], bench.features, self.record["layer"]
        assert isinstance(stage, Convex) and features is not None
        towards = None if stage.target is None else values_of(features.of(stage.target)[layer])
        penalty = self.record["stages"][0]["penalty"]
        with torch.no_grad():
            fit_at(bench.model.to("cpu"), layer, features.of(stage.train)[layer], penalty, stage.carry, towards)

    def labelled(self, rows: Domain) -> Labelled:
        """Labelled rows as the head reads them."""
        return Labelled(self.features(rows), self.targets(rows))

    def targets(self, rows: Domain) -> torch.Tensor:
        """The labels of the rows as the task encodes them."""
        assert rows.labels is not None
        return self.task.encode(rows.labels, rows.rows)

    def features(self, rows: Domain) -> Any:
        """What the head reads of the rows: an array ``[n, d]``, or a sparse matrix."""
        if not self.model.sparse:
            return self.model.features(rows, self.prepared.wholes)
        features = Bench(self.arm, self.shop, self.place).features
        assert features is not None
        return values_of(features.of(rows)[self.record["layer"]])


def check(arm: Arm, head: nn.Module, reads: str) -> None:
    """Refuse an arm of which no influence can be told.

    Raises:
        SettingsError: says why, and which arm could be asked.
    """
    if isinstance(arm.method, Auto):
        why = "learns from what other arms say, and not from rows of the source"
    elif "source_labels" not in arm.method.needs:
        why = "does not learn from the source"
    elif arm.method.harmony is not None:
        why = "moves the rows of each site before it learns"
    elif type(head) is not nn.Linear or reads != "row":
        why = "has no linear head on one vector a row, as of classify, regress and multilabel"
    else:
        return
    raise SettingsError(f"influence: arm '{arm.name}' {why}; ask another arm of the run with --arm, as source_only")
