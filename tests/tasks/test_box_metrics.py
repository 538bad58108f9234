from __future__ import annotations

import numpy as np
import pytest

from acclimate.domains.boxes import to_text
from acclimate.errors import DataError

pytest.importorskip("faster_coco_eval")
from acclimate.tasks.box_metrics import weighted_boxes

A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]


def truth(*boxes, kind="cell"):
    return to_text([(kind, box) for box in boxes])


def said(*pairs, kind="cell"):
    return to_text([(kind, box) for box, _ in pairs], [score for _, score in pairs])


LABELS = [truth(A, B), truth(C)]
ANSWERS = [said((A, 0.9), ([50, 50, 60, 60], 0.8), ([20, 0, 30, 8.2], 0.7)), ""]


def test_average_precision_by_hand():
    """A right, a wrong and a right box of three objects: precision 1 up to recall 1/3, 2/3 up to 2/3, then nothing."""
    found = weighted_boxes(ANSWERS, LABELS)(None)
    half = (34 + 33 * 2 / 3) / 101  # 34 of the 101 recalls reach 1/3, 33 more 2/3
    assert found["ap50"] == pytest.approx(half)
    assert found["map"] == pytest.approx((7 * half + 3 * 34 / 101) / 10)  # the third box overlaps by 0.82


def test_a_weight_is_how_often_an_image_counts():
    score = weighted_boxes(ANSWERS, LABELS)
    assert score(np.array([1.0, 2.0]))["ap50"] == pytest.approx((26 + 25 * 2 / 3) / 101)  # of four objects
    alone = (51 + 50 * 2 / 3) / 101
    assert score(np.array([1.0, 0.0]))["ap50"] == pytest.approx(alone)
    assert score(np.array([2.0, 0.0]))["ap50"] == pytest.approx(alone)
    assert score(np.array([0.0, 3.0])) == {"ap50": 0, "map": 0}
    assert score(None)["ap50"] == weighted_boxes(ANSWERS, LABELS)(np.ones(2))["ap50"]


def test_replicates_are_what_faster_coco_eval_says_of_repeated_images():
    rng = np.random.default_rng(0)
    labels, answers = [], []
    for _ in range(8):
        corners = rng.uniform(0, 80, (5, 2))
        boxes = np.hstack([corners, corners + rng.uniform(8, 20, (5, 2))])
        kinds = rng.choice(["a", "b"], 5)
        labels.append(to_text(zip(kinds, boxes, strict=True)))
        moved = boxes + rng.normal(0, 2, boxes.shape)
        answers.append(to_text(zip(kinds, moved, strict=True), rng.random(5)))
    weight = np.array([0, 1, 2, 0, 3, 1, 1, 0])
    drawn = np.repeat(np.arange(8), weight)
    repeated = weighted_boxes([answers[k] for k in drawn], [labels[k] for k in drawn])(None)
    found = weighted_boxes(answers, labels)(weight)
    assert found == pytest.approx(repeated) and 0.1 < found["map"] < found["ap50"] < 1


def test_kinds_count_alike_and_strangers_count_for_nothing():
    labels = [to_text([("cell", A), ("star", B)])]
    both = to_text([("cell", A), ("moon", B)], [0.9, 0.9])
    assert weighted_boxes([both], labels)(None) == {"ap50": 0.5, "map": 0.5}


def test_an_object_is_found_once():
    found = weighted_boxes([said((A, 0.9), (A, 0.8), (B, 0.7))], [truth(A, B)])(None)
    assert found["ap50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_nothing_to_find():
    assert weighted_boxes([said((A, 0.9))], ["[]"])(None) == {"ap50": 0, "map": 0}
    assert weighted_boxes(["[]"], [truth(A)])(None) == {"ap50": 0, "map": 0}
    with pytest.raises(DataError, match="no rows to evaluate"):
        weighted_boxes([], [])
