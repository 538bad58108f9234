"""Masks as text: COCO's compressed run-length encoding of each category, as JSON.

``{"size": [height, width], "masks": {"background": "...", "vessels": "..."}}``; a pixel in no mask is not labelled.
The text of a mask is what pycocotools calls ``counts``: runs in column order, of zeros first, each after the third less
the one two before it, in groups of five bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acclimate.errors import DataError

VOID = 255
"""In an index map: not labelled."""
_MOST = 7
"""Groups of five bits that a number has at most."""


@dataclass(frozen=True)
class Masks:
    """The masks of an image.

    Attributes:
        size: height and width in pixels.
        runs: compressed run lengths by category.
    """

    size: tuple[int, int]
    runs: Mapping[str, str]

    def index(self, categories: Sequence[str], other: int = VOID) -> np.ndarray:
        """``[height, width]`` uint8, the place of each pixel's category among those given; `VOID` without a label,
        ``other`` for a category that is not among them.
        """
        places = {name: k for k, name in enumerate(categories)}
        found = np.full(self.size, VOID, dtype=np.uint8)
        for name, text in self.runs.items():
            found[decoded(text, self.size)] = places.get(name, other)
        return found


def to_text(index: np.ndarray, categories: Sequence[str]) -> str:
    """An index map ``[height, width]`` as the JSON of a label; `VOID` is left out, categories without a pixel too."""
    masks = {categories[value]: text for value, text in runs(index).items() if value < len(categories)}
    return json.dumps({"size": list(index.shape), "masks": masks}, ensure_ascii=False)


def from_text(label: str) -> Masks:
    """The masks of a label.

    Raises:
        DataError: not such JSON.
    """
    try:
        found = json.loads(label)
        height, width = (int(n) for n in found["size"])
        return Masks((height, width), {str(name): str(text) for name, text in found["masks"].items()})
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(
            f"not masks as text: {label[:60]!r}; expected "
            '{"size": [height, width], "masks": {"NAME": "run lengths"}}'
        ) from None


def runs(values: np.ndarray) -> dict[int, str]:
    """The mask of each value of a map ``[height, width]`` as compressed run lengths."""
    flat = values.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    found = {}
    for value in np.unique(flat[starts[:-1]]):
        own = np.flatnonzero(flat[starts[:-1]] == value)
        # Where runs of ones begin and end, from zero on; what is left behind the last one is a run of zeros.
        borders = np.stack([starts[own], starts[own + 1]], axis=1).ravel()
        counts = np.diff(borders, prepend=0)
        found[int(value)] = _packed(counts if borders[-1] == flat.size else [*counts, flat.size - borders[-1]])
    return found


def encoded(mask: np.ndarray) -> str:
    """A mask ``[height, width]`` bool as compressed run lengths."""
    return runs(mask).get(1) or _packed([mask.size])


def decoded(text: str, size: tuple[int, int]) -> np.ndarray:
    """The mask ``[height, width]`` bool of compressed run lengths.

    Raises:
        DataError: other characters, or runs that do not fill the image.
    """
    counts = _unpacked(text)
    counts[1::2], counts[2::2] = np.cumsum(counts[1::2]), np.cumsum(counts[2::2])
    if (counts < 0).any() or counts.sum() != size[0] * size[1]:
        raise DataError(f"a mask of {int(counts.sum())} pixels for an image of {size[0]} x {size[1]}")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(size, order="F")


def _packed(counts: Sequence[int] | np.ndarray) -> str:
    """Run lengths in groups of five bits, the lowest first, the sixth bit saying that more follow."""
    left = np.array(counts, dtype=np.int64)
    left[3:] -= np.asarray(counts[1:-2], dtype=np.int64)
    groups, live = [], np.ones(len(left), dtype=bool)
    for _ in range(_MOST):
        bits = left & 31
        left = left >> 5
        more = live & ~(((left == 0) & (bits & 16 == 0)) | ((left == -1) & (bits & 16 != 0)))
        groups.append(np.where(live, bits + 32 * more + 48, 0))
        live = more
        if not live.any():
            break
    flat = np.stack(groups, axis=1).ravel()
    return flat[flat > 0].astype(np.uint8).tobytes().decode("ascii")


def _unpacked(text: str) -> np.ndarray:
    """The numbers of `_packed`, of which those after the third are differences."""
    codes = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64) - 48
    if not len(codes) or (codes < 0).any() or (codes > 63).any() or codes[-1] & 32:
        raise DataError(f"not run lengths of a mask: {text[:40]!r}")
    last = codes & 32 == 0
    owner = np.concatenate([[0], np.cumsum(last)[:-1]])
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    place = np.arange(len(codes)) - starts[owner]
    values = np.bincount(owner, ((codes & 31) << (5 * place)).astype(np.float64)).astype(np.int64)
    negative = codes[last] & 16 != 0
    values[negative] -= 1 << (5 * (place[last][negative] + 1))
    return values
