"""Masks as PNG files, in the values of the masks that a model was taught."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from acclimate import files
from acclimate.domains.layouts import mask_name
from acclimate.domains.legends import FILE, Legend, text_of
from acclimate.domains.masks import from_text
from acclimate.errors import DataError, SettingsError

COLOURED = 256
"""Values from here on are colours."""


class MaskWriter:
    """Writes a mask for each image, named as `acclimate.domains.layouts` finds it again, and `FILE`, which says what
    its values mean. The folder takes its name when the block ends well; otherwise nothing is left.

    Args:
        folder: must be absent or empty.
        legend: the value of each category; of several values the lowest. Colours make RGB, numbers grey.

    Example:
        with MaskWriter("masks", {0: "background", 255: "vessels"}) as out:
            out.write("images/1.jpg", label)  # masks/1.png

    Raises:
        SettingsError: the folder holds something.
        DataError: two images whose masks would have one name.
    """

    def __init__(self, folder: str | Path, legend: Legend):
        self.folder = Path(folder)
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise SettingsError(f"{folder} holds something already; name a new folder for the masks")
        self._values: dict[str, int] = {}
        for value, name in sorted(legend.items()):
            if name is not None:
                self._values.setdefault(name, value)
        self._written: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> MaskWriter:
        self._part = self._stack.enter_context(files.writing(self.folder))
        self._part.mkdir()
        known = {text_of(value): name for name, value in self._values.items()}
        (self._part / FILE).write_text(json.dumps(known, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, image: str, label: str) -> None:
        """The mask of an image, which is named by its path or its row."""
        name = mask_name(image)
        if (other := self._written.setdefault(name, image)) != image:
            raise DataError(f"{other} and {image}: both masks would be {name}; rename one of the images")
        masks, categories = from_text(label), list(self._values)
        values = np.array([*self._values.values()])[masks.index(categories)]
        place = self._part / name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_pixels(values, max(self._values.values()) >= COLOURED)).save(place)


def _pixels(values: np.ndarray, coloured: bool) -> np.ndarray:
    """Grey ``[h, w]`` or colours ``[h, w, 3]``, uint8; a number among colours is a grey."""
    if not coloured:
        return values.astype(np.uint8)
    grey = values < COLOURED
    return np.stack([np.where(grey, values, values >> shift & 255) for shift in (16, 8, 0)], axis=-1).astype(np.uint8)
