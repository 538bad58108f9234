"""A network for inference: batch normalisations become part of the convolutions before them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from acclimate.backbones.base import Backbone
from acclimate.backbones.layers import LayeredBackbone, move
from acclimate.seeds import derive

TOLERANCE = 1e-4
"""Largest relative difference of features that counts as rounding."""


def folded(backbone: Backbone, layers: Sequence[str]) -> Backbone:
    """A copy of a frozen backbone that gives the same features with fewer operations, or the backbone itself.

    ``norm(conv(x))`` of fixed statistics is a convolution with other weights (Jacob et al., CVPR 2018, section 3.2).
    Which norm follows which convolution is found by running the network; that the copy's ``layers`` agree is checked.
    The backbone must be in evaluation mode.
    """
    if not isinstance(backbone, LayeredBackbone) or not isinstance(backbone.example(), Tensor):
        return backbone
    pairs = _pairs(backbone, {backbone.places.get(layer, layer) for layer in layers})
    if not pairs:
        return backbone
    other = copy.deepcopy(backbone)
    for conv, norm in pairs:
        first: Any = other.network.get_submodule(conv)
        second: Any = other.network.get_submodule(norm)
        _replace(other.network, conv, fuse_conv_bn_eval(first, second))
        _replace(other.network, norm, nn.Identity())
    return other if _agree(backbone, other, layers) else backbone


def _pairs(backbone: LayeredBackbone, watched: set[str]) -> list[tuple[str, str]]:
    """Names of convolutions and of the norms that read their output, each of them run once."""
    made: list[tuple[str, Tensor]] = []
    read: list[tuple[str, Tensor]] = []

    def note_output(name: str) -> Any:
        return lambda module, args, output: made.append((name, output))

    def note_input(name: str) -> Any:
        return lambda module, args: read.append((name, args[0]))

    handles = []
    for name, module in backbone.network.named_modules():
        if isinstance(module, nn.Conv2d) and isinstance(module.weight, nn.Parameter):
            handles.append(module.register_forward_hook(note_output(name)))
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            handles.append(module.register_forward_pre_hook(note_input(name)))
    try:
        with torch.no_grad():
            backbone.run(move(backbone.example(), backbone.device))
    finally:
        for handle in handles:
            handle.remove()
    convs, norms = [name for name, _ in made], [name for name, _ in read]
    return [
        (conv, norm)
        for conv, output in made
        for norm, found in read
        if found is output and convs.count(conv) == norms.count(norm) == 1 and conv not in watched
    ]


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def _agree(backbone: LayeredBackbone, other: LayeredBackbone, layers: Sequence[str]) -> bool:
    """Whether both give the same features of noise: a convolution that something else reads too must not be folded."""
    rng = torch.Generator().manual_seed(derive(0, "fold"))
    example = backbone.example()
    noise = torch.randn(example.shape, generator=rng).to(backbone.device)
    with torch.no_grad():
        before, after = backbone(noise, list(layers)), other(noise, list(layers))
    return all(bool((before[k] - after[k]).norm() <= TOLERANCE * before[k].norm()) for k in layers)
