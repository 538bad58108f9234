from __future__ import annotations

import math

import pytest
import torch

from acclimate.errors import SettingsError
from acclimate.tasks.centers import Centers, bells, box_loss, detection_loss, heat_loss, peaks


def test_bells_by_hand():
    hills = bells(torch.tensor([[[0.0, 0, 16, 8]]]), torch.zeros(1, 1, 4, 4))[0, 0]
    beside, below = (math.exp(-1 / (2 * spread**2)) for spread in (0.09 * 16 / 4, 0.09 * 8 / 4))
    assert hills[1, 2] == 1  # the middle (8, 4) lies in the third cell of the second row
    assert hills[1, [1, 3]].tolist() == pytest.approx([beside, beside])
    assert hills[0, 2].item() == pytest.approx(below) and hills[0, 1].item() == pytest.approx(below * beside)


def test_the_loss_of_heat_by_hand():
    logits, every = torch.zeros(3, 1, 1, 2), torch.ones(3, 1, 1, 2, dtype=torch.bool)
    told = torch.tensor([[1, 0.5], [0, 0], [0, 0]])[:, None, None]
    every[2] = False
    found = heat_loss(logits, told, every).tolist()
    assert found == pytest.approx([(0.25 + 0.5**4 * 0.25) * math.log(2), 0.5 * math.log(2), 0])


def test_every_object_weighs_alike_in_the_loss_of_boxes():
    boxes = torch.tensor([[[0.0, 0, 4, 4], [8, 0, 16, 8]]])
    hills = bells(boxes, torch.zeros(1, 1, 4, 4))
    said = torch.zeros(1, 4, 4, 4)
    said[0, :, :, :2] = torch.tensor([2.0, 0, 6, 4])[:, None, None]  # a third of the first one and of itself
    said[0, :, :, 2:] = boxes[0, 1][:, None, None]
    real = torch.tensor([[True, True]])
    assert box_loss(said, boxes, real, hills).item() == pytest.approx((2 / 3 + 0) / 2, abs=1e-3)
    none = torch.tensor([[False, False]])
    assert box_loss(said, boxes, none, hills * 0).item() == 0


def test_a_cell_shared_by_two_middles_is_the_smaller_one_s():
    boxes = torch.tensor([[[6.0, 6, 10, 10], [0, 0, 16, 16]]])  # smaller ones come first
    hills, real = bells(boxes, torch.zeros(1, 1, 4, 4)), torch.ones(1, 2, dtype=torch.bool)
    said = boxes[0, 1][None, :, None, None].repeat(1, 1, 4, 4)
    assert box_loss(said, boxes, real, hills).item() == pytest.approx((1 - 16 / 256) / 2)
    said[0, :, 2, 2] = boxes[0, 0]
    assert box_loss(said, boxes, real, hills).item() == 0


def test_what_is_not_known_teaches_no_heat():
    said = torch.zeros(1, 4, 4, 4)
    lit = torch.full((1, 1, 4, 4), -20.0)
    lit[0, 0, :2, :2] = 20.0
    unknown = torch.tensor([[[-1.0, 0, 0, 8, 8]]])
    background = torch.tensor([[[-1.0, 0, 0, 0, 0]]])
    assert detection_loss(lit, said, unknown).item() == pytest.approx(0, abs=1e-6)
    assert detection_loss(lit, said, background).item() == pytest.approx(4 * 20, rel=1e-3)


def test_peaks_are_cells_no_lower_than_their_neighbours():
    logits = torch.tensor([[[[5.0, 1, 1, 1], [1, 1, 1, 4], [1, 2, 1, 3], [1, 1, 1, 1]]]])
    best, at = peaks(logits, 3)
    assert best[0].tolist() == [5, 4, 2] and at[0].tolist() == [0, 7, 9]
    alone, _ = peaks(logits[..., :2, :2], 3)
    assert alone[0].tolist() == [5, -math.inf, -math.inf]


def test_boxes_reach_from_the_middles_of_their_cells():
    head = Centers({1: 3, 4: 8}, 2)
    with torch.no_grad():
        head.reach[-1].weight.zero_()
        head.reach[-1].bias.copy_(torch.tensor([0.5, 1, 2, 4]).log())
        _, heat, boxes = head([torch.zeros(1, 3, 16, 16), torch.zeros(1, 8, 4, 4)])
    assert heat.shape == (1, 2, 4, 4)
    assert boxes[0, :, 0, 1].tolist() == pytest.approx([6 - 8, 2 - 16, 6 + 32, 2 + 64])
    with pytest.raises(SettingsError, match="gives maps of 1, 8, 16"):
        Centers({1: 3, 8: 4, 16: 4}, 1)
