"""Objects as points: a head that says at which cells objects have their middle and how far they reach, and its loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.errors import SettingsError
from acclimate.tasks.overlaps import giou
from acclimate.tasks.unet import UNet

STRIDE = 4
"""Pixels of the canvas across a cell: small things that touch still have middles in cells of their own."""
SPREAD = 0.54 / 6
"""Deviation of the bell around a middle, in widths and heights of the box (Liu et al., TTFNet)."""
REACH = 16.0
"""Pixels of the canvas from a cell to each side of its box, before anything is learned."""
RARE = 0.1
"""Probability of an object in a cell, before anything is learned (Zhou et al., CenterNet; Lin et al., RetinaNet)."""
FOCUS, FORGIVE = 2, 4
"""alpha and beta of Zhou et al., eq. 1."""
BOXES = 5.0
"""Weight of the boxes' loss (Liu et al., TTFNet)."""
LARGEST = 6.0
"""Largest logarithm of a distance, so that a bad step cannot overflow."""


class Centers(nn.Module):
    """A U-Net down to cells of 4 x 4 pixels, and two small convolutional heads.

    Args:
        widths: channels of the maps by stride, finest first.
        kinds: of objects.

    Raises:
        SettingsError: no map has cells of this size.
    """

    def __init__(self, widths: Mapping[int, int], kinds: int):
        super().__init__()
        if STRIDE not in widths:
            raise SettingsError(
                f"objects are found in cells of {STRIDE} pixels, and this backbone gives maps of "
                f"{', '.join(map(str, widths))}; take mobilenet_v2, efficientnet_lite0 or another convolutional network"
            )
        self.unet = UNet(widths, finest=STRIDE)
        self.heat, self.reach = (self._branch(self.unet.size, outputs) for outputs in (kinds, 4))
        nn.init.constant_(self.heat[-1].bias, -math.log((1 - RARE) / RARE))  # type: ignore[arg-type]

    @staticmethod
    def _branch(size: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(size, size, 3, padding=1), nn.ReLU(), nn.Conv2d(size, outputs, 1))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the cells ``[n, d, h, w]``, logits that an object of each kind has its middle there
        ``[n, kinds, h, w]``, and the box of that object ``[n, 4, h, w]`` in pixels of the canvas.
        """
        cells = self.unet(maps)
        reach = REACH * self.reach(cells).clamp(max=LARGEST).exp()
        across, down = middles(cells)
        left, top, right, bottom = reach.unbind(1)
        return cells, self.heat(cells), torch.stack([across - left, down - top, across + right, down + bottom], dim=1)


def middles(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Where the middles of cells ``[..., h, w]`` lie on the canvas: x ``[1, w]`` and y ``[h, 1]``."""
    height, width = cells.shape[-2:]
    across, down = ((torch.arange(n, device=cells.device) + 0.5) * STRIDE for n in (width, height))
    return across[None, :], down[:, None]


def bells(boxes: Tensor, like: Tensor) -> Tensor:
    """A bell ``[n, m, h, w]`` around the middle of each box ``[n, m, 4]`` on cells ``like`` ``[..., h, w]``: 1 in the
    cell of the middle, narrow in a direction in which the box is. Liu et al., TTFNet, AAAI 2020, Gaussian kernels.
    """
    across, down = middles(like)
    sides = []
    for places, low, high in ((across.flatten(), 0, 2), (down.flatten(), 1, 3)):
        middle = (boxes[..., low] + boxes[..., high]) / 2
        cell = (middle / STRIDE).floor().clamp(0, len(places) - 1)
        away = (places / STRIDE).floor() - cell[..., None]
        spread = SPREAD * (boxes[..., high] - boxes[..., low]) / STRIDE
        sides.append((-(away**2) / (2 * spread[..., None].clamp(min=1e-3) ** 2)).exp())
    return sides[1][..., :, None] * sides[0][..., None, :]


def heat_loss(logits: Tensor, told: Tensor, counts: Tensor) -> Tensor:
    """The focal loss of a heat map that forgives what is near a middle, ``[n]``: Zhou et al., Objects as Points, 2019,
    eq. 1, over the number of objects (one at least).

    Args:
        logits: ``[n, kinds, h, w]``.
        told: likewise, 1 in middles and falling around them.
        counts: which cells count ``[n, 1, h, w]`` bool.
    """
    sure, other = F.logsigmoid(logits), F.logsigmoid(-logits)
    p, middle = logits.sigmoid(), told == 1
    each = -torch.where(middle, (1 - p) ** FOCUS * sure, (1 - told) ** FORGIVE * p**FOCUS * other)
    return (each * (counts | middle)).sum((1, 2, 3)) / middle.sum((1, 2, 3)).clamp(min=1)


def box_loss(said: Tensor, boxes: Tensor, real: Tensor, hills: Tensor) -> Tensor:
    """``1 - GIoU``, weighted by the bells, the mean over the objects of each image ``[n]``. A cell belongs to the
    object whose bell is highest there, the first of equals. Liu et al., TTFNet, AAAI 2020, size regression, but that
    every object weighs alike.

    Args:
        said: ``[n, 4, h, w]``.
        boxes: ``[n, m, 4]``.
        real: ``[n, m]`` bool, which are objects.
        hills: bells ``[n, m, h, w]``, 0 of those that are none.
    """
    height, owner = hills.max(1)
    flat = owner.flatten(1)
    theirs = boxes.gather(1, flat[..., None].expand(-1, -1, 4))
    lost = 1 - giou(said.flatten(2).mT, theirs)
    mine = hills.new_zeros(hills.shape[:2]).scatter_add(1, flat, height.flatten(1))
    weight = height.flatten(1) / mine.gather(1, flat).clamp(min=1e-6)
    return (weight * lost).sum(1) / real.sum(1).clamp(min=1)


def detection_loss(logits: Tensor, said: Tensor, targets: Tensor) -> Tensor:
    """`heat_loss` plus 5 times `box_loss` of each image ``[n]``.

    Args:
        logits: ``[n, kinds, h, w]``.
        said: boxes ``[n, 4, h, w]`` in pixels of the canvas.
        targets: ``[n, m, 5]``, kind (-1: none) and box of each object, smaller ones first; of a box of no kind, cells
            within count for nothing.
    """
    kinds, boxes = targets[..., 0], targets[..., 1:]
    real = kinds >= 0
    hills = bells(boxes, logits) * real[..., None, None]
    each = [(hills * (kinds == k)[..., None, None]).amax(1) for k in range(logits.shape[1])]
    across, down = middles(logits)
    x1, y1, x2, y2 = boxes[..., None, None].unbind(2)
    within = (across > x1) & (across < x2) & (down > y1) & (down < y2) & ~real[..., None, None]
    heat = heat_loss(logits, torch.stack(each, dim=1), ~within.any(1, keepdim=True))
    return heat + BOXES * box_loss(said, boxes, real, hills)


def peaks(logits: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The cells that are no lower than their eight neighbours: logits of the highest ``[n, k]``, best first, and their
    places in ``[kinds * h * w]``; cells that are no peak follow with minus infinity.
    """
    top = F.max_pool2d(logits, 3, stride=1, padding=1)
    flat = torch.where(logits == top, logits, -math.inf).flatten(1)
    return flat.topk(min(most, flat.shape[1]))
