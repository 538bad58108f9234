"""What all image backbones share: preprocessing, its settings, and the input by which sizes are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.layers import LayeredBackbone, image_layout
from acclimate.backbones.preprocess import Augment, Crop, ImagePreprocess, Square
from acclimate.errors import AcclimateError, DataError


@dataclass(frozen=True)
class Settings:
    """``size`` of the square image in pixels, None for the model's own; see `ImagePreprocess` for the rest."""

    size: int | None = None
    square: Square = "crop"
    crop: Crop = "none"
    augment: Augment = "none"


class ImageBackbone(LayeredBackbone):
    """A backbone whose inputs come from an `ImagePreprocess`."""

    preprocess: ImagePreprocess
    layout: torch.memory_format

    def use(self, network: nn.Module) -> None:
        """Take a network, in the memory format that suits it."""
        self.layout = image_layout(network)
        self.network = network.to(memory_format=self.layout)  # type: ignore[call-overload]

    def run(self, inputs: Tensor) -> Any:
        return self.network(laid_out(inputs, self.layout))

    def collate(
        self, raw: Sequence[np.ndarray], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> Tensor:
        return self.preprocess(raw, training=training, rng=rng)

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


def laid_out(images: Tensor, layout: torch.memory_format) -> Tensor:
    """Images ``[n, channels, h, w]`` in a memory format, which `torch.func.vmap` cannot be asked for by its name.

    One channel lies the same way in both formats, and torch goes by strides: those of a flat view are the format's.
    """
    if layout is not torch.channels_last:
        return images.contiguous(memory_format=layout)
    n, channels, height, width = images.shape
    return images.permute(0, 2, 3, 1).contiguous().flatten(1).view(n, height, width, channels).permute(0, 3, 1, 2)
