"""Losses that teach vectors to tell identities apart: an angular margin, and triplets."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def arcface_logits(cosine: Tensor, targets: Tensor, margin: float = 0.5, scale: float = 30.0) -> Tensor:
    """Logits with an angular margin: ``scale * cos(angle + margin)`` of the right class, without margin of others.

    Deng et al., ArcFace, CVPR 2019, eq. 3. Where the angle and the margin together pass pi, where the cosine would rise
    again, the logit goes on falling in a line.

    Args:
        cosine: of each row's vector and each class's weight ``[n, classes]``.
        targets: class indices ``[n]`` int64.
        margin: in radians; 0 is softmax on cosines.
        scale: length of the logits (paper: 64, for hundreds of thousands of classes).

    Returns:
        ``[n, classes]``, for a cross-entropy.
    """
    own = cosine.gather(1, targets[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
    angle = torch.acos(own)
    moved = torch.where(angle + margin < math.pi, torch.cos(angle + margin), own - margin * math.sin(margin))
    return scale * cosine.scatter(1, targets[:, None], moved)


def batch_hard_triplet(vectors: Tensor, targets: Tensor, margin: float = 0.2) -> Tensor:
    """For each row ``max(0, margin + d(furthest of its identity) - d(nearest of another))``, over the rows of a batch.

    Hermans, Beyer & Leibe, In Defense of the Triplet Loss, 2017, eq. 5. A row without another of its identity, or
    without one of another, has loss 0: batches must hold several rows of each of several identities.

    Args:
        vectors: ``[n, d]``; distances are Euclidean.
        targets: identities ``[n]`` int64.
        margin: in the unit of the distance; of vectors of length 1 that is at most 2.

    Returns:
        Loss of each row ``[n]``.
    """
    squared = (vectors[:, None] - vectors[None]).square().sum(-1)
    distance = squared.clamp(min=1e-12).sqrt()  # the root has no slope at 0
    same = targets[:, None] == targets[None]
    mates = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    furthest = distance.masked_fill(~mates, -math.inf).max(dim=1).values
    nearest = distance.masked_fill(same, math.inf).min(dim=1).values
    usable = mates.any(dim=1) & ~same.all(dim=1)
    return torch.where(usable, (margin + furthest - nearest).clamp(min=0), torch.zeros_like(furthest))
