"""Strong views of raw inputs: other looks of a row that keep what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from acclimate.domains.domain import Modality
from acclimate.domains.images import to_pixels
from acclimate.domains.sounds import Sound, strong_sound
from acclimate.errors import SettingsError

View = Literal["strong", "second"]
"""Both are strong views; the second one is drawn by itself."""

VIEWED: tuple[Modality, ...] = ("image", "text", "array", "table", "audio", "series")
"""What has strong views."""
DROPPED = 0.2
"""Share of words or numbers that a strong view leaves out (EDA's alpha for long texts, Wei & Zou 2019, is 0.1; FixMatch
needs views that are clearly harder)."""
JITTER, FACTOR = 0.1, 0.2
"""Of series: noise in deviations of the channel, and the deviation of the factor of each channel."""
Operation = Callable[[Image.Image, np.random.Generator], Image.Image]
OPERATIONS = 2
"""Image operations in a row, as in RandAugment (Cubuk et al. 2020; N = 2)."""


def strong(raw: Any, modality: Modality, rng: np.random.Generator, *, still: bool = False) -> Any:
    """Raw inputs of `Rows.take`, strongly augmented; the same kind comes back. ``still``: what is in an image stays
    where it is: only operations on colours, blur, and the grey square.

    - image: two operations of RandAugment's list at random strength, then a grey square over a quarter of the side
      (Cutout, DeVries & Taylor 2017), as FixMatch has it (Sohn et al., NeurIPS 2020, section 2.3). Size and channels
      stay; transparent parts are laid on white.
    - text: a fifth of the words left out and a tenth swapped with a neighbour (EDA, Wei & Zou, EMNLP 2019). Words are
      what stands between blanks: a script without blanks is left as it is.
    - array and table: a fifth of the values replaced by those of other rows of the batch, column by column (SCARF,
      Bahri et al., ICLR 2022, takes the same marginal distribution). Of a sparse array a fifth of the entries is left
      out instead, as words of a text are.
    - series: noise of a tenth of each channel's deviation in the window, each channel by another factor near 1 (Um et
      al., Data augmentation of wearable sensor data, ICMI 2017), and an eighth of the steps at the channel's mean.
    - audio: noise, masks in time and frequency, another loudness: `acclimate.domains.sounds.strong_sound`.
    """
    if modality not in VIEWED:
        raise SettingsError(f"{modality} rows have no strong view: no other look of one is sure to mean the same")
    views: dict[Modality, Callable[[Any, np.random.Generator], Any]] = {
        "image": partial(_images, still=still), "text": _texts, "array": _arrays, "table": _table, "audio": _sounds,
        "series": _series,
    }  # fmt: skip
    return views[modality](raw, rng)


def _texts(raw: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [_text(text, rng) for text in raw]


def _text(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    kept = [word for word, draw in zip(words, rng.random(len(words)), strict=True) if draw >= DROPPED] or words
    for k in np.flatnonzero(rng.random(max(len(kept) - 1, 0)) < DROPPED / 2):
        kept[k], kept[k + 1] = kept[k + 1], kept[k]
    return " ".join(kept)


def _arrays(raw: Any, rng: np.random.Generator) -> Any:
    from scipy import sparse

    if sparse.issparse(raw):
        thinned = raw.copy()
        thinned.data = np.where(rng.random(len(raw.data)) < DROPPED, 0, raw.data).astype(raw.dtype)
        return thinned
    others = np.argsort(rng.random(raw.shape), axis=0)  # each column shuffled by itself
    return np.where(rng.random(raw.shape) < DROPPED, np.take_along_axis(np.asarray(raw), others, axis=0), raw)


def _table(raw: Any, rng: np.random.Generator) -> Any:
    changed = raw.copy()
    for column in changed:
        mask = rng.random(len(raw)) < DROPPED
        others = raw[column].take(rng.permutation(len(raw))).set_axis(raw.index)  # keeps the column's type
        changed[column] = raw[column].where(~mask, others)
    return changed


def _series(raw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``[n, channels, length]``; a channel that is not there stays so."""
    n, channels, length = raw.shape
    mean, deviation = raw.mean(axis=2, keepdims=True), raw.std(axis=2, keepdims=True)
    changed = mean + (raw - mean) * rng.normal(1, FACTOR, (n, channels, 1))
    changed += deviation * JITTER * rng.normal(size=raw.shape)
    hidden = max(1, length // 8)
    steps = np.arange(length) - rng.integers(length - hidden + 1, size=(n, 1))
    covered = ((steps >= 0) & (steps < hidden))[:, None, :]
    return np.where(covered, mean, changed).astype(np.float32)


def _sounds(raw: Sequence[Sound], rng: np.random.Generator) -> list[Sound]:
    return [strong_sound(sound, rng) for sound in raw]


def _images(raw: Sequence[np.ndarray], rng: np.random.Generator, still: bool) -> list[np.ndarray]:
    operations = [*_OPERATIONS[:_COLOURS], _blurred] if still else _OPERATIONS
    return [_image(np.asarray(image), rng, operations) for image in raw]


def _image(array: np.ndarray, rng: np.random.Generator, operations: Sequence[Operation]) -> np.ndarray:
    grey = array.ndim == 3 and array.shape[2] == 1
    image = Image.fromarray(np.ascontiguousarray(array[:, :, 0] if grey else array))
    if image.mode not in ("L", "RGB"):
        image = Image.fromarray(to_pixels(image))
    for k in rng.integers(len(operations), size=OPERATIONS):
        image = operations[k](image, rng)
    changed = np.array(image)
    height, width = changed.shape[:2]
    top, left = rng.integers(height - height // 4 + 1), rng.integers(width - width // 4 + 1)
    changed[top : top + height // 4, left : left + width // 4] = 128
    return changed[:, :, None] if grey else changed


def _by(image: Image.Image, rng: np.random.Generator, kind: Any) -> Image.Image:
    return kind(image).enhance(float(rng.uniform(0.4, 1.6)))


def _blurred(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.1, 2.0))))


def _warp(image: Image.Image, x: float, y: float, dx: float, dy: float) -> Image.Image:
    """Sheared by x and y, moved by dx and dy of the size."""
    terms = (1, x, dx * image.width - x * image.height / 2, y, 1, dy * image.height - y * image.width / 2)
    return image.transform(image.size, Image.Transform.AFFINE, terms, Image.Resampling.BILINEAR)


_COLOURS = 7
"""So many of the operations leave everything where it is; they come first."""
_OPERATIONS: list[Operation] = [
    lambda image, rng: _by(image, rng, ImageEnhance.Brightness),
    lambda image, rng: _by(image, rng, ImageEnhance.Contrast),
    lambda image, rng: _by(image, rng, ImageEnhance.Sharpness),
    lambda image, rng: _by(image, rng, ImageEnhance.Color),
    lambda image, rng: ImageOps.autocontrast(image),
    lambda image, rng: ImageOps.equalize(image),
    lambda image, rng: ImageOps.posterize(image, int(rng.integers(4, 9))),
    lambda image, rng: image.rotate(float(rng.uniform(-30, 30)), Image.Resampling.BILINEAR),
    lambda image, rng: _warp(image, float(rng.uniform(-0.3, 0.3)), 0, 0, 0),
    lambda image, rng: _warp(image, 0, float(rng.uniform(-0.3, 0.3)), 0, 0),
    lambda image, rng: _warp(image, 0, 0, float(rng.uniform(-0.2, 0.2)), 0),
    lambda image, rng: _warp(image, 0, 0, 0, float(rng.uniform(-0.2, 0.2))),
]
