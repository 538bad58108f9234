from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.tasks.overlaps import giou, iou, suppress


def test_overlaps_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [20, 0, 30, 10], [5, 5, 5, 9]], dtype=float)
    found = iou(boxes, boxes[:2])
    assert found.tolist() == [[1, 0.5], [0.5, 1], [0, 0], [0, 0]]
    assert iou(boxes[3:], boxes[3:]).tolist() == [[0]]


def test_generalised_overlaps_by_hand():
    first = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 1, 1]])
    second = torch.tensor([[1.0, 0, 3, 2], [2, 0, 3, 1], [0, 0, 1, 1]])
    assert giou(first, second).tolist() == pytest.approx([1 / 3, -1 / 3, 1])  # 2 of 6; nothing, a third of 3 bare


def test_what_a_surer_box_of_its_kind_covers_goes():
    boxes = np.array([[0, 0, 10, 5], [0, 0, 10, 9], [0, 0, 10, 10], [0, 0, 10, 10]], dtype=float)
    scores, kinds = np.array([0.7, 0.8, 0.9, 0.6]), np.array([0, 0, 0, 1])
    assert suppress(boxes, scores, kinds, 0.6).tolist() == [2, 0, 3]
    assert suppress(boxes, scores, kinds, 0.4).tolist() == [2, 3]
    assert suppress(boxes[:0], scores[:0], kinds[:0], 0.5).tolist() == []


def test_what_has_gone_sends_nothing_away():
    chain = np.array([[0, 0, 10, 10], [0, 3, 10, 13], [0, 6, 10, 16]], dtype=float)  # neighbours overlap by 7 / 13
    assert suppress(chain, np.array([0.9, 0.8, 0.7]), np.zeros(3), 0.5).tolist() == [0, 2]
