"""Inner products of rows: all that a classifier needs whose weights are combinations of the support rows."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

NOTHING = 1e-6
"""A row whose squared length after centring is below this share of the mean one has none: what is left is rounding."""


def products(support: Tensor, query: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cosines of rows seen from the mean of the known support rows: among support rows, and of query with support.

    They are the inner products of what `centred` and then ``normalize`` give, but centring and lengths are worked out
    on the products. So the folds of leave-one-out, which are views of the same rows (``expand``), read the features
    once and cost ``n^2`` each, not ``n^2 * d``.

    Args:
        support: features ``[tasks, n, d]``.
        query: features ``[tasks, q, d]``.
        known: ``[tasks, n]`` bool, the support rows whose mean is taken off; None: all.

    Returns:
        ``[tasks, n, n]`` and ``[tasks, q, n]``. A row that is the mean has no direction: its products are 0.
    """
    tasks = len(support)
    if support.stride(0) == 0 == query.stride(0):
        support, query = support[:1], query[:1]
    support, query = F.normalize(support, dim=-1), F.normalize(query, dim=-1)
    middle = support.mean(1, keepdim=True)
    support, query = support - middle, query - middle  # numbers of the size of the differences, before they are squared
    gram, cross, square = support @ support.mT, query @ support.mT, query.square().sum(-1, keepdim=True)
    floor = NOTHING * gram.diagonal(dim1=1, dim2=2).mean(-1)[:, None, None]
    if known is not None:
        share = known.to(gram.dtype).unsqueeze(-1)
        share = share / share.sum(1, keepdim=True).clamp_min(1.0)
        ours, theirs = gram @ share, cross @ share  # products with the mean
        mean = share.mT @ ours
        gram = gram - ours - ours.mT + mean
        cross = cross - theirs - ours.mT + mean
        square = square - 2 * theirs + mean
    support_scale, query_scale = (
        length.clamp_min(0.0).rsqrt().masked_fill(length <= floor, 0.0)
        for length in (gram.diagonal(dim1=1, dim2=2).unsqueeze(-1), square)
    )
    gram = gram * support_scale * support_scale.mT
    cross = cross * query_scale * support_scale.mT
    return gram.expand(tasks, -1, -1), cross.expand(tasks, -1, -1)
