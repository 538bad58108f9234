"""Relation networks: a learned comparison of a query with each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.methods.meta.on_features import NONE, OnFeatures, means, members
from acclimate.training.model import Model


@dataclass(frozen=True)
class RelationNet(OnFeatures):
    """A small network g says how much a query and a class belong together: ``r_k = sigmoid(g([c_k, f(x)]))``.

    Trained by the squared error of r to 1 for the query's own class and 0 for the others. Beside the paper, g reads
    pooled features and not feature maps, so that it works with any backbone: it has two linear layers in the place of
    two convolution blocks and two linear layers. And c_k is the mean of the support rows and not their sum, so that
    more shots may come when it is used than in training.

    Helps where no fixed distance suits. **Hurts** where training classes are few: a learned comparison fits to them.

    Sung, Yang, Zhang, Xiang, Torr and Hospedales, Learning to Compare: Relation Network for Few-Shot Learning, CVPR
    2018, eq. 1 and 2.

    Attributes:
        hidden: width of g's hidden layer.
    """

    hidden: int = 64

    name: ClassVar[str] = "relation_net"
    about: ClassVar[str] = "a learned comparison of query and class (Sung et al. 2018)"
    ranges: ClassVar[Mapping[str, str]] = {"hidden": "[1, inf)"}

    def parts(self, model: Model, classes: int) -> dict[str, nn.Module]:
        """The relation module ``[..., 2 d] -> [..., 1]``."""
        size = model.neck.size
        return {"relation": nn.Sequential(nn.Linear(2 * size, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1))}

    def logits(self, support: Tensor, targets: Tensor, query: Tensor, parts: Mapping[str, nn.Module] = NONE) -> Tensor:
        """What g says, before the sigmoid."""
        centres = means(support, members(targets, support))
        pairs = centres.unsqueeze(1).expand(-1, query.shape[1], -1, -1), query.unsqueeze(2)
        return parts["relation"](torch.cat([pairs[0], pairs[1].expand_as(pairs[0])], dim=-1)).squeeze(-1)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean squared error of the relation scores."""
        return (logits.sigmoid() - F.one_hot(targets, logits.shape[-1]).to(logits.dtype)).square().mean()
