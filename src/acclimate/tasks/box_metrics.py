"""Average precision of boxes, with a weight per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from acclimate.domains.boxes import with_scores
from acclimate.errors import DataError, MissingAssetError
from acclimate.tasks.metrics import Weighted

MOST = 100
"""Boxes of an image and a kind that count, the surest (COCO)."""
EVERYWHERE = [[0.0, 1e10]]
"""Areas of objects that count: all."""


def weighted_boxes(answers: Sequence[str], labels: Sequence[str]) -> Weighted:
    """Average precision of boxes as a function of the images' weights, which are whole numbers: how often each counts.

    - ``ap50``: of each kind of object that labels show, the mean of the precision at 101 recalls, where a box is right
      if it overlaps a labelled one of its kind by half (intersection over union), which no surer box has taken; the
      mean over kinds (Everingham et al., PASCAL VOC, IJCV 2010; Lin et al., COCO, ECCV 2014).
    - ``map``: the mean of that over overlaps of 0.5, 0.55, ... 0.95, what COCO calls AP.

    Both by faster-coco-eval, which gives pycocotools' numbers. 0 where labels show no object.

    Args:
        answers: as `acclimate.domains.boxes` writes them, with scores; an empty text is no box.
        labels: likewise, without.

    Raises:
        DataError: no images.
        MissingAssetError: faster-coco-eval is not installed.
    """
    if not labels:
        raise DataError("no rows to evaluate: metrics need at least one labelled row")
    evaluator = _matched([answer or "[]" for answer in answers], labels)
    kinds, images = len(evaluator.params.catIds), len(labels)
    matches = np.array([None, *evaluator._evalImgs_cpp], dtype=object)[1:].reshape(kinds, images)

    def weighted(weight: np.ndarray | None) -> dict[str, float]:
        times = np.ones(images, dtype=int) if weight is None else np.asarray(weight).astype(int)
        drawn = np.repeat(np.arange(images), times)
        # It has no weights: an image that counts twice is there twice. Matching is done once, summing up each time.
        evaluator._paramsEval.imgIds, evaluator._evalImgs_cpp = drawn.tolist(), matches[:, drawn].ravel().tolist()
        evaluator.accumulate()
        found = evaluator.eval
        precision = np.array(found["precision"]).reshape(found["counts"])[:, :, :, 0, 0]  # overlaps, recalls, kinds
        known = precision[0, 0] > -1  # kinds that these images show
        if not known.any():
            return {"ap50": 0.0, "map": 0.0}
        return {"ap50": float(precision[0][:, known].mean()), "map": float(precision[:, :, known].mean())}

    return weighted


def _matched(answers: Sequence[str], labels: Sequence[str]) -> Any:
    """The evaluator, which has matched the boxes of each image and kind to labelled ones."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise MissingAssetError("boxes are scored by the extra 'vision': pip install 'acclimate[vision]'") from None
    truth = [with_scores(label) for label in labels]
    kinds = {name: k + 1 for k, name in enumerate(sorted({name for names, *_ in truth for name in names}))}
    known = COCO(
        {
            "images": [{"id": k + 1} for k in range(len(labels))],
            "categories": [{"id": k, "name": name} for name, k in kinds.items()] or [{"id": 1, "name": ""}],
            "annotations": _rows(truth, kinds),
        }
    )
    said = _rows([with_scores(answer) for answer in answers], kinds)
    evaluator = COCOeval_faster(known, known.loadRes(said), iouType="bbox", separate_eval=True)
    evaluator.params.areaRng, evaluator.params.areaRngLbl, evaluator.params.maxDets = EVERYWHERE, ["all"], [MOST]
    evaluator.evaluate()
    return evaluator


def _rows(images: Sequence[tuple[list[str], np.ndarray, np.ndarray]], kinds: dict[str, int]) -> list[dict[str, Any]]:
    """COCO's rows of boxes whose kind is known."""
    rows: list[dict[str, Any]] = []
    for image, (names, boxes, scores) in enumerate(images):
        for name, (x1, y1, x2, y2), score in zip(names, boxes.tolist(), scores.tolist(), strict=True):
            if name in kinds:
                box = [x1, y1, x2 - x1, y2 - y1]
                row = {"id": len(rows) + 1, "image_id": image + 1, "category_id": kinds[name], "bbox": box}
                rows.append({**row, "area": box[2] * box[3], "iscrowd": 0, "score": score})
    return rows
