"""Masks and boxes as a page can show them: drawn on small pictures, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from acclimate.domains import boxes, masks
from acclimate.domains.domain import Domain, Shapes
from acclimate.domains.rows import name_of
from acclimate.runs.report.shown import jpeg, small
from acclimate.tasks.detect import SAID
from acclimate.tasks.overlaps import iou

SIDE = 220
"""Longest side of a picture, in pixels."""
COVER = 0.55
"""How much of a pixel is its category's colour."""
COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)
)  # fmt: skip
"""Told apart by the colour-blind: Okabe & Ito, Color Universal Design, 2008."""
TOGETHER = 0.5
"""Intersection over union from which two boxes are the same."""


def apart(before: np.ndarray, after: np.ndarray, shapes: Shapes) -> np.ndarray:
    """How much two answers to each image differ ``[n]``: the share of pixels, or of boxes without a counterpart."""
    measure = _pixels_apart if shapes == "masks" else _boxes_apart
    return np.array([0.0 if one == other else measure(one, other) for one, other in zip(before, after, strict=True)])


def draw(
    domain: Domain, row: int, answers: Mapping[str, str], categories: Sequence[str], shapes: Shapes
) -> dict[str, Any]:
    """An image with each of the answers drawn on it.

    Args:
        domain: images.
        row: which one.
        answers: labels as text, by a name of `words`: before, after, truth.
        categories: of pixels or of objects; their order gives the colours.
        shapes: masks or boxes.
    """
    pixels = np.asarray(domain.rows.take(np.array([row]))[0])
    picture = Image.fromarray(np.ascontiguousarray(pixels.squeeze())).convert("RGB")
    paint = _painted if shapes == "masks" else _boxed
    drawn = [{"name": name, **jpeg(paint(picture, label, categories))} for name, label in answers.items()]
    return {
        "file": name_of(domain.rows, row),
        "kind": "pictures",
        "of": [picture.width, picture.height],
        "pictures": drawn,
    }


def told(label: str, shapes: Shapes) -> str:
    """A label in words: shares of pixels, or how many objects of each kind are held to be there."""
    if shapes == "boxes":
        count = Counter(objects(label)[0])
        return ", ".join(f"{n} {name}" for name, n in count.most_common()) or "0"
    found = masks.from_text(label)
    shares = {name: float(masks.decoded(runs, found.size).mean()) for name, runs in found.runs.items()}
    return ", ".join(f"{name} {share:.1%}" for name, share in sorted(shares.items(), key=lambda each: -each[1]))


def _pixels_apart(before: str, after: str) -> float:
    first, second = masks.from_text(before), masks.from_text(after)
    names = sorted({*first.runs, *second.runs})
    return float((first.index(names) != second.index(names)).mean())


def _boxes_apart(before: str, after: str) -> float:
    (names, first), (others, second) = objects(before), objects(after)
    if not len(first) or not len(second):
        return float(len(first) + len(second) > 0)
    same = (iou(first, second) >= TOGETHER) & (np.array(names)[:, None] == np.array(others)[None])
    return 1 - float(same.any(axis=1).sum() + same.any(axis=0).sum()) / (len(first) + len(second))


def _painted(picture: Image.Image, label: str, categories: Sequence[str]) -> Image.Image:
    """Pixels in their category's colour; the first category, which is the ground in most legends, stays as it is."""
    index = masks.from_text(label).index(categories)
    pixels = np.asarray(picture.resize(index.shape[::-1]), dtype=np.float64)
    for k, _ in enumerate(categories[1:], 1):
        here = index == k
        pixels[here] = (1 - COVER) * pixels[here] + COVER * np.array(_colour(k))
    return small(Image.fromarray(pixels.astype(np.uint8)), SIDE)


def _boxed(picture: Image.Image, label: str, categories: Sequence[str]) -> Image.Image:
    names, corners = objects(label)
    drawn = small(picture, SIDE)
    scale, pen = drawn.width / picture.width, ImageDraw.Draw(drawn)
    places = {name: k for k, name in enumerate(categories)}
    for name, box in zip(names, corners, strict=True):
        left, top, right, bottom = (float(n) * scale for n in box)
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=_colour(places.get(name, 0)), width=2)
    return drawn


def objects(label: str) -> tuple[list[str], np.ndarray]:
    """What objects are, and where ``[n, 4]``: of an answer those that it is sure enough of."""
    names, corners, scores = boxes.with_scores(label)
    kept = np.flatnonzero(scores >= SAID)
    return [names[k] for k in kept], corners[kept]


def _colour(place: int) -> tuple[int, int, int]:
    return COLOURS[place % len(COLOURS)]
