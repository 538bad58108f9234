"""Images of any size and channels to one normalised tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from acclimate.domains.canvas import frame_of, laid
from acclimate.errors import DataError, SettingsError

Crop = Literal["none", "ink"]
Square = Literal["crop", "stretch"]
Augment = Literal["none", "flip", "crop", "crop_flip", "color", "crop_color", "crop_flip_color"]
Box = tuple[float, float, float, float]

_INK = 0.25  # of the contrast: what counts as ink when its bounding box is sought
_MARGIN = 0.1  # of the ink's longer side, on every side
_AREA = (0.5, 1.0)  # of the image, that a random crop keeps
_RATIO = 5 / 4  # by which, at most, a random crop changes width to height
_CONTRAST = (0.3, 1.0)  # of a channel, that random colours keep


@dataclass(frozen=True)
class ImagePreprocess:
    """How images become a float32 tensor ``[n, channels, size, size]`` in channels_last memory.

    Resizing is bilinear and antialiased.

    Attributes:
        size: side of the square, pixels.
        channels: 3 for RGB, 1 for grey.
        mean, std: of values in 0..1, one number for all channels or one a channel.
        square: "crop" takes the largest centred square, as networks trained on photos expect; "stretch"
            keeps the whole image and gives up its proportions.
        crop: "ink" finds what stands out from the background, makes it bright on black, and centres it.
        augment: what happens to training images: random crops, horizontal flips, random colours (each channel gets
            another contrast and brightness, and half of them are inverted), some of these or nothing.
    """

    size: int
    channels: int = 3
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    square: Square = "crop"
    crop: Crop = "none"
    augment: Augment = "none"

    def __post_init__(self) -> None:
        if self.size < 1 or self.channels not in (1, 3):
            raise SettingsError(f"backbone: size must be positive and channels 1 or 3, found {self}")

    def __call__(
        self, images: Sequence[np.ndarray], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> Tensor:
        """Images as uint8 arrays ``[h, w]`` or ``[h, w, 1..4]``; ``rng`` is needed for augmentation."""
        boxes, flips, colors = self._draw(len(images), rng if training else None)
        pixels = np.empty((len(images), self.size, self.size, self.channels), dtype=np.uint8)
        for k, array in enumerate(images):
            image = as_image(array, self.channels)
            if self.crop == "ink":
                image = crop_to_ink(image)
            elif self.square == "crop":
                image = central_square(image)
            box = None if boxes is None else tuple(boxes[k] * np.tile(image.size, 2))
            small = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
            pixels[k] = np.asarray(small).reshape(self.size, self.size, self.channels)
        if flips is not None:
            pixels[flips] = pixels[flips, :, ::-1]
        return self._normalised(pixels, colors)

    def whole(
        self, images: Sequence[np.ndarray], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Whole images on a canvas of the average colour, their proportions kept, and the frame of each
        (`acclimate.domains.canvas`), by which what lies on an image follows it: ``[n, channels, size, size]`` and
        ``[n, 6]``. Random crops and flips are in the frame.
        """
        rng = rng if training else None
        _, flips, colors = self._draw(len(images), rng)
        parts = None if rng is None or "crop" not in self.augment else rng.random((len(images), 3))
        pixels = np.empty((len(images), self.size, self.size, self.channels), dtype=np.uint8)
        frames = np.empty((len(images), 6), dtype=np.float32)
        for k, array in enumerate(images):
            image = as_image(array, self.channels)
            part = None if parts is None else parts[k]
            flip = flips is not None and bool(flips[k])
            frames[k] = frame_of((image.height, image.width), self.size, part=part, flip=flip)
            canvas = laid(image, frames[k], self.size, round(255 * sum(self.mean) / len(self.mean)))
            pixels[k] = canvas.reshape(self.size, self.size, self.channels)
        return self._normalised(pixels, colors), torch.from_numpy(frames)

    def _normalised(self, pixels: np.ndarray, colors: np.ndarray | None) -> Tensor:
        tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        if colors is not None:
            scale, shift = torch.from_numpy(colors.astype(np.float32))[:, :, :, None, None]
            tensor.mul_(scale).add_(shift)
        mean = torch.tensor(self.mean).reshape(1, -1, 1, 1) * 255
        std = torch.tensor(self.std).reshape(1, -1, 1, 1) * 255
        return tensor.sub_(mean).div_(std)

    def _draw(self, n: int, rng: np.random.Generator | None) -> tuple[np.ndarray | None, ...]:
        """Boxes ``[n, 4]`` (left, top, right, bottom, in 0..1), flips ``[n]``, and scales and shifts of the values of
        each channel ``[2, n, channels]``; None for those that are not asked for.
        """
        boxes = flips = colors = None
        if rng is None:
            return boxes, flips, colors
        if "crop" in self.augment:
            area = rng.uniform(*_AREA, size=n)
            ratio = np.exp(rng.uniform(-math.log(_RATIO), math.log(_RATIO), size=n))
            sides = np.minimum(np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], axis=1), 1.0)
            corner = rng.uniform(size=(n, 2)) * (1 - sides)
            boxes = np.clip(np.hstack([corner, corner + sides]), 0.0, 1.0)
        if "flip" in self.augment:
            flips = rng.random(n) < 0.5
        if "color" in self.augment:
            scale = rng.uniform(*_CONTRAST, size=(n, self.channels))
            shift = rng.uniform(size=scale.shape) * (1 - scale) * 255
            inverted = rng.random(scale.shape) < 0.5
            colors = np.where(inverted, (-scale, 255 - shift), (scale, shift))
        return boxes, flips, colors


def as_image(array: np.ndarray, channels: int) -> Image.Image:
    """A uint8 array as a grey or RGB image; transparent parts are laid on white.

    Raises:
        DataError: empty, not uint8, or a number of channels that no image has.
    """
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    depth = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or depth not in (1, 2, 3, 4) or not array.size:
        raise DataError(
            "an image must be uint8 [height, width] or [height, width, 1 to 4], "
            f"found {array.dtype} {list(array.shape)}"
        )
    image = Image.fromarray(np.ascontiguousarray(array))
    if depth in (2, 4):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def central_square(image: Image.Image) -> Image.Image:
    """The largest centred square of an image."""
    width, height = image.size
    if width == height:
        return image
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def crop_to_ink(image: Image.Image) -> Image.Image:
    """What stands out from the background, bright on black, centred in a square with a margin.

    The background is the side of mid-contrast on which most of the border lies. MNIST (a digit in a wide
    margin) and USPS (no margin) then look alike: preprocessing is the first domain adaptation.
    """
    array = np.asarray(image)
    grey = np.asarray(image.convert("L")).astype(np.float32)
    low, high = float(grey.min()), float(grey.max())
    if high - low < 8:  # nothing stands out
        return Image.new(image.mode, image.size)
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    if np.mean(border > (low + high) / 2) > 0.5:
        array, grey, low, high = 255 - array, 255 - grey, 255 - high, 255 - low
    ink = grey > low + _INK * (high - low)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    stretched = (array.astype(np.float32) - low) * (255 / (high - low))
    bright = Image.fromarray(np.clip(stretched, 0, 255).astype(np.uint8))
    height, width = int(bottom - top), int(right - left)
    side = math.ceil(max(height, width) * (1 + 2 * _MARGIN))
    square = Image.new(image.mode, (side, side))
    part = bright.crop((int(left), int(top), int(right), int(bottom)))
    square.paste(part, ((side - width) // 2, (side - height) // 2))
    return square
