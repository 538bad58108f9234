"""Plain boxes: those that are usual, and whatever stands out in brightness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from acclimate.domains.boxes import from_text, to_text
from acclimate.domains.domain import Domain, Rows
from acclimate.tasks.thresholds import LOOKED_AT, grey, otsu_threshold

SMALLEST = 1e-3
"""Share of the image below which what stands out is a speck."""


@dataclass(frozen=True)
class Usual:
    """What plain baselines know of the source.

    Attributes:
        kinds: of objects, the commonest first.
        shares: of the images that show one of this kind, likewise.
        boxes: the mean box of each kind, in shares of the image's width and height.
        dark: whether objects are darker than what is around them.
    """

    kinds: tuple[str, ...]
    shares: tuple[float, ...]
    boxes: tuple[tuple[float, ...], ...]
    dark: bool

    @classmethod
    def of(cls, domain: Domain) -> Self:
        """From the first labelled images, in an order that depends on content alone."""
        assert domain.labels is not None
        found: dict[str, list[np.ndarray]] = {}
        shown: dict[str, int] = {}
        contrast = 0.0
        chosen = domain.order[:LOOKED_AT]
        for label, image in zip(domain.labels[chosen], domain.rows.take(chosen), strict=True):
            names, boxes = from_text(label)
            shade = grey(image)
            height, width = shade.shape
            for name, box in zip(names, boxes, strict=True):
                found.setdefault(name, []).append(box / [width, height, width, height])
                left, top, right, bottom = (int(value) for value in box)
                contrast += float(shade[top : bottom + 1, left : right + 1].mean() - shade.mean())
            for name in set(names):
                shown[name] = shown.get(name, 0) + 1
        kinds = sorted(found, key=lambda name: (-len(found[name]), name))
        means = tuple(tuple(np.mean(found[name], axis=0).tolist()) for name in kinds)
        return cls(tuple(kinds), tuple(shown[name] / len(chosen) for name in kinds), means, contrast < 0)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """That which gave this `config`."""
        return cls(tuple(config["kinds"]), tuple(config["shares"]), tuple(map(tuple, config["boxes"])), config["dark"])

    def config(self) -> dict[str, Any]:
        """JSON that makes it again."""
        return asdict(self)


def average(rows: Rows, usual: Usual) -> Iterator[str]:
    """The mean box of each kind in every image, as sure as it is common."""
    for image in _each(rows):
        height, width = image.shape[:2]
        boxes = [
            (kind, [x1 * width, y1 * height, x2 * width, y2 * height])
            for kind, (x1, y1, x2, y2) in zip(usual.kinds, usual.boxes, strict=True)
        ]
        yield to_text(boxes, usual.shares)


def blobs(rows: Rows, usual: Usual) -> Iterator[str]:
    """What hangs together on the objects' side of Otsu's threshold, each taken for the commonest kind, larger ones
    surer.
    """
    from scipy.ndimage import find_objects, label

    for image in _each(rows):
        shade = grey(image)
        bright = shade > otsu_threshold(shade)
        parts, _ = label(~bright if usual.dark else bright)
        sizes = np.bincount(parts.ravel())[1:] / shade.size
        boxes = [[across.start, down.start, across.stop, down.stop] for down, across in find_objects(parts)]
        kept = [k for k in np.argsort(-sizes, kind="stable") if sizes[k] >= SMALLEST]
        yield to_text([(usual.kinds[0], boxes[k]) for k in kept], sizes[kept].tolist())


def _each(rows: Rows) -> Iterator[np.ndarray]:
    return (np.asarray(rows.take(np.array([row]))[0]) for row in range(len(rows)))
