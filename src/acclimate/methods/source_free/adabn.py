"""AdaBN: the target's statistics in place of the source's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch

from acclimate.backbones.base import Backbone
from acclimate.domains.domain import Domain
from acclimate.errors import SettingsError
from acclimate.methods.base import Tail
from acclimate.methods.data import Data
from acclimate.methods.label_shift.pieces import calibrate
from acclimate.training.model import Model
from acclimate.training.stage import Adjust, Reader, Stage
from acclimate.training.tune import norms

STATISTICS = (
    "method 'adabn' needs batch norm or standardised features, and this model has neither; "
    "use a backbone with batch norm, or --tune frozen on dense features"
)


@dataclass(frozen=True)
class AdaBN(Tail):
    """Each domain is normalised by its own mean and deviation.

    Batch norms ``y = gamma (x - mu) / sigma + beta`` keep gamma and beta and get the target's mu and sigma, from one
    pass in batches. On frozen features, the standardisation before the head does: ``(f - mean) / deviation`` of the
    target's features (per-domain standardisation).

    Helps when the domains differ in style, sensor, lighting or units, which move means and scales; costs one pass and
    no tuning. Hurts when class shares differ: a mean over other classes is another mean, and the head's boundary moves
    with it; and on few rows. The model then is the target's: its accuracy on source rows falls. It has no settings.

    Related: TENT (goes on from here by entropy), CORAL (correlations too).

    Li et al., Revisiting Batch Normalization for Practical Domain Adaptation, 2017 (arXiv:1603.04779), algorithm 1.
    """

    name: ClassVar[str] = "adabn"
    about: ClassVar[str] = "the target's statistics in batch norm or standardisation (Li et al. 2017)"
    changes = "statistics"

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """Statistics: of batch norms, or of the standardised features that a frozen backbone's head reads."""
        return "" if norms(backbone) or (frozen and not backbone.spec.sparse) else STATISTICS

    def tail(self, data: Data) -> Sequence[Stage]:
        """One pass over the target."""
        assert data.target is not None
        return [Adjust(self.name, partial(_change, data.target, data.source_validation))]


def _change(target: Domain, validation: Domain | None, model: Model, reader: Reader) -> dict[str, Any]:
    calibrated = _temperature(validation, model, reader)
    layers = take_statistics(target, model, reader)
    if not layers:
        raise SettingsError(STATISTICS)
    return {"layers": layers, **calibrated}


def _temperature(validation: Domain | None, model: Model, reader: Reader) -> dict[str, float]:
    """Measured while the statistics are still the source's: its rows mean nothing to the target's."""
    if validation is None or not len(validation) or validation.labels is None:
        return {}
    ordered = validation.select(validation.order)
    outputs = reader.outputs(ordered)
    if "logits" not in outputs:
        return {}
    assert ordered.labels is not None
    heat, _ = calibrate(outputs["logits"], model.task.encode(ordered.labels).numpy(), bias=False)
    return {"temperature": float(heat)}


@torch.no_grad()
def take_statistics(target: Domain, model: Model, reader: Reader) -> int:
    """Give the model the target's statistics, where it has any; returns how many layers changed.

    Rows are taken in an order that depends on content alone: file order may go by class, and a batch of one class has
    that class's statistics.
    """
    batches = reader.batches(target.select(target.order))
    if model.neck.standardize:
        model.neck.fit(torch.cat([model.backbone(batch.inputs, [model.layer])[model.layer] for batch in batches]))
        return 1
    learning = [norm for norm in norms(model) if norm.track_running_stats]
    if not learning:
        return 0
    momenta = [norm.momentum for norm in learning]
    model.eval()  # dropout rests
    seen = 0
    for batch in batches:
        if len(batch) == 1:  # has no deviation
            continue
        seen += len(batch)
        for norm in learning:
            norm.train()
            norm.momentum = len(batch) / seen  # in the end each row weighs alike
        model(batch)
    for norm, momentum in zip(learning, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    return len(learning)
