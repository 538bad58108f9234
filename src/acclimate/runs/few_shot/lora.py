"""Light adaptation of the backbone itself: low-rank updates that bring support rows near to their own class."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.backbones.base import Backbone
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.errors import SettingsError
from acclimate.methods.few_shot.prototypes import Prototypes
from acclimate.runs.few_shot.classifier import FewShotClassifier, assembled, choose
from acclimate.runs.few_shot.held_out import HeldOut, fold_of
from acclimate.runs.log import Show
from acclimate.settings import as_dict, within
from acclimate.tasks.classify import Classify
from acclimate.tasks.sites import Width
from acclimate.training.device import Place
from acclimate.training.infer import features, infer
from acclimate.training.loop import Report, Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop, Pass, Update
from acclimate.training.tune import merge_lora

PARTS = 2
"""Times that a rate is tried, each on the rows of the other parts."""


@dataclass(frozen=True)
class LoRA:
    """`Prototypes` of a backbone that was tuned on the support: each row against the class means of all other rows.

    Rate 0 is among the choices and leaves the backbone as it is; held-out support rows choose. With one or two rows a
    class nothing can be both tuned and held out, and the rate is 0.

    Helps from about ten rows a class, where the backbone was made for another question (topics, when sentiment is
    asked). **Hurts** in time: the backbone is trained five times, for minutes on a processor.

    Hu et al., LoRA, ICLR 2022; that 0 is among the rates, and that fine-tuning on the support helps most in new
    domains: Hu et al., Pushing the Limits of Simple Pipelines for Few-Shot Learning (P>M>F), CVPR 2022, section 3.3.

    Attributes:
        rates: learning rates to choose from; 0 must be the first.
        steps: of the training.
        rank: of the updates.
    """

    rates: tuple[float, ...] = (0.0, 1e-3, 3e-3)
    steps: int = 20
    rank: int = 8

    name: ClassVar[str] = "lora"

    def __post_init__(self) -> None:
        within(self, steps="[1, inf)", rank="[1, inf)")
        if not self.rates or self.rates[0] != 0 or not all(0 < rate < 1 for rate in self.rates[1:]):
            raise SettingsError(f"rates must begin with 0, all others between 0 and 1, found {list(self.rates)}")

    def told(self, rate: float) -> dict[str, Any]:
        """Name and settings with one of the rates, as plain values."""
        settings = {key: value for key, value in as_dict(self).items() if key != "rates"}
        return {"name": self.name, "rate": rate, **settings, "scale": Prototypes.scale}


@dataclass(frozen=True)
class NearOwnClass:
    """The loss of a batch: each row against the prototypes of all other rows of the batch."""

    ways: int

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """It has none."""
        return {}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """One update of the backbone; a row that is alone in its class is not asked."""
        batch = batches["source"]
        assert batch.targets is not None
        values, targets = next(iter(step.run(batch).sites.values())).values, batch.targets
        asked = torch.bincount(targets, minlength=self.ways)[targets] > 1
        others = ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)[asked]
        support = values.expand(len(others), -1, -1)
        query = values[asked].unsqueeze(1)
        logits = Prototypes().logits(support, targets.expand(len(others), -1), query, self.ways, others)[:, 0]
        loss = F.cross_entropy(logits, targets[asked]) if len(others) else values.sum() * 0
        yield Update({"support": loss}, ("features",))


@dataclass(frozen=True)
class Workbench:
    """What tuning needs beside a rate.

    Attributes:
        settings: of the tuning.
        backbone: stays as it is.
        layer: whose features are tuned.
        rows: the support, with labels.
        classes: names.
        where: device and precision.
        seed: of order, dropout and first weights.
        show: called with the progress.
    """

    settings: LoRA
    backbone: Backbone
    layer: str
    rows: Domain
    classes: tuple[str, ...]
    where: Place
    seed: int
    show: Show

    def tuned(self, rate: float, used: np.ndarray, name: str) -> Model:
        """A copy of the backbone, tuned on the used rows ``[n]`` bool."""
        rows = self.rows.select(np.flatnonzero(used))
        model = Model(copy.deepcopy(self.backbone), Classify(self.classes), layer=self.layer, seed=self.seed)
        if rate == 0:
            return model.to(self.where.device).eval()
        size = min(len(rows), 64)
        trainer = Trainer(
            model,
            Loop(name, {"source": rows}, NearOwnClass(len(self.classes))),
            tune=Tune("lora", rank=self.settings.rank),
            training=Training(steps=self.settings.steps, batch_size=size, learning_rate=rate),
            place=self.where,
            seed=self.seed,
            report=Report(progress=partial(self.show, "lora", name)),
        )
        trainer.train()
        merge_lora(model)
        return model

    def features(self, model: Model) -> Tensor:
        """Of all rows ``[n, d]``."""
        return torch.from_numpy(infer(model, self.rows.sealed(), self.where, want=features)["features"])

    def held_out(self, rate: float, targets: Tensor, fold: np.ndarray) -> HeldOut:
        """What prototypes of tuned backbones say of the rows that these have not seen."""
        rows, ways = np.flatnonzero(fold >= 0), len(self.classes)
        logits = np.zeros((len(fold), ways), np.float32)
        for part in range(int(fold.max()) + 1):
            out = fold == part
            values = self.features(self.tuned(rate, ~out, f"rate {rate:g}, part {part + 1} of {int(fold.max()) + 1}"))
            kept, asked = torch.from_numpy(~out), torch.from_numpy(out)
            said = Prototypes().logits(values[kept][None], targets[kept][None], values[asked][None], ways)[0]
            logits[out] = said.numpy()
        return HeldOut(logits[rows], targets.numpy()[rows], rows)


def tune(bench: Workbench, targets: Tensor, asked: str | Mapping[str, Any]) -> tuple[Backbone, FewShotClassifier]:
    """The backbone at the rate that held-out rows choose, and prototypes on its features.

    Args:
        bench: the support and what is done with it.
        targets: ``[n]`` int64, places in the bench's classes.
        asked: for which level, for the report.

    Raises:
        SettingsError: the backbone cannot be tuned.
    """
    spec = bench.backbone.spec
    if not spec.trainable or not bench.backbone.lora_targets():
        raise SettingsError(f"backbone '{spec.name}' has nothing to train with LoRA; take another level or backbone")
    fold = fold_of(targets.numpy(), bench.seed, PARTS)
    can = bool((torch.bincount(targets) > 2).any())  # one row to hold out, and two to be near to each other
    rates = bench.settings.rates if can else (0.0,)
    held = [bench.held_out(rate, targets, fold) for rate in rates] if fold.max() >= 0 else []
    rate = rates[choose(held)]
    model = bench.tuned(rate, np.ones(len(targets), dtype=bool), f"rate {rate:g}")
    tried = [(bench.settings.told(each), found) for each, found in zip(rates, held, strict=False)]
    support, told = bench.features(model), bench.settings.told(rate)
    found = assembled(support, targets, bench.classes, Prototypes(), told, tried, None, asked, bench.seed)
    return model.backbone, found
