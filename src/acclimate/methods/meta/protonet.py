"""Prototypical networks: a query belongs to the class whose mean it is nearest to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from acclimate.methods.meta.on_features import NONE, OnFeatures, means, members


@dataclass(frozen=True)
class ProtoNet(OnFeatures):
    """Features in which the classes of an episode lie around their means.

    ``p(class k of x) = softmax_k(-scale * |f(x) - c_k|^2)``, with c_k the mean feature of the support rows of class k.

    Helps nearly everywhere as a first answer: no inner loop, any number of ways and shots when it is used. **Hurts**
    where a class is several clusters, and where support rows are far from typical: one shot is all that a mean has.

    Snell, Swersky and Zemel, Prototypical Networks for Few-shot Learning, NeurIPS 2017, eq. 1 and 2.

    Attributes:
        scale: of the squared distances (the paper: 1).
    """

    scale: float = 1.0

    name: ClassVar[str] = "protonet"
    about: ClassVar[str] = "the nearest mean of a class, in learned features (Snell et al. 2017)"
    ranges: ClassVar[Mapping[str, str]] = {"scale": "(0, inf)"}

    def logits(self, support: Tensor, targets: Tensor, query: Tensor, parts: Mapping[str, nn.Module] = NONE) -> Tensor:
        """Minus the squared distances to the means, scaled: written out, one product instead of a distance matrix."""
        centres = means(support, members(targets, support))
        lengths = query.square().sum(-1, keepdim=True) + centres.square().sum(-1).unsqueeze(1)
        return self.scale * torch.baddbmm(-lengths, query, centres.mT, alpha=2)
