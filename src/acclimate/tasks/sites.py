"""What a task reads and what an alignment sees: features of rows, of their parts, of places in images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Site:
    """What an alignment sees.

    Attributes:
        values: ``[n, d]`` features of n texts, regions, frames, ...
        owner: ``[n]`` the row of the batch that each belongs to.
        probs: ``[n, classes]`` what the head says of each, or None.
    """

    values: Tensor
    owner: Tensor
    probs: Tensor | None = None


@dataclass(frozen=True)
class Width:
    """How wide a site is.

    Attributes:
        values: columns of its values.
        probs: number of classes, 0 where it has no probabilities.
    """

    values: int
    probs: int = 0


@dataclass(frozen=True)
class Units:
    """Features of the parts of each row, such as its tokens.

    Attributes:
        values: ``[n, t, d]``, padded to the longest row.
        mask: ``[n, t]`` bool: where there is a unit.
        places: ``[n, t, 2]`` int64, the characters from which to which it reaches in the text that the task asks about;
            -1 for units of another text (the question) and for those that stand for no character.
        targets: what is to be written of each row, as `Task.encode` gives it, where a text is learned; else None.
    """

    values: Tensor
    mask: Tensor
    places: Tensor
    targets: Tensor | None = None

    @property
    def pooled(self) -> Tensor:
        """The mean over the units of each row ``[n, d]``."""
        weight = self.mask.unsqueeze(-1).to(self.values.dtype)
        return (self.values * weight).sum(1) / weight.sum(1).clamp(min=1.0)


@dataclass(frozen=True)
class Maps:
    """Features of the places of each image.

    Attributes:
        values: ``[n, d, h, w]`` each, finest first; the first is the image itself, as the network reads it.
        frames: ``[n, 6]``, how each image lies on the canvas (`acclimate.domains.canvas`).
        targets: what is to be found in each image, as `Task.placed` gives it, where a head of the backbone's own learns
            it; else None.
    """

    values: tuple[Tensor, ...]
    frames: Tensor
    targets: Tensor | None = None

    @property
    def pooled(self) -> Tensor:
        """The mean over the places of the coarsest map ``[n, d]``."""
        return self.values[-1].mean(dim=(2, 3))
