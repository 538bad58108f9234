"""What all image backbones share: preprocessing, its settings, and the input by which sizes are found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.layers import LayeredBackbone, first_tensor, image_layout, watching
from acclimate.backbones.parts import Parts, of_pixels
from acclimate.backbones.preprocess import Augment, Crop, ImagePreprocess, Square
from acclimate.errors import AcclimateError, DataError, SettingsError

MAPS = 320
"""Side of the canvas on which maps are read, unless ``size`` says another."""


@dataclass(frozen=True)
class Settings:
    """``size`` of the square image in pixels, None for the model's own, or `MAPS` where maps are read; with ``mirror``,
    features outside training are the mean of those of the image and of its mirror image, as verification of faces is
    used to (Liu et al., SphereFace, CVPR 2017, section 4.1, joins them), for twice the time; see `ImagePreprocess` for
    the rest.
    """

    size: int | None = None
    square: Square = "crop"
    crop: Crop = "none"
    augment: Augment = "none"
    mirror: bool = False


MAP_STRIDES = (2.0, 4.0, 8.0, 16.0, 32.0)
MAP_TRAINING = {"batch_size": 4, "epochs": 50.0}
"""Images are large and few where pixels or boxes are labelled."""


class ImageBackbone(LayeredBackbone):
    """A backbone whose inputs come from an `ImagePreprocess`."""

    preprocess: ImagePreprocess
    layout: torch.memory_format
    _strided: dict[float, str]
    _map_widths: dict[str, int]

    def use(self, network: nn.Module) -> None:
        """Take a network, in the memory format that suits it."""
        self.layout = image_layout(network)
        self.network = network.to(memory_format=self.layout)  # type: ignore[call-overload]

    def run(self, inputs: Tensor) -> Any:
        return self.network(laid_out(inputs, self.layout))

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        found = super().forward(inputs, layers)
        if self.training or not self.mirrored:
            return found
        turned = super().forward(inputs.flip(-1), layers)
        return {layer: (values + turned[layer]) / 2 for layer, values in found.items()}

    def collate(
        self, raw: Sequence[np.ndarray], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> Any:
        if self.spec.maps:
            pixels, frames = self.preprocess.whole(raw, training=training, rng=rng)
            return {"pixels": pixels, "frame": frames}
        return self.preprocess(raw, training=training, rng=rng)

    @property
    def mirrored(self) -> bool:
        """Whether features are means over an image and its mirror image; networks from scratch have no such setting."""
        return getattr(self.settings, "mirror", False)

    @property
    def smooth(self) -> bool:
        """Whether the network has gradients with respect to pixels."""
        return True

    def parts(self, raw: Sequence[np.ndarray]) -> Parts:
        """Patches of the image as the network sees it."""
        found, look = self.collate(raw), self.preprocess
        if not self.spec.maps:
            return of_pixels(found, look.mean, look.std, smooth=self.smooth)
        return of_canvas(found, look, self.smooth)

    def read_maps(self) -> None:
        """Of the whole image on a canvas; the last layer of each size, and the image itself as the finest map.

        Raises:
            SettingsError: the network has no maps, or the canvas cannot be halved as often as it does.
        """
        if self.spec.maps:
            return
        if self.mirrored:
            raise SettingsError(
                "backbone.mirror averages one vector an image, and here places in images are asked for: leave it out"
            )
        side = getattr(self.settings, "size", None) or MAPS
        self.preprocess = replace(self.preprocess, size=side, square="stretch", crop="none")
        sizes = self._map_sizes()
        if not sizes or max(sizes.values()) < MAP_STRIDES[0]:
            raise SettingsError(
                f"backbone '{self.spec.name}' gives no maps of places; take a convolutional network, or a transformer "
                "with stages, as SegFormer and Swin"
            )
        if odd := [stride for stride in sizes.values() if stride not in MAP_STRIDES]:
            raise SettingsError(
                f"backbone '{self.spec.name}' divides a canvas of {side} pixels by {odd[0]:g}; take a backbone.size "
                "that its strides divide, such as 320"
            )
        self._strided = {stride: place for place, stride in sizes.items()}  # the last of each
        widths = {int(stride): self._map_widths[place] for stride, place in self._strided.items()}
        maps = {1: self.preprocess.channels, **dict(sorted(widths.items()))}
        self.spec = replace(self.spec, maps=maps, training={**self.spec.training, **MAP_TRAINING})

    def _map_sizes(self) -> dict[str, float]:
        """By place in the network, input side first, how many pixels of the canvas a place of its map spans."""
        asked = self.map_places()
        was_training = self.training
        self.eval()
        with torch.no_grad():
            found = self._outputs(self.example().to(self.device), asked)
        self.train(was_training)
        maps = {place: value for place, raw in found.items() if (value := as_map(raw)) is not None}
        self._map_widths = {place: int(value.shape[1]) for place, value in maps.items()}
        return {place: self.preprocess.size / value.shape[2] for place, value in maps.items()}

    def map_places(self) -> list[str]:
        """Places in the network that may have maps, input side first."""
        return list(self.places.values())

    def _outputs(self, images: Tensor, places: Sequence[str]) -> dict[str, Tensor]:
        inner, last = [place for place in places if place], None
        with watching(self.network, inner, stop="" not in places) as taken:
            last = self.run(images)
        return {place: taken[place] if place else first_tensor(last) for place in places if place in taken or not place}

    def maps(self, inputs: Any) -> tuple[Tensor, ...]:
        pixels = inputs["pixels"]
        found = self._outputs(pixels, list(self._strided.values()))
        maps = (as_map(found[self._strided[stride]]) for stride in sorted(self._strided))
        return (pixels, *(value for value in maps if value is not None))

    def example(self) -> Any:
        return torch.zeros(1, self.preprocess.channels, self.preprocess.size, self.preprocess.size)

    def measure(self, layers: Sequence[str]) -> dict[str, int]:
        try:
            return super().measure(layers)
        except AcclimateError:
            raise
        except (ValueError, RuntimeError) as error:
            size = self.preprocess.size
            raise DataError(f"{self.spec.name} cannot read images of {size} pixels: {error}") from None


def as_map(values: Tensor) -> Tensor | None:
    """A square map ``[n, d, s, s]``: as it is, or from tokens ``[n, s * s, d]``, row by row; None where it is neither.

    Tokens beside those of places, as a ViT's class token, make no square.
    """
    if values.ndim == 4:
        return values if values.shape[2] == values.shape[3] else None
    side = math.isqrt(values.shape[1]) if values.ndim == 3 else 0
    return values.mT.unflatten(2, (side, side)) if side and side * side == values.shape[1] else None


def laid_out(images: Tensor, layout: torch.memory_format) -> Tensor:
    """Images ``[n, channels, h, w]`` in a memory format, which `torch.func.vmap` cannot be asked for by its name.

    One channel lies the same way in both formats, and torch goes by strides: those of a flat view are the format's.
    """
    if layout is not torch.channels_last:
        return images.contiguous(memory_format=layout)
    n, channels, height, width = images.shape
    return images.permute(0, 2, 3, 1).contiguous().flatten(1).view(n, height, width, channels).permute(0, 3, 1, 2)


def of_canvas(found: Mapping[str, Tensor], look: ImagePreprocess, smooth: bool = True) -> Parts:
    """Patches of the canvas of one image, collated by the preprocessing that made it; its frame stays."""

    def framed(pixels: Tensor) -> dict[str, Tensor]:
        return {"pixels": pixels, "frame": found["frame"].to(pixels.device).expand(len(pixels), -1)}

    parts = of_pixels(found["pixels"], look.mean, look.std, inputs=framed, smooth=smooth)
    return replace(parts, shown={**parts.shown, "frame": found["frame"][0].numpy()})
