from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from acclimate.backbones import registry
from acclimate.backbones.conv4 import normalised_convolution
from acclimate.methods.meta.inner import batch_statistics, batched_gradient, gradient, mappable, task_loss

SMALL = {"size": 16, "width": 12}


def strokes(count: int, size: int = 28, seed: int = 0) -> list[np.ndarray]:
    """Bright blots on black."""
    rng = np.random.default_rng(seed)
    return [np.where(rng.random((size, size)) > 0.8, 255, 0).astype(np.uint8) for _ in range(count)]


def as_in_the_papers(network: nn.Module, images: Tensor) -> Tensor:
    """Convolution, batch norm, ReLU, max-pooling, in this order."""
    for name in ("conv1", "conv2", "conv3", "conv4"):
        convolution, norm, *_ = network.get_submodule(name)
        images = F.max_pool2d(F.relu(norm(F.conv2d(images, convolution.weight, padding=1))), 2)
    return images.flatten(1)


def test_layers_seed_round_trip_and_training(odd_images, round_trip, trains):
    before = torch.get_rng_state()
    backbone = registry.create("conv4", "image", seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert backbone.spec.layers == {"conv1": 64, "conv2": 64, "conv3": 64, "flat": 64} and not backbone.spec.pretrained
    assert backbone.cache_key() == registry.create("conv4", "image", seed=3).cache_key()
    assert backbone.cache_key() != registry.create("conv4", "image", seed=4).cache_key()
    trains(backbone, odd_images)
    assert len(backbone.blocks()) == 4
    round_trip(backbone, odd_images)
    assert registry.create("conv4", "image", {"size": 84, "channels": 3, "width": 32}).size() == 32 * 5 * 5
    with pytest.raises(ValueError, match="at least 16"):
        registry.create("conv4", "image", {"size": 15})


def test_an_image_of_the_right_size_goes_in_as_it_is():
    image = np.arange(784, dtype=np.uint32).reshape(28, 28).astype(np.uint8)
    inputs = registry.create("conv4", "image").collate([image])
    assert inputs.shape == (1, 1, 28, 28)
    torch.testing.assert_close(inputs[0, 0] * 255, torch.from_numpy(image).float(), rtol=0, atol=1e-4)
    assert inputs.max() == 1 and inputs.min() == 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("training", [False, True])
def test_it_is_the_network_of_the_papers(channels, training):
    backbone = registry.create("conv4", "image", {"channels": channels}).double().train(training)
    images = torch.rand(6, channels, 28, 28, dtype=torch.float64)
    torch.testing.assert_close(backbone(images)["flat"], as_in_the_papers(backbone.network, images).float())
    with batch_statistics(backbone):
        torch.testing.assert_close(backbone(images)["flat"], as_in_the_papers(backbone.network, images).float())
    maps = backbone.network.conv1(images)
    torch.testing.assert_close(backbone(images, ["conv1"])["conv1"], maps.mean((2, 3)).float())


def test_running_statistics_are_those_of_the_first_maps_and_stay_in_inner_loops():
    backbone = registry.create("conv4", "image").train()
    images = backbone.collate(strokes(8))
    convolution, norm, *_ = backbone.network.conv1
    maps = F.conv2d(images, convolution.weight, padding=1)
    backbone(images)
    torch.testing.assert_close(norm.running_mean, 0.1 * maps.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * maps.var((0, 2, 3)))
    before = {name: value.clone() for name, value in backbone.named_buffers()}
    with batch_statistics(backbone):
        backbone(images)
    assert all(torch.equal(value, before[name]) for name, value in backbone.named_buffers())


def test_normalised_convolution_and_its_second_derivatives():
    torch.manual_seed(0)
    images = torch.rand(4, 2, 6, 5, dtype=torch.float64)
    pieces = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((7, 2, 3, 3), (7,), (7,))]

    def plain(images: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
        return F.batch_norm(F.conv2d(images, weight, padding=1), None, None, scale, shift, training=True, eps=eps)

    found = []
    for form in (normalised_convolution, plain):
        maps = form(images, *pieces, 1e-3)
        slopes = torch.autograd.grad(maps.sin().sum(), pieces, create_graph=True)
        curved = torch.autograd.grad(sum(slope.square().sum() for slope in slopes), pieces)
        found.append((maps, *slopes, *curved))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_statistics_of_patches_are_exact():
    """Sums over 58,800 patches in float32 are a hundred times as far off."""
    torch.manual_seed(0)
    images = torch.from_numpy(np.stack(strokes(75))).unsqueeze(1) / 255
    pieces = [torch.randn(64, 1, 3, 3), torch.rand(64), torch.rand(64)]
    maps = normalised_convolution(images, *pieces, 1e-5)
    weight, scale, shift = (piece.double() for piece in pieces)
    exact = F.batch_norm(F.conv2d(images.double(), weight, padding=1), None, None, scale, shift, training=True)
    assert (maps - exact).abs().max() < 5e-6


def test_one_channel_is_read_channels_last_whatever_the_strides_of_weights():
    backbone = registry.create("conv4", "image").train()
    images = torch.rand(3, 1, 28, 28)
    assert backbone.layout is torch.channels_last
    usual = {name: torch.empty(value.shape).copy_(value.detach()) for name, value in backbone.named_parameters()}
    seen: list[Tensor] = []
    handle = backbone.network.conv1[2].register_forward_hook(lambda module, args, output: seen.append(output))
    with batch_statistics(backbone):
        functional_call(backbone, usual, (images,))
    handle.remove()
    assert seen[0].is_contiguous(memory_format=torch.channels_last) and not seen[0].is_contiguous()


@pytest.mark.parametrize(("layer", "channels"), [("flat", 1), ("conv2", 1), ("flat", 3)])
def test_a_stack_of_weights_is_mapped_as_a_loop_reads_it(layer, channels):
    backbone = registry.create("conv4", "image", {**SMALL, "channels": channels}).train()
    images = torch.stack([backbone.collate(strokes(5, 16, seed)) for seed in range(3)])
    weights = {
        name: torch.stack([value.detach() + 0.1 * k for k in range(3)]) for name, value in backbone.named_parameters()
    }

    def one(weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
        return functional_call(backbone, dict(weights), (images, [layer]))[layer]

    with mappable(backbone):
        mapped = vmap(one)(weights, images)
    with batch_statistics(backbone):
        looped = [one({name: value[k] for name, value in weights.items()}, images[k]) for k in range(3)]
    torch.testing.assert_close(mapped, torch.stack(looped))
    assert not torch.equal(mapped[0], mapped[1])


def test_second_order_gradients_agree_mapped_and_looped():
    backbone = registry.create("conv4", "image", SMALL).double().train()
    images = torch.stack([backbone.collate(strokes(12, 16, seed)).double() for seed in range(2)])
    targets = torch.arange(12) % 4
    weights = {name: value.detach() for name, value in backbone.named_parameters()}

    def loss(images: Tensor) -> object:
        def of(weights: Mapping[str, Tensor]) -> Tensor:
            return F.cross_entropy(functional_call(backbone, dict(weights), (images,))["flat"], targets[: len(images)])

        return of

    def task(weights: Mapping[str, Tensor], rates: list[Tensor], images: Tensor) -> Tensor:
        return task_loss(loss(images[:4]), loss(images[4:]), weights, rates)

    rates = [torch.tensor(0.5, dtype=torch.float64)] * 2
    with mappable(backbone):
        _, (mapped, _) = batched_gradient(task, weights, rates, images)
    with batch_statistics(backbone):
        looped = [gradient(loss(one[:4]), loss(one[4:]), weights, rates)[1][0] for one in images]
    for name, value in mapped.items():
        torch.testing.assert_close(value, (looped[0][name] + looped[1][name]) / 2, rtol=1e-5, atol=1e-7)
        assert value.abs().max() > 1e-5, name


def test_it_reads_handwriting():
    from sklearn.datasets import load_digits

    digits = load_digits()
    backbone = registry.create("conv4", "image", {"size": 16, "width": 32}).train()
    inputs, labels = backbone.collate(list((digits.images * 15).astype(np.uint8))), torch.from_numpy(digits.target)
    torch.manual_seed(0)
    head = nn.Linear(32, 10)
    optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=5e-3)
    for index in torch.randperm(1200).repeat(3).split(50):
        loss = F.cross_entropy(head(backbone(inputs[index])["flat"]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    backbone.eval()
    with torch.inference_mode():
        right = head(backbone(inputs[1200:])["flat"]).argmax(dim=1) == labels[1200:]
    assert right.float().mean() > 0.9
