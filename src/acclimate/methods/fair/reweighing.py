"""Reweighing: source rows weighted until label and group are independent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from acclimate.domains.batch import Batch
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.methods.fair.groups import codes, reweighing
from acclimate.tasks.sites import Width
from acclimate.training.stage import Convex, Loop, Pass, Stage, Update


@dataclass(frozen=True)
class Reweighing(Method):
    """Training on the source with rows weighted by ``P(group) P(label) / P(group, label)``.

    Under these weights no group has more of a label than another, so a model cannot do well by guessing the group. No
    target is needed.

    Helps where one group has a label more often than another and inputs tell the group: selection rates come together.
    Costs accuracy on rows like the source's where that association is real there. Does nothing against inputs that
    tell the label less well in one group (groupdro, dfr). Rare pairs of group and label get large weights.

    Kamiran & Calders, Data preprocessing techniques for classification without discrimination, Knowledge and
    Information Systems 2012, section 4.3. Related: importance_weighting (weights towards a target).

    Attributes:
        strength: 0 trains like source_only, bit for bit; 1 is the paper's.
    """

    strength: float = 1.0

    name: ClassVar[str] = "reweighing"
    about: ClassVar[str] = "rows weighted until label and group are independent (Kamiran & Calders 2012)"
    ranges: ClassVar[Mapping[str, str]] = {"strength": "[0, 1]"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"strength": (1.0, 0.5)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "classes", "sensitive")

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """A weighted convex head, or a loop over the source."""
        source = data.source
        assert source is not None and source.labels is not None
        weights = 1 + self.strength * (reweighing(codes(source), source.labels) - 1)
        if not convex:
            return [Loop(self.name, {"source": source}, Weighted(weights[source.order]), None, data.source_validation)]

        def carry(values: Any, labels: np.ndarray, target: Any) -> tuple[Any, np.ndarray]:
            return values, weights

        return [Convex(self.name, source, data.source_validation, carry=carry)]


@dataclass(frozen=True)
class Weighted:
    """Supervised updates with a weight for each row ``[n]``, in the domain's content order."""

    weights: np.ndarray

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """None."""
        return {}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The weighted mean loss."""
        batch = batches["source"]
        loss = step.run(batch).loss
        assert loss is not None and batch.rows is not None
        weight = torch.from_numpy(self.weights[batch.rows.cpu().numpy()]).to(loss)
        yield Update({"task": (weight * loss).mean()})
