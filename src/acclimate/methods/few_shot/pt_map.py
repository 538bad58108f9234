"""PT-MAP: class means that move to the queries which transport assigns to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from acclimate.methods.few_shot.base import Level, centred, membership, without_absent

TOLERANCE = 1e-4
"""Of transport: how far the sum of a class may be off, relative to its share. Less takes long where all are sure."""
CHECKED = 5
"""Rounds of transport between two looks at that."""
LIMIT = 1000
NEVER = -1e4
"""Added to the closeness of a class that is not there: its exponential is 0, and no number is infinite."""
TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class PTMAP(Level):
    """Rows made more Gaussian by a power, then in turn: assign queries to class means, move the means to them.

    Queries are assigned with ``p_jk`` in proportion to ``exp(-sharpness |x_j - c_k|^2) v_k``. Balanced, v is such that
    each class has the same share of the queries (Sinkhorn's algorithm). Without balance v are class shares, estimated
    in each turn as half-way between the shares of the answers and equal ones: nothing is forced, and a class is not
    lost for being rare.

    A number x becomes ``sign(x) |x|^power``, so features may be negative; for those behind a ReLU that is the paper's
    transform. Rows are then scaled to length 1, centred, and scaled again. Balanced, support and queries are centred
    each with their own mean, as in the paper; without balance the two means differ rightly, and the support's is taken
    off both. The paper's QR step changes no distance; here all is worked out on inner products instead.

    Transductive: all queries of a task are answered together, and another set of queries gets other answers. Points of
    accuracy over prototypes on frozen features of photos, paintings, sketches, characters and reviews, where classes
    came equally often, or with Dirichlet shares of concentration 2 or of 0.5: with one row a class 8.5, 6.4 and 3.5,
    with five 1.8, 1.3 and 1.5; `balanced` 12.5, -6.0 and -18.3, with five 4.0, -14.5 and -29.0. So it helps with one
    row a class most, and **hurts** as `balanced` where class shares differ: say balanced only of queries that were
    drawn class by class. It also hurts where features are mostly noise around 0, which a root makes large: there take
    power 1.

    Hu, Gripon and Pateux, Leveraging the Feature Distribution in Transfer-based Few-Shot Learning, ICANN 2021,
    algorithm 1; Cuturi, Sinkhorn Distances, NeurIPS 2013. The form without balance is ours.

    Attributes:
        balanced: whether each class has about the same share of the queries.
        power: of the transform; 1 leaves features as they are.
        sharpness: of the assignment.
        pace: how far means move towards those of their rows in a turn, of 1.
        steps: turns.
    """

    balanced: bool = False
    power: float = 0.5
    sharpness: float = 10.0
    pace: float = 0.2
    steps: int = 20

    name: ClassVar[str] = "pt_map"
    about: ClassVar[str] = "optimal transport of the queries to moving class means (Hu et al. 2021)"
    transductive: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, str]] = {
        "power": "(0, 1]",
        "sharpness": "(0, 20]",  # beyond it exp(-sharpness * 4) leaves float32
        "pace": "(0, 1]",
        "steps": "[1, inf)",
    }
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"power": (0.5, 1.0)}

    @torch.no_grad()
    def logits(self, support: Tensor, targets: Tensor, query: Tensor, ways: int, known: Tensor | None = None) -> Tensor:
        member = membership(targets, ways, known).to(support.dtype)
        rows = self._prepared(support, query, known)
        gram, asked = rows @ rows.mT, query.shape[1]
        present = member.sum(1).unsqueeze(-1) > 0
        present = present | ~present.any(1, keepdim=True)
        equal = present.to(rows.dtype) / present.sum(1, keepdim=True)
        means = F.pad(member / member.sum(1, keepdim=True).clamp_min(1.0), (0, 0, 0, asked)).mT  # over the rows
        answers, potential = self._assign(means, gram, equal, equal, asked)
        for _ in range(self.steps):
            if not self.balanced:
                potential = (answers.softmax(1).mean(-1, keepdim=True) + equal) / 2
            assigned = torch.cat([member.mT, answers.softmax(1)], 2)
            means = means + self.pace * (assigned / assigned.sum(-1, keepdim=True).clamp_min(TINY) - means)
            answers, potential = self._assign(means, gram, potential, equal, asked)
        return without_absent(answers.mT, member)

    def _assign(
        self, means: Tensor, gram: Tensor, potential: Tensor, equal: Tensor, asked: int
    ) -> tuple[Tensor, Tensor]:
        """Logits of the queries ``[tasks, ways, query]``, and v."""
        inner = means @ gram
        closeness = self.sharpness * (2 * inner[..., inner.shape[-1] - asked :] - (means * inner).sum(-1, keepdim=True))
        closeness = closeness + (equal == 0) * NEVER
        if self.balanced:
            potential = transport(closeness, asked * equal, potential)
        return closeness + potential.clamp_min(TINY).log(), potential

    def _prepared(self, support: Tensor, query: Tensor, known: Tensor | None) -> Tensor:
        """Support, then query rows, transformed."""
        support, query = (part.sign() * part.abs() ** self.power for part in (support, query))
        support, moved = centred(support, query, known)
        if self.balanced:
            moved = moved - moved.mean(1, keepdim=True)
        return F.normalize(torch.cat([support, moved], 1), dim=-1)


def transport(closeness: Tensor, shares: Tensor, start: Tensor | None = None) -> Tensor:
    """Class potentials v with which rows that are shared out in proportion to ``exp(closeness) v`` fill the shares.

    Each row is shared out whole. Sinkhorn's algorithm: rows and classes are scaled in turn.

    Args:
        closeness: ``[tasks, ways, rows]``; within 80 of the largest of its row.
        shares: ``[tasks, ways, 1]``, how many rows each class is to have; their sum is the number of rows.
        start: v to begin with; None: 1.

    Returns:
        v ``[tasks, ways, 1]``, 0 for a class whose share is 0.
    """
    kernel = (closeness - closeness.amax(1, keepdim=True)).exp()
    potential = torch.ones_like(shares) if start is None else start
    for step in range(LIMIT):
        whole = 1 / (kernel * potential).sum(1, keepdim=True)
        sums = (kernel * whole).sum(-1, keepdim=True)
        if step % CHECKED == 0 and bool(((potential * sums - shares).abs() <= TOLERANCE * shares).all()):
            break
        potential = shares / sums.clamp_min(TINY)
    return potential
