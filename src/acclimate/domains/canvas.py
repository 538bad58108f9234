"""How an image of any size lies on a square canvas, and the way back to its own pixels."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

AREA = (0.4, 1.0)
"""Share of the image's area that a random part keeps."""
FIELDS = ("left", "top", "step", "flip", "height", "width")
"""Of a frame: the image's pixel at the canvas' corner, how many of them a pixel of the canvas spans, whether left and
right are exchanged on the canvas, and the image's size."""


def frame_of(size: tuple[int, int], side: int, *, part: np.ndarray | None = None, flip: bool = False) -> np.ndarray:
    """The frame ``[6]`` float32 (see `FIELDS`) that shows an image whole, its proportions kept, at the upper left.

    Args:
        size: height and width of the image in pixels.
        side: of the canvas.
        part: three numbers in 0..1: share of the area, and place of the part in what is left; None: the whole image.
        flip: exchange left and right.
    """
    height, width = size
    kept = 1.0 if part is None else math.sqrt(AREA[0] + float(part[0]) * (AREA[1] - AREA[0]))
    left, top = (0.0, 0.0) if part is None else ((1 - kept) * part[1] * width, (1 - kept) * part[2] * height)
    return np.array([left, top, kept * max(size) / side, flip, height, width], dtype=np.float32)


def laid(image: Image.Image, frame: np.ndarray, side: int, fill: int = 0) -> np.ndarray:
    """The canvas ``[side, side]`` or ``[side, side, 3]`` uint8 of a frame of an image, bilinear, antialiased."""
    left, top, step, flip, height, width = (float(value) for value in frame)
    right, bottom = min(left + step * side, width), min(top + step * side, height)
    wide, high = (max(1, min(side, round(extent / step))) for extent in (right - left, bottom - top))
    small = image.resize((wide, high), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    canvas = Image.new(image.mode, (side, side), fill if image.mode == "L" else (fill, fill, fill))
    canvas.paste(small, (0, 0))
    pixels = np.asarray(canvas)
    return pixels[:, ::-1] if flip else pixels


def onto(mask: np.ndarray, frame: np.ndarray, side: int, outside: int) -> np.ndarray:
    """A mask ``[height, width]`` of the image's pixels as the canvas shows it ``[side, side]``, the nearest each."""
    left, top, step, flip, height, width = (float(value) for value in frame)
    middles = (np.arange(side) + 0.5) * step
    rows, columns = np.floor(top + middles).astype(int), np.floor(left + middles).astype(int)
    inside = (rows < height)[:, None] & (columns < width)
    found = mask[np.minimum(rows, int(height) - 1)[:, None], np.minimum(columns, int(width) - 1)]
    found = np.where(inside, found, np.asarray(outside, mask.dtype))
    return found[:, ::-1] if flip else found


def back(values: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Values ``[side, side]`` of the canvas for each pixel of the image ``[height, width]``, the nearest each."""
    left, top, step, flip, height, width = (float(value) for value in frame)
    side = len(values)
    rows, columns = (
        np.clip(np.floor((np.arange(int(n)) + 0.5 - first) / step), 0, side - 1).astype(int)
        for n, first in ((height, top), (width, left))
    )
    return values[rows[:, None], side - 1 - columns if flip else columns]


def boxes_onto(boxes: np.ndarray, frame: np.ndarray, side: int) -> np.ndarray:
    """Boxes ``[n, 4]`` (x1, y1, x2, y2) of the image in pixels of the canvas, not cut off at its border."""
    left, top, step, flip = (float(value) for value in frame[:4])
    moved = (boxes - np.array([left, top, left, top])) / step
    return np.stack([side - moved[:, 2], moved[:, 1], side - moved[:, 0], moved[:, 3]], axis=1) if flip else moved


def boxes_back(boxes: np.ndarray, frame: np.ndarray, side: int) -> np.ndarray:
    """Boxes ``[n, 4]`` of the canvas in pixels of the image, cut off at its border."""
    left, top, step, flip, height, width = (float(value) for value in frame)
    if flip:
        boxes = np.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], axis=1)
    moved = boxes * step + np.array([left, top, left, top])
    return np.clip(moved, 0, np.array([width, height, width, height]))
