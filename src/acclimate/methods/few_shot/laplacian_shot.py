"""LaplacianShot: nearest class means, where queries that are near to each other answer alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from acclimate.methods.few_shot.base import Level, centred, class_means, membership, without_absent

RECTIFYING = 10.0
"""Of the cosine by which queries count towards the means."""


@dataclass(frozen=True)
class LaplacianShot(Level):
    """``p_j = softmax_k(-|x_j - c_k|^2 + strength * sum_i w_ji p_ik)``, again and again; w_ji = 1 between neighbours.

    Rows are centred and scaled to length 1 as for `Prototypes`. Two queries are neighbours if one is among the nearest
    of the other (1/2) or each of the other (1), by cosine. The means are first rectified: a query counts towards the
    mean that is nearest to it, with its probability under ``softmax(10 cos)``. Balanced, the queries are first moved so
    that their mean is that of the support; without balance the two means differ rightly, and nothing is moved. The
    neighbours assume nothing of class shares.

    Transductive: all queries of a task are answered together, and another set of queries gets other answers. Points of
    accuracy over prototypes on frozen features of photos, paintings, sketches, characters and reviews, where classes
    came equally often, or with Dirichlet shares of concentration 2 or of 0.5: with one row a class 6.0, 5.9 and 5.5,
    with five 1.8, 2.1 and 3.6: of the transductive classifiers the one that depends least on the shares. `balanced`
    9.2, 5.8 and -1.0, with five 2.5, 0.1 and -5.9. So it **hurts** as `balanced` where class shares differ much; and
    with few queries of a class, whose nearest neighbours are then of others.

    Ziko, Dolz, Granger and Ben Ayed, Laplacian Regularized Few-Shot Learning, ICML 2020, eq. 1 and algorithm 1 (the
    affinities of their code go one way; symmetric ones were right more often). Rectified means: Liu, Song and Qin,
    Prototype Rectification for Few-Shot Learning (BD-CSPN), ECCV 2020.

    Attributes:
        balanced: whether each class has about the same share of the queries.
        strength: of the neighbours; the paper takes 0.1 to 1. 0 is the nearest mean.
        neighbours: of each query.
        rectified: whether queries count towards the means.
        steps: rounds.
    """

    balanced: bool = False
    strength: float = 0.7
    neighbours: int = 3
    rectified: bool = True
    steps: int = 20

    name: ClassVar[str] = "laplacian_shot"
    about: ClassVar[str] = "nearest means with the queries' neighbours (Ziko et al. 2020)"
    transductive: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, str]] = {"strength": "[0, inf)", "neighbours": "[1, inf)", "steps": "[1, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"strength": (0.7, 0.3, 0.1)}

    @torch.no_grad()
    def logits(self, support: Tensor, targets: Tensor, query: Tensor, ways: int, known: Tensor | None = None) -> Tensor:
        support, query = (F.normalize(part, dim=-1) for part in centred(support, query, known))
        member = membership(targets, ways, known).to(support.dtype)
        affinity = neighbourhood(query @ query.mT, self.neighbours)
        if self.balanced:
            weight = member.sum(-1, keepdim=True)
            mean = (support * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1.0)
            query = query + mean - query.mean(1, keepdim=True)
        means = class_means(support, member)
        if self.rectified:
            means = rectified(means, support, member, query)
        closeness = 2 * query @ means.mT - means.square().sum(-1).unsqueeze(1)
        closeness = without_absent(closeness, member)
        logits = closeness
        for _ in range(self.steps):
            logits = closeness + self.strength * affinity @ logits.softmax(-1)
        return without_absent(logits, member)


def neighbourhood(cosines: Tensor, count: int) -> Tensor:
    """Affinities: the mean of "i is among the ``count`` nearest of j" and "j is among those of i".

    Args:
        cosines: between rows ``[tasks, n, n]``.
        count: neighbours of each row, itself not among them; all others if there are fewer, and those as near as the
            last one too.

    Returns:
        ``[tasks, n, n]``, 0, 1/2 or 1.
    """
    others = cosines.clone()
    others.diagonal(dim1=1, dim2=2).fill_(float("-inf"))
    count = min(count, others.shape[-1] - 1)
    if count < 1:
        return torch.zeros_like(cosines)
    near = (others >= others.topk(count).values[..., -1:]).to(cosines.dtype)
    return (near + near.mT) / 2


def rectified(means: Tensor, support: Tensor, member: Tensor, query: Tensor) -> Tensor:
    """Means of classes over support rows and those queries that are nearest to them (Liu et al. 2020, section 3.2).

    Args:
        means: ``[tasks, ways, d]``, of the support.
        support: ``[tasks, n, d]``.
        member: ``[tasks, n, ways]``, 1 where a known row is of a class.
        query: ``[tasks, q, d]``; a row counts with ``softmax(10 cos)`` of the class whose mean is nearest.

    Returns:
        ``[tasks, ways, d]``.
    """
    cosine = without_absent(F.normalize(query, dim=-1) @ F.normalize(means, dim=-1).mT, member)
    nearest = F.one_hot(cosine.argmax(-1), means.shape[1])
    weights = torch.cat([member, nearest * (RECTIFYING * cosine).softmax(-1)], 1)
    return weights.mT @ torch.cat([support, query], 1) / weights.sum(1).clamp_min(1.0).unsqueeze(-1)
