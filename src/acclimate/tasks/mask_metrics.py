"""Metrics of masks, with a weight per image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from acclimate.domains.legends import BACKGROUND
from acclimate.domains.masks import VOID, Masks, from_text
from acclimate.errors import DataError
from acclimate.tasks.metrics import Weighted

TOLERANCE = 0.0075
"""Of the image's diagonal: how far off a boundary may be (Csurka et al., BMVC 2013, section 3)."""


def weighted_masks(answers: Sequence[str], labels: Sequence[str]) -> Weighted:
    """Metrics of masks as a function of the images' weights. Pixels without a label count for nothing.

    - ``miou``: intersection over union of each category, counted over all images (Everingham et al., PASCAL VOC, IJCV
      2015, section 4.1.3), the mean over those that labels show, background among them.
    - ``dice``: ``2 |A and B| / (|A| + |B|)``, likewise, the mean without background.
    - ``boundary_f1``: of the boundaries of each category's mask, those within 0.75 % of the diagonal of the other's
      (Csurka et al., BMVC 2013), counted over all images, the mean without background.
    - ``accuracy``: of pixels.

    Args:
        answers: as `acclimate.domains.masks` writes them; an empty text is no category anywhere.
        labels: likewise.

    Raises:
        DataError: no images, or an answer of another size than its label.
    """
    if not labels:
        raise DataError("no rows to evaluate: metrics need at least one labelled row")
    truth = [from_text(label) for label in labels]
    said = [from_text(answer) if answer else Masks(true.size, {}) for answer, true in zip(answers, truth, strict=True)]
    shown = sorted({name for masks in truth for name in masks.runs})
    objects = [k for k, name in enumerate(shown) if name != BACKGROUND] or list(range(len(shown)))
    counts = np.array([_counts(*pair, shown, objects) for pair in zip(said, truth, strict=True)])

    def weighted(weight: np.ndarray | None) -> dict[str, float]:
        both, ours, theirs, our_near, our_edge, their_near, their_edge = np.average(counts, axis=0, weights=weight)
        here = theirs > 0
        iou = _share(both, ours + theirs - both)
        dice, precision, recall = (
            _share(2 * both, ours + theirs),
            _share(our_near, our_edge),
            _share(their_near, their_edge),
        )
        boundary = _share(2 * precision * recall, precision + recall)
        foreground = [k for k in objects if here[k]] or objects
        return {
            "miou": float(iou[here].mean()) if here.any() else 0.0,
            "dice": float(dice[foreground].mean()),
            "boundary_f1": float(boundary[foreground].mean()),
            "accuracy": float(both.sum() / max(theirs.sum(), 1e-12)),
        }

    return weighted


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _counts(said: Masks, truth: Masks, shown: Sequence[str], objects: Sequence[int]) -> np.ndarray:
    """By category: pixels in both masks, in ours, in the label's; boundary pixels of ours that are near the label's,
    all of ours, and the same of the label's. ``[7, categories]``.
    """
    if said.size != truth.size:
        raise DataError(f"an answer of {said.size} pixels for a mask of {truth.size}")
    right, ours = truth.index(shown), said.index(shown)
    known = right != VOID
    ours = np.where(known, ours, VOID)
    found = np.zeros((7, len(shown)))
    width = max(1.0, TOLERANCE * math.hypot(*truth.size))
    for k in range(len(shown)):
        mine, theirs = ours == k, right == k
        found[:3, k] = (mine & theirs).sum(), mine.sum(), theirs.sum()
        if k in objects and (mine.any() or theirs.any()):
            found[3:, k] = _edges(mine, theirs, known, width)
    return found


def _edges(mine: np.ndarray, theirs: np.ndarray, known: np.ndarray, width: float) -> tuple[int, int, int, int]:
    """Boundary pixels of the first mask within ``width`` of the second's, all of them, and the other way round."""
    from scipy.ndimage import distance_transform_edt

    first, second = boundary(mine) & known, boundary(theirs) & known
    to_first, to_second = (
        distance_transform_edt(~edge) if edge.any() else np.full(edge.shape, math.inf) for edge in (first, second)
    )
    return (
        int((to_second[first] <= width).sum()),
        int(first.sum()),
        int((to_first[second] <= width).sum()),
        int(second.sum()),
    )


def boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask that have a neighbour, left, right, above or below, outside of it; not at the image's border."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
