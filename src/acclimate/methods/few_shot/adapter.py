"""Linear adapter: a linear map of frozen features under which each support row is nearest to its own class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from acclimate.methods.few_shot.base import Level, membership, without_absent
from acclimate.methods.few_shot.prototypes import Prototypes
from acclimate.methods.few_shot.span import products

TINY = 1e-12


@dataclass(frozen=True)
class LinearAdapter(Level):
    """`Prototypes` of ``M x``: M starts as the identity and is trained on the support by gradient descent.

    The loss is that of each support row against the prototypes of all *other* rows; a row inside its own prototype
    would be near to it without anything learned. Classes count alike. A row that is alone in its class has no
    prototype to be near to, so with one row a class M stays the identity.

    Gradients of M are sums of products of support rows, so M is too: ``M = I + X^T A X``. All is worked out on the
    inner products of the rows; the width of the features plays no part.

    Helps with five or more rows a class on features that were learned for something else: most on handwritten
    characters with ten (1 to 2 points), least where prototypes are good already. **Hurts** with two or three rows a
    class, up to 5 points at rate 1. So let held-out support rows choose the rate, with 0 among the choices.

    Li, Liu and Bilen, Universal Representation Learning from Multiple Domains for Few-shot Classification, ICCV 2021
    (pre-classifier alignment; their loss leaves no row out); the list of rates with 0 in it is from Hu et al., Pushing
    the Limits of Simple Pipelines for Few-Shot Learning (P>M>F), CVPR 2022.

    Attributes:
        rate: of the descent; 0 is `Prototypes`, bit for bit.
        steps: of the descent.
        scale: of the cosine, as that of `Prototypes`.
    """

    rate: float = 0.0
    steps: int = 10
    scale: float = Prototypes.scale

    name: ClassVar[str] = "adapter"
    about: ClassVar[str] = "prototypes of linearly adapted features (Li et al. 2021; Hu et al. 2022)"
    ranges: ClassVar[Mapping[str, str]] = {"rate": "[0, inf)", "steps": "[1, inf)", "scale": "(0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"rate": (0.0, 0.1, 0.3, 1.0)}

    def logits(self, support: Tensor, targets: Tensor, query: Tensor, ways: int, known: Tensor | None = None) -> Tensor:
        if self.rate == 0:
            return Prototypes(self.scale).logits(support, targets, query, ways, known)
        gram, cross = products(support, query, known)
        member = membership(targets, ways, known).to(gram.dtype)
        present = (member.sum(1) > 0).sum(1).clamp_min(2).to(gram.dtype).view(-1, 1, 1)
        scale = self.scale * (1 - 1 / present)
        moved = self._descend(gram, member.mT.contiguous(), scale)
        means = member.mT + member.mT @ gram @ moved  # sums of mapped rows and, below, mapped queries, over the rows
        added = cross @ moved
        inner = (cross + added @ gram) @ means.mT
        lengths = ((means @ gram) * means).sum(-1).unsqueeze(1), 1 + ((2 * cross + added @ gram) * added).sum(-1, True)
        cosine = inner / (lengths[0] * lengths[1]).clamp_min(TINY).sqrt()
        return without_absent(scale * cosine, member)

    def _descend(self, gram: Tensor, member: Tensor, scale: Tensor) -> Tensor:
        """``A^T``, with which a row x is mapped to ``x + (x X^T) A^T X``."""
        moved = torch.zeros_like(gram)
        eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        for _ in range(self.steps):
            rows = eye + gram @ moved
            slope = leave_one_out_slope(rows @ gram @ rows.mT, member, scale)
            moved = moved - self.rate * (slope + slope.mT) @ rows
        return moved


def leave_one_out_slope(gram: Tensor, member: Tensor, scale: Tensor | float) -> Tensor:
    """The derivative of the leave-one-out prototype loss by the inner products of the rows.

    ``loss = mean_k mean_(i of class k) -log softmax_k(scale * cos(x_i, c_k without x_i))`` over the classes that have
    two rows or more, c_k the mean of class k.

    Args:
        gram: inner products of the rows ``[tasks, n, n]``.
        member: ``[tasks, ways, n]``, 1 where a row is of a class; rows of zeros play no part.
        scale: of the cosine, a number or ``[tasks, 1, 1]``.

    Returns:
        ``[tasks, n, n]``, by each entry on its own: the gradient by the rows X is ``(slope + slope^T) X``.
    """
    count = member.sum(-1, keepdim=True)
    weight = (member / count.clamp_min(1.0)).masked_fill(count < 2, 0.0).sum(1, keepdim=True)
    weight = weight / weight.sum(-1, keepdim=True).clamp_min(TINY)
    never = torch.where(count > 0, 0.0, torch.where((count > 0).any(1, keepdim=True), float("-inf"), 0.0))

    square = gram.diagonal(dim1=1, dim2=2).unsqueeze(1)
    sums = member @ gram  # of the rows of a class, along each row
    own = member * sums
    along = sums - member * square  # the same without the row itself
    length = own.sum(-1, keepdim=True) - member * (2 * own - square)  # squared, of the sum without the row
    square, length = square.clamp_min(TINY), length.clamp_min(TINY)
    shrink = (square * length).rsqrt()
    cosine = along * shrink

    error = scale * weight * ((scale * cosine + never).softmax(1) - member)
    by_along = error * shrink
    by_square = -error * cosine / 2
    by_length = by_square / length
    by_sums = by_along + member * (by_length.sum(-1, keepdim=True) - 2 * by_length)
    diagonal = by_square.sum(1) / square.squeeze(1) + (member * (by_length - by_along)).sum(1)
    return member.mT @ by_sums + torch.diag_embed(diagonal)
