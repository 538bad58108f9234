"""A meta-trained model as a few-shot classifier: its own learner answers, as it was trained to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones.base import Backbone, Spec
from acclimate.backbones.hashing import weights_key
from acclimate.backbones.passthrough import PassThrough
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.errors import DataError, SettingsError
from acclimate.methods.few_shot.base import Level
from acclimate.methods.meta.on_features import OnFeatures
from acclimate.methods.meta.pmf import PMF
from acclimate.runs.meta import learned
from acclimate.runs.meta.learned import Learned
from acclimate.training.model import Model
from acclimate.training.tune import norms


@dataclass(frozen=True)
class LearnedLevel(Level):
    """The learner of a meta-training, on what it reads of each row.

    Attributes:
        learned: model and learner.
        shape: of what is read of one row, which comes flattened.
        direct: whether that is the learner's own features already.
    """

    learned: Learned
    shape: tuple[int, ...]
    direct: bool

    name: ClassVar[str] = "learned"
    about: ClassVar[str] = "the learner of a meta-trained model"

    @property
    def transductive(self) -> bool:  # type: ignore[override]
        """Batch norms of an inner loop normalise by the rows that are asked together."""
        inner = not isinstance(self.learned.learner, OnFeatures)
        return inner and any(True for _ in norms(self.learned.model))

    def recipe(self) -> dict[str, Any]:
        """The learner's name and settings, for the report."""
        return {**self.learned.learner.recipe(), "name": self.name, "method": self.learned.learner.name}

    def logits(self, support: Tensor, targets: Tensor, query: Tensor, ways: int, known: Tensor | None = None) -> Tensor:
        """One task after the other, for each may know other rows."""
        every = torch.ones_like(targets, dtype=torch.bool) if known is None else known
        found = []
        for rows, labels, asked, kept in zip(support, targets, query, every, strict=True):
            found.append(self._task(rows[kept], labels[kept], asked))
        return torch.stack(found)

    def _task(self, rows: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
        taught = self.learned
        rows, labels, asked = (part[None].to(taught.model.device) for part in (rows, labels, asked))
        if self.direct:
            assert isinstance(taught.learner, OnFeatures)
            with torch.no_grad():
                return taught.learner.logits(rows, labels, asked, taught.parts)[0].cpu()
        support, query = (part.unflatten(2, self.shape) for part in (rows, asked))
        return taught.answers(Batch(support, labels), query)[0].cpu()


class Taught(Backbone):
    """What the learner of a meta-trained model reads of a row: features of its model, or the prepared input itself."""

    kind = "taught"

    def __init__(self, model: Model, origin: Mapping[str, Any], width: int, direct: bool):
        super().__init__()
        self.model, self.direct, self.settings = model, direct, model.backbone.settings
        name = f"{origin['backbone']} ({origin['meta']})"
        self.spec = Spec(name, model.backbone.spec.modality, {"learned": width}, "learned", pretrained=True)

    def collate(self, raw: Any, *, training: bool = False, rng: np.random.Generator | None = None) -> Any:
        return self.model.backbone.collate(raw)

    def lengths(self, rows: Any) -> np.ndarray | None:
        return self.model.backbone.lengths(rows)

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        return {"learned": self.model.features(inputs) if self.direct else inputs.flatten(1)}

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "direct": self.direct, "backbone": self.model.backbone.config()}

    def cache_key(self) -> str:
        return weights_key(self.model, self.config())


def find(backbone: Any) -> Learned | None:
    """The meta-trained model of a folder, None where it is anything else."""
    if not isinstance(backbone, str) or not (Path(backbone) / learned.RECORD).is_file():
        return None
    return Learned.load(Path(backbone))


def reads(taught: Learned, rows: Domain, ways: int) -> tuple[Backbone, str, LearnedLevel]:
    """What reads the rows for a meta-trained model, the layer of it, and the level that answers.

    Raises:
        SettingsError: it answers numbers, or has a head of other ways, or reads inputs of no fixed shape.
    """
    model, learner = taught.model, taught.learner
    if model.task.kind != "class":
        raise SettingsError("this model was meta-trained to answer numbers, and few-shot answers classes")
    heads = len(model.task.config()["classes"])
    if learner.headed and heads != ways:
        raise SettingsError(
            f"method '{learner.name}' learned a head of {heads} ways, and the support has {ways} classes; meta-train "
            f"it with --ways {ways}, or say --level prototypes, which reads its features"
        )
    if rows.schema.modality != model.backbone.spec.modality:
        raise DataError(f"{rows.name} is {rows.schema.modality}, but the model reads {model.backbone.spec.modality}")
    if taught.frozen:
        real = model.backbone
        model.backbone = PassThrough(real, model.layer)
        return real, model.layer, LearnedLevel(taught, (real.size(model.layer),), direct=False)
    if isinstance(learner, OnFeatures) and not isinstance(learner, PMF):
        network = Taught(model, taught.origin, model.neck.size, direct=True)
        return network, "learned", LearnedLevel(taught, (model.neck.size,), direct=True)
    one = model.backbone.collate(rows.rows.take(np.arange(1)))
    if not isinstance(one, Tensor):
        raise SettingsError(
            f"method '{learner.name}' adapts the whole network, and these inputs have no fixed shape; meta-train it "
            "with --tune frozen, or take protonet"
        )
    shape = tuple(one.shape[1:])
    return (
        Taught(model, taught.origin, one[0].numel(), direct=False),
        "learned",
        LearnedLevel(taught, shape, direct=False),
    )
