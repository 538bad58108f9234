"""Batch normalisation as part of the convolutions before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from acclimate.backbones import registry
from acclimate.backbones.fold import folded
from acclimate.backbones.module import from_module


def norms(backbone) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


def shaken(network: nn.Module) -> nn.Module:
    """With statistics that matter."""
    rng = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight.data, module.running_var):
                value.uniform_(0.5, 2.0, generator=rng)
            for value in (module.bias.data, module.running_mean):
                value.normal_(generator=rng)
    return network.eval()


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_pretrained_networks_lose_every_norm_and_keep_their_features(name, photos):
    try:
        backbone = registry.create(name, "image", {"size": 64}).eval()
    except ImportError as missing:
        pytest.skip(str(missing))
    layers = [*backbone.spec.layers]
    small = folded(backbone, layers)
    assert norms(small) == 0 and norms(backbone) > 40
    inputs = backbone.collate(list(photos.values()))
    with torch.inference_mode():
        before, after = backbone(inputs, layers), small(inputs, layers)
    for layer in layers:
        torch.testing.assert_close(after[layer], before[layer], rtol=1e-3, atol=1e-4)


class Branches(nn.Module):
    """One convolution is read by a norm and by something else, one is called twice, and one norm learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.split, self.split_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.twice, self.twice_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images):
        x = self.norm(self.plain(images))
        y = self.split(x)
        x = self.split_norm(y) + y if self.leaks else self.split_norm(y)
        return self.twice(self.twice_norm(self.twice(x)))


def branches(leaks: bool):
    network = Branches()
    network.leaks = leaks
    example = [np.zeros((3, 8, 8), dtype=np.float32)]
    return from_module(shaken(network), "array", layers=["plain", "norm", "twice_norm"], example=example).eval()


def test_what_is_read_twice_or_watched_is_left():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clean, leaking = branches(False), branches(True)
    inputs = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert norms(folded(clean, ["twice_norm"])) == 1  # the one that follows a convolution that is called twice
    assert norms(folded(clean, ["plain", "twice_norm"])) == 2
    assert folded(leaking, ["twice_norm"]) is leaking
    small = folded(clean, ["plain", "norm", "twice_norm"])
    with torch.inference_mode():
        for layer, value in clean(inputs, ["plain", "norm", "twice_norm"]).items():
            torch.testing.assert_close(small(inputs, [layer])[layer], value, rtol=1e-4, atol=1e-5)


def test_networks_without_norms_are_left(minilm):
    assert folded(minilm, ["layer_6"]) is minilm
    pixels = registry.create("pixels", "image")
    assert folded(pixels, [pixels.spec.default]) is pixels
