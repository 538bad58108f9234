"""TIM: class weights under which the answers to the query rows say most about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from acclimate.methods.few_shot.base import Level, membership, without_absent

MOMENTUM = 0.9
STEP = 15.0
"""Of the descent, over the square of the temperature, which the curvature of the loss grows with; twice as much
still descends."""
NEVER = -1e4
"""Added to the logit of a class that is not there: its probability is 0, its logarithm a number."""
WEIGHTS = {True: (0.1, 0.1), False: (1.0, 1.0)}
"""Of the support's loss and of the conditional entropy, by `balanced`: as in the papers."""
TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class TIM(Level):
    """``argmin_W a CE(support) + b H(Y of X) - H(Y)`` over the query rows, ``p(k of x) = softmax_k(-t/2 |x - w_k|^2)``.

    Weights start as class means of rows of length 1. The conditional entropy ``H(Y of X)`` asks for sure answers, the
    entropy ``H(Y)`` of the mean answer for many classes among them. Without balance both are Tsallis entropies
    ``(1 - sum_k p_k^alpha) / (alpha - 1)``, which punish unequal class shares less (alpha-TIM).

    Transductive: all queries of a task are answered together, and another set of queries gets other answers. Points of
    accuracy over prototypes on frozen features of photos, paintings, sketches, characters and reviews, where classes
    came equally often, or with Dirichlet shares of concentration 2 or of 0.5: with one row a class 1.6, 3.1 and 3.3,
    with five 2.1, 2.2 and 0; `balanced` 9.5, -6.9 and -19.4, with five 4.4, -15.3 and -30.2. So it helps with one row a
    class, and **hurts** as `balanced` where class shares differ: say balanced only of queries that were drawn class by
    class. It is trained to be sure: its probabilities are too high.

    Descent has heavy-ball momentum in place of the papers' Adam, whose steps depend on the axes of the features. So it
    works on inner products, and the width of the features plays no part. 150 steps ended at a lower loss than 1,000 of
    Adam at the paper's rate on photos, sketches and characters, and were right as often to within 0.6 points.

    Boudiaf et al., Transductive Information Maximization For Few-Shot Learning, NeurIPS 2020 (TIM-GD); Veilleux et
    al., Realistic Evaluation of Transductive Few-Shot Learning, NeurIPS 2021 (alpha-TIM).

    Attributes:
        balanced: whether each class has about the same share of the queries.
        alpha: of the entropies without balance. Larger ones bear stronger imbalance and gain less where there is none:
            2 gains 6.4 points with equal shares and one row a class, and loses 4.1 at concentration 0.5 with five; 5
            loses 5.3 here and gains 3.2 there. The paper takes 2 with one row a class and 7 with five or more.
        temperature: t; of rows of length 1.
        steps: of the descent.
    """

    balanced: bool = False
    alpha: float = 3.0
    temperature: float = 15.0
    steps: int = 150

    name: ClassVar[str] = "tim"
    about: ClassVar[str] = "information maximisation over the queries (Boudiaf et al. 2020; Veilleux et al. 2021)"
    transductive: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, str]] = {"alpha": "(1, inf)", "temperature": "(0, inf)", "steps": "[1, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"alpha": (3.0, 2.0, 5.0)}

    @torch.no_grad()
    def logits(self, support: Tensor, targets: Tensor, query: Tensor, ways: int, known: Tensor | None = None) -> Tensor:
        rows = F.normalize(torch.cat([support, query], 1), dim=-1)
        member = membership(targets, ways, known).to(rows.dtype)
        inner = self._descend(rows @ rows.mT, member.mT, support.shape[1])
        return without_absent(self.temperature * inner[..., support.shape[1] :].mT, member)

    def _descend(self, gram: Tensor, member: Tensor, count: int) -> Tensor:
        """``w_k^T x - |w_k|^2 / 2`` of all rows ``[tasks, ways, rows]`` after the descent; support rows are first.

        ``W = A X`` stays a combination of the rows. A step needs the products of the gradient with the rows, one
        product with their Gram matrix, which serves for all products with W from then on.
        """
        size = member.sum(-1, keepdim=True)
        present = (size > 0).to(gram.dtype)
        mean = member / size.clamp_min(1.0)
        each = mean.sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp_min(1.0) * WEIGHTS[self.balanced][0]
        wanted = each * member
        never = (1 - present) * NEVER
        weights = F.pad(mean, (0, gram.shape[-1] - count))
        inner = weights @ gram
        speed, inner_speed, slope = torch.zeros_like(inner), torch.zeros_like(inner), torch.empty_like(inner)
        for _ in range(self.steps):
            log_p = self.temperature * _logits(weights, inner) + never
            log_p = log_p.log_softmax(1)
            p = log_p.exp()
            slope[..., :count] = each * p[..., :count] - wanted
            slope[..., count:] = self.information_slope(p[..., count:], log_p[..., count:])
            total = slope.sum(-1, keepdim=True)
            speed.mul_(MOMENTUM).add_(slope - total * weights)
            inner_speed.mul_(MOMENTUM).add_(slope @ gram - total * inner)
            weights.sub_(speed, alpha=STEP / self.temperature)
            inner.sub_(inner_speed, alpha=STEP / self.temperature)
        return _logits(weights, inner)

    def information_slope(self, p: Tensor, log_p: Tensor) -> Tensor:
        """The derivative of ``b H(Y of X) - H(Y)`` by the logits, probabilities ``[tasks, ways, query]`` given."""
        mean = p.mean(-1, keepdim=True)
        conditional = WEIGHTS[self.balanced][1]
        if self.balanced:
            by_p = mean.clamp_min(TINY).log() - conditional * log_p
        else:
            power = self.alpha - 1
            by_p = (self.alpha / power) * (mean**power - conditional * p**power)
        by_p = by_p * p
        return (by_p - p * by_p.sum(1, keepdim=True)) / p.shape[-1]


def _logits(weights: Tensor, inner: Tensor) -> Tensor:
    return torch.add(inner, (weights * inner).sum(-1, keepdim=True), alpha=-0.5)
