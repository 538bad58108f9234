"""How much boxes overlap, and which of those that do are left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union ``[n, m]`` of boxes ``[n, 4]`` and ``[m, 4]`` (x1, y1, x2, y2); 0 of empty ones."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


def suppress(boxes: np.ndarray, scores: np.ndarray, kinds: np.ndarray, most: float) -> np.ndarray:
    """Non-maximum suppression: which boxes are kept, the highest score first.

    Of two boxes of one kind that overlap by more than ``most``, the one with the lower score goes, unless what would
    have sent it away went itself.

    Args:
        boxes: ``[n, 4]``.
        scores: ``[n]``.
        kinds: ``[n]``, what each is of; other kinds do not disturb each other.
        most: intersection over union up to which both stay.
    """
    order = np.argsort(-scores, kind="stable")
    near = (iou(boxes[order], boxes[order]) > most) & (kinds[order][:, None] == kinds[order][None])
    kept = np.ones(len(order), dtype=bool)
    for place in range(len(order)):
        if kept[place]:
            kept[place + 1 :] &= ~near[place, place + 1 :]
    return order[kept]


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised intersection over union of boxes, last dimension (x1, y1, x2, y2): intersection over union, less the
    share of the smallest box around both that neither covers; -1 to 1. Rezatofighi et al., CVPR 2019, algorithm 1.
    """
    around = _area(torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:]))
    both, union = _both(first, second)
    return both / union.clamp(min=1e-6) - (around - union) / around.clamp(min=1e-6)


def shared(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes, last dimension (x1, y1, x2, y2); 0 of empty ones."""
    both, union = _both(first, second)
    return both / union.clamp(min=1e-6)


def found_again(found: Tensor, kinds: Sequence[int], boxes: Tensor) -> Tensor:
    """How well objects are found again ``[n]``: of each the highest score, times intersection over union, among what is
    found of its kind; the mean over them. Petsiuk et al., D-RISE, CVPR 2021, eq. 2 and 4, with the score of one kind.

    Args:
        found: ``[n, m, 6]``: score, kind, box.
        kinds: of the objects, at least one.
        boxes: of these ``[k, 4]``.
    """
    sure, kind, where = found[..., 0], found[..., 1], found[..., 2:]
    each = [sure * shared(where, box) * (kind == k) for k, box in zip(kinds, boxes.to(where.device), strict=True)]
    return torch.stack(each).amax(2).mean(0)


def _both(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Areas of intersection and union."""
    both = _area(torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:]))
    return both, _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:]) - both


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(-1)
