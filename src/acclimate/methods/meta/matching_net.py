"""Matching networks: a query takes the labels of the support rows that it resembles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.methods.meta.on_features import NONE, OnFeatures, members


@dataclass(frozen=True)
class MatchingNet(OnFeatures):
    """Attention over the support rows: ``p(class k of x) = sum of a(x, x_i) over the rows i of class k``.

    ``a(x, x_i) = softmax_i(scale * cos(f(x), f(x_i)))``. Every support row counts by itself, none is averaged.

    Helps where a class is several clusters, of which a mean would be none. **Hurts** where rows are noisy: a mean
    evens out what an attention follows; and a class with more shots has more votes. Without the paper's full-context
    embeddings (LSTMs that let every row see the support set), which gain little beside a better backbone.

    Vinyals, Blundell, Lillicrap, Kavukcuoglu and Wierstra, Matching Networks for One Shot Learning, NeurIPS 2016, eq. 1
    and section 2.1.1.

    Attributes:
        scale: of the cosine (the paper: 1, which leaves even a perfect match little surer than the rest).
    """

    scale: float = 10.0

    name: ClassVar[str] = "matching_net"
    about: ClassVar[str] = "attention over the support rows, in learned features (Vinyals et al. 2016)"
    ranges: ClassVar[Mapping[str, str]] = {"scale": "(0, inf)"}

    def logits(self, support: Tensor, targets: Tensor, query: Tensor, parts: Mapping[str, nn.Module] = NONE) -> Tensor:
        """Logarithms of the attention that each class gets."""
        cosine = F.normalize(query, dim=-1) @ F.normalize(support, dim=-1).mT
        attention = (self.scale * cosine).log_softmax(-1).unsqueeze(-1)
        other = members(targets, support).unsqueeze(1) == 0
        return attention.masked_fill(other, float("-inf")).logsumexp(2)
