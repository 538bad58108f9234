"""Labels from files of masks."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from acclimate.domains import images
from acclimate.domains.filesets import FileSet
from acclimate.domains.layouts import Layout
from acclimate.domains.legends import Legend, find_legend, guessed, text_of
from acclimate.domains.masks import decoded, encoded, runs
from acclimate.errors import DataError


def read_masks(
    files: FileSet, found: Layout, names: Sequence[str], label: str, legend: str | None
) -> tuple[np.ndarray, Legend]:
    """The masks of images as labels ``[n]``, see `acclimate.domains.masks`, and what their values mean.

    Args:
        files: where images and masks lie.
        found: which are which.
        names: the images.
        label: the folder of masks, or ``masks`` for the only one.
        legend: what their values mean, where it is said: see `find_legend`.

    Raises:
        DataError: an image without a mask, a mask of another size, or values that nothing explains; names the file.
    """
    role = found.role(label)
    owned = found.masks[role]
    for name in names:
        if name not in owned:
            raise DataError(f"{files.where}/{name}: no mask in '{role}'; add it, or leave the image out")
    by_value = [_runs(files, name, owned[name]) for name in names]
    known = find_legend(files, role, owned.values(), legend)
    if known is None:
        holders: dict[int, list[str]] = {}
        for name, (_, values) in zip(names, by_value, strict=True):
            for value in values:
                holders.setdefault(value, []).append(owned[name])
        known = guessed(holders, role, f"{files.where}: {role}")
    labels = np.empty(len(names), dtype=object)
    for row, name in enumerate(names):
        labels[row] = _label(*by_value[row], known, f"{files.where}/{owned[name]}")
    return labels, known


def _label(size: tuple[int, int], found: Mapping[int, str], legend: Legend, where: str) -> str:
    """The JSON of a label; values of one name become one mask."""
    if unknown := sorted(set(found) - set(legend)):
        known = ", ".join(f"{text_of(value)} ({name or 'no label'})" for value, name in sorted(legend.items()))
        raise DataError(
            f"{where}: the mask holds {text_of(unknown[0])}, which no legend explains; known: {known[:300]}"
        )
    masks: dict[str, str] = {}
    for value, text in sorted(found.items()):
        if (name := legend[value]) is not None:
            masks[name] = encoded(decoded(masks[name], size) | decoded(text, size)) if name in masks else text
    return json.dumps({"size": list(size), "masks": masks}, ensure_ascii=False)


def _runs(files: FileSet, image: str, mask: str) -> tuple[tuple[int, int], dict[int, str]]:
    """Size of a mask, and where it has each of its values, as run lengths."""
    where = f"{files.where}/{mask}"
    values = decode_mask(files.read(mask), where)
    size = images.size_of(files.read(image), f"{files.where}/{image}")
    if values.shape != size:
        raise DataError(
            f"{where}: the mask is {values.shape[1]} x {values.shape[0]} pixels, its image {size[1]} x {size[0]}; "
            "they must be of one size"
        )
    return size, runs(values)


def decode_mask(data: bytes, where: str) -> np.ndarray:
    """The values of a mask ``[height, width]``: numbers of grey or of a palette, or colours (`legends.colour`).

    Raises:
        DataError: no image, or one of 16-bit colours.
    """
    from PIL import Image

    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[24:26] == b"\x10\x02":
        raise DataError(
            f"{where}: 16-bit colours (SYNTHIA's original labels) are not read; save the first channel alone"
        )
    images.check_image(data, where)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return _values(image if image.mode in ("P", "L", "1") or image.mode.startswith("I") else image.convert("RGB"))


def _values(image: Any) -> np.ndarray:
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels.astype(np.int64)
    red, green, blue = np.moveaxis(pixels.astype(np.int64), -1, 0)
    grey = (red == green) & (green == blue)
    return np.where(grey, red, (1 << 24) + (red << 16) + (green << 8) + blue)
