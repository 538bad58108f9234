"""Object detectors of Hugging Face transformers: DETR, YOLOS, RT-DETR, D-FINE and their kin, with their own heads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones import pretrained
from acclimate.backbones.base import Backbone, Spec
from acclimate.backbones.image import MAP_TRAINING, Settings, of_canvas
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.parts import Parts
from acclimate.backbones.preprocess import ImagePreprocess
from acclimate.backbones.transformers_image import norm_of
from acclimate.errors import DataError, SettingsError
from acclimate.settings import as_dict, build


class TransformersDetector(Backbone):
    """A detector that is trained, adapted and saved as a whole; `finder` gives its answers and its own loss.

    Layer: ``encoder``, the mean over places (or patches) of what its encoder says. Images lie on a canvas of
    ``backbone.size`` pixels, by default the size that the model's image processor names.
    """

    kind = "transformers_detector"

    def __init__(self, name: str, network: Any, settings: Settings, norm: Mapping[str, Any], learning_rate: float):
        super().__init__()
        self.use(network)
        self.settings = settings
        self.norm: dict[str, Any] = {"mean": list(norm["mean"]), "std": list(norm["std"]), "size": int(norm["size"])}
        size, mean, std = settings.size or self.norm["size"], tuple(norm["mean"]), tuple(norm["std"])
        self.preprocess = ImagePreprocess(size, 3, mean, std, "stretch", "none", settings.augment)
        self.spec = Spec(
            name, "image", {}, "encoder", pretrained=True, learning_rate=learning_rate, training=MAP_TRAINING,
            maps={1: 3},
        )  # fmt: skip
        self.spec = replace(self.spec, layers={"encoder": self._width()})

    def use(self, network: Any) -> None:
        """Take a network; its loss becomes one of each image."""
        network.loss_function = _of_each(network.loss_function)
        self.network = network

    def _width(self) -> int:
        """Of the encoder's features, found by an empty canvas."""
        side = self.preprocess.size
        try:
            with torch.no_grad():
                said = self.network(pixel_values=torch.zeros(1, 3, side, side))
        except (ValueError, RuntimeError, IndexError) as error:
            raise SettingsError(
                f"backbone '{self.spec.name}' cannot read a canvas of {side} pixels ({pretrained.reason(error)}); take "
                "a backbone.size that its strides divide, such as 320 or 640"
            ) from None
        return int(encoded(said, said.logits.shape[1]).shape[1])

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it tells apart."""
        names = self.network.config.id2label
        return tuple(str(names[k]) for k in range(len(names)))

    @cached_property
    def counting(self) -> set[str]:
        """Names of the network's tensors whose rows are kinds: those that are longer with one kind more."""
        with torch.random.fork_rng(devices=[]):
            other = _made(self.network.config, [*self.kinds, ""]).state_dict()
        return {name for name, value in self.network.state_dict().items() if value.shape != other[name].shape}

    def finder(self, kinds: Sequence[str]) -> nn.Module:
        """Its own head, for these kinds of objects: a `Finder` without weights of its own.

        Of the layers that tell kinds apart, rows of kinds that it knows by name stay as they are, and the others are
        fresh, drawn from torch's default generator.
        """
        if self.kinds != tuple(kinds):
            place = next(self.network.parameters()).device
            self.use(_relabelled(self.network, kinds, self.counting).to(place))
        return Finder(self)

    def collate(
        self, raw: Sequence[np.ndarray], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        pixels, frames = self.preprocess.whole(raw, training=training, rng=rng)
        return {"pixels": pixels, "frame": frames}

    def parts(self, raw: Sequence[np.ndarray]) -> Parts:
        """Patches of the canvas."""
        return of_canvas(self.collate(raw), self.preprocess)

    def read_maps(self) -> None:
        """It always reads the whole image."""

    def maps(self, inputs: Any) -> tuple[Tensor, ...]:
        """The canvas alone: the `Finder` runs the network, which is shown in training what is to be found."""
        return (inputs["pixels"],)

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        said = self.network(pixel_values=inputs["pixels"])
        value = encoded(said, said.logits.shape[1]).float()
        return {self.check_layer(layer): value for layer in (layers or [self.spec.default])}

    def blocks(self) -> list[list[nn.Parameter]]:
        """By what the network is made of, such as backbone, encoder and decoder; its heads with the last one."""
        base = self.network.base_model_prefix
        inner = self.network.get_submodule(base).named_children()
        return blocks_by_prefix(self.network, [f"{base}.{name}" for name, _ in inner])

    def fresh(self) -> list[nn.Parameter]:
        """The layers that tell kinds apart."""
        return [p for name, p in self.network.named_parameters() if name in self.counting]

    def lora_targets(self) -> list[str]:
        """Linear maps, but for those that tell kinds apart."""
        owners = {name.rpartition(".")[0] for name in self.counting}
        inner = self.network.named_modules()
        return [f"network.{name}" for name, m in inner if isinstance(m, nn.Linear) and name not in owners]

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.spec.name,
            "settings": as_dict(self.settings),
            "norm": self.norm,
            "learning_rate": self.spec.learning_rate,
            "network": pretrained.config_json(self.network),
        }


class Finder(nn.Module):
    """The answers of a `TransformersDetector`, and its loss."""

    def __init__(self, backbone: TransformersDetector):
        super().__init__()
        self._of = (backbone,)  # in a tuple: not a part of this module

    def forward(self, pixels: Tensor, targets: Tensor | None = None) -> dict[str, Tensor]:
        """What is found in images.

        Args:
            pixels: ``[n, 3, side, side]``.
            targets: kind (-1: none) and box of each object in pixels ``[n, m, 5]``.

        Returns:
            Of each query ``probs`` of each kind and of nothing ``[n, q, kinds + 1]``, ``scores`` of each kind
            ``[n, q, kinds]``, ``boxes`` in pixels ``[n, q, 4]`` (x1, y1, x2, y2) and ``states`` ``[n, q, d]``;
            ``encoder`` ``[n, d]``; and with targets the ``loss`` ``[n]`` of its own training.
        """
        (backbone,) = self._of
        side = pixels.shape[2]
        labels = None if targets is None else [_labels(objects, side) for objects in targets]
        said = backbone.network(pixel_values=pixels, labels=labels)
        count = len(backbone.kinds)
        queries = said.logits.shape[1] - _denoised(said)
        logits, boxes = said.logits[:, -queries:].float(), said.pred_boxes[:, -queries:].float()
        softmax = logits.shape[2] > count  # DETR and YOLOS have a class for nothing; the others ask of each kind alone
        scores = logits.softmax(2)[..., :count] if softmax else logits.sigmoid()
        middle, extent = boxes[..., :2], boxes[..., 2:]
        found = {
            "probs": (logits if softmax else nn.functional.pad(logits, (0, 1))).softmax(2),
            "scores": scores,
            "boxes": side * torch.cat([middle - extent / 2, middle + extent / 2], dim=2),
            "states": said.last_hidden_state[:, -queries:].float(),
            "encoder": encoded(said, queries).float(),
        }
        return found if labels is None else {**found, "loss": said.loss}


def encoded(said: Any, queries: int) -> Tensor:
    """The mean over places ``[n, d]`` of what the encoder says; of YOLOS, which has no other, over its patches."""
    states = getattr(said, "encoder_last_hidden_state", None)
    if states is None:
        states = said.last_hidden_state[:, 1:-queries]
    states = states if isinstance(states, Tensor) else states[-1]
    return states.mean(dim=(2, 3)) if states.ndim == 4 else states.mean(dim=1)


def _denoised(said: Any) -> int:
    """How many queries come before the real ones, which training alone asks: given boxes, moved a little."""
    meta = getattr(said, "denoising_meta_values", None)
    return int(meta["dn_num_split"][0]) if meta else 0


def _labels(objects: Tensor, side: int) -> dict[str, Tensor]:
    """The objects of an image as transformers takes them: middle and extent in shares of the canvas."""
    real = objects[objects[:, 0] >= 0]
    low, high = real[:, 1:3], real[:, 3:]
    return {"class_labels": real[:, 0].long(), "boxes": torch.cat([(low + high) / 2, high - low], dim=1) / side}


def _of_each(loss: Callable[..., Any]) -> Callable[..., Any]:
    """A detector's loss (its matching, its terms and their weights) of each image ``[n]`` instead of the batch's."""

    def each(
        logits: Tensor, labels: Sequence[Any], device: Any, boxes: Tensor, config: Any,
        layers: Tensor | None = None, layers_boxes: Tensor | None = None, **named: Any,
    ) -> tuple[Tensor, Any, Any]:  # fmt: skip
        outer = layers is not None and layers[-1].shape == logits.shape and bool(torch.equal(layers[-1], logits))
        found = []
        for k, one in enumerate(labels):
            inner = [value if value is None else value[:, k : k + 1] if outer else value[k : k + 1]
                     for value in (layers, layers_boxes)]  # fmt: skip
            more = {name: _row(value, k) for name, value in named.items()}
            value, *_ = loss(_row(logits, k), [one], device, _row(boxes, k), config, *inner, **more)
            found.append(value.float())
        return torch.stack(found).flatten(), None, None

    return each


def _row(value: Any, k: int) -> Any:
    """What of an argument of a loss is of one image."""
    if isinstance(value, Tensor):
        return value[k : k + 1]
    if isinstance(value, Mapping) and "dn_positive_idx" in value:
        return {**value, "dn_positive_idx": value["dn_positive_idx"][k : k + 1]}
    return value


def _made(config: Any, kinds: Sequence[str]) -> Any:
    """A network of these kinds with random weights."""
    from transformers import AutoModelForObjectDetection

    config = copy.deepcopy(config)
    config.id2label = dict(enumerate(kinds))
    config.label2id = {name: k for k, name in enumerate(kinds)}
    return AutoModelForObjectDetection.from_config(config, trust_remote_code=False).eval()


def _relabelled(network: Any, kinds: Sequence[str], counting: Collection[str]) -> Any:
    """The network for other kinds; rows of names that it knows, and the last one, of nothing, stay as they are."""
    made, before = _made(network.config, kinds), network.state_dict()
    old = {str(name): k for k, name in network.config.id2label.items()}
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if name not in counting:
                value.copy_(before[name])
                continue
            for k, kind in enumerate(kinds):
                if kind in old:
                    value[k] = before[name][old[kind]]
            if len(value) > len(kinds):
                value[len(kinds)] = before[name][len(old)]
    return made


def load(source: str, name: str, settings: Settings, learning_rate: float = 1e-4) -> TransformersDetector:
    """Any detector of transformers from a folder or the hub (``hf:NAME``).

    Raises:
        DataError: config or weights are broken.
        MissingAssetError: not on this machine, and the hub cannot be reached.
        SettingsError: the network cannot read a canvas of this size.
    """
    from transformers import AutoModelForObjectDetection

    folder = pretrained.transformers_folder(source)
    network = pretrained.with_weights(AutoModelForObjectDetection, folder)
    return TransformersDetector(name, network, settings, norm_of(folder, network.config), learning_rate)


def restore(config: Mapping[str, Any], folder: Path) -> TransformersDetector:
    """From `TransformersDetector.config`; weights are loaded by the caller."""
    from transformers import AutoConfig

    try:
        known: Any = AutoConfig.for_model(**config["network"])
    except ValueError as error:
        raise DataError(f"{folder}: {pretrained.reason(error)}") from None
    with torch.random.fork_rng(devices=[]):
        network = _made(known, [known.id2label[k] for k in range(known.num_labels)])
    settings = build(Settings, config["settings"], "backbone")
    return TransformersDetector(config["name"], network, settings, config["norm"], config["learning_rate"])
