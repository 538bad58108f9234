"""Plain masks: the commonest category, and Otsu's threshold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.masks import VOID, from_text, to_text

LOOKED_AT = 32
"""Images that the source's commonest category and brightnesses are taken from."""


@dataclass(frozen=True)
class Look:
    """What plain baselines know of the source.

    Attributes:
        commonest: the category of most pixels.
        dark: of two categories the darker one on average, else empty.
        bright: the other one.
    """

    commonest: str
    dark: str = ""
    bright: str = ""

    @classmethod
    def of(cls, domain: Domain, categories: Sequence[str]) -> Look:
        """From the first labelled images, in an order that depends on content alone."""
        assert domain.labels is not None
        chosen = domain.order[:LOOKED_AT]
        counts, light = np.zeros(len(categories)), np.zeros(len(categories))
        for label, image in zip(domain.labels[chosen], domain.rows.take(chosen), strict=True):
            masks, shade = from_text(label), grey(image)
            if masks.size != shade.shape:
                continue  # is refused where it is learned
            index = masks.index(categories)
            known = index != VOID
            counts += np.bincount(index[known], minlength=len(categories))
            light += np.bincount(index[known], shade[known], len(categories))
        commonest = categories[int(counts.argmax())]
        if len(categories) != 2:
            return cls(commonest)
        darker = int((light / np.maximum(counts, 1)).argmin())
        return cls(commonest, categories[darker], categories[1 - darker])

    def config(self) -> dict[str, Any]:
        """JSON that makes it again."""
        return asdict(self)


def majority(rows: Rows, look: Look) -> Iterator[str]:
    """The commonest category everywhere."""
    for image in _each(rows):
        yield to_text(np.zeros(image.shape[:2], dtype=np.uint8), [look.commonest])


def otsu(rows: Rows, look: Look) -> Iterator[str]:
    """Of two categories, the darker one below Otsu's threshold of each image, the brighter one above it."""
    for image in _each(rows):
        shade = grey(image)
        yield to_text((shade > otsu_threshold(shade)).astype(np.uint8), [look.dark, look.bright])


def otsu_threshold(shade: np.ndarray) -> float:
    """The value up to which pixels are dark: it parts them into the two sides whose variance between them is largest.

    Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE SMC 1979, eq. 14.
    """
    counts = np.bincount(shade.ravel().astype(np.uint8), minlength=256) / shade.size
    below, moment = counts.cumsum(), (counts * np.arange(256)).cumsum()
    spread = np.divide(
        (moment[-1] * below - moment) ** 2, below * (1 - below), out=np.zeros(256), where=(below > 0) & (below < 1)
    )
    return float(spread.argmax())


def grey(image: np.ndarray) -> np.ndarray:
    """Brightness ``[height, width]``, 0 to 255, of an image."""
    array = np.asarray(image, dtype=np.float64)
    return array if array.ndim == 2 else array[..., : min(array.shape[2], 3)].mean(-1)


def _each(rows: Rows) -> Iterator[np.ndarray]:
    return (np.asarray(rows.take(np.array([row]))[0]) for row in range(len(rows)))
