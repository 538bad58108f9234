"""Which places of a canvas show the image."""

from __future__ import annotations

from torch import Tensor, where


def inside(frames: Tensor, places: Tensor, side: int) -> Tensor:
    """Which places show their image ``[n, k, k]`` bool, row by row.

    Args:
        frames: ``[n, 6]`` (`acclimate.domains.canvas`).
        places: ``[k]``, in pixels of the canvas in both directions.
        side: of the canvas.
    """
    left, top, step, flip, height, width = frames.unbind(1)
    columns = where(flip[:, None] > 0, side - places, places)
    down = top[:, None] + places * step[:, None] < height[:, None]
    across = left[:, None] + columns * step[:, None] < width[:, None]
    return down[:, :, None] & across[:, None, :]
