"""Keras applications (``keras:MobileNetV2``) and ``.keras`` files, under Keras' torch backend."""

from __future__ import annotations

import json
import os
import random
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from acclimate.backbones.base import Backbone, Spec
from acclimate.backbones.image import ImageBackbone
from acclimate.backbones.preprocess import Augment, Crop, ImagePreprocess, Square
from acclimate.domains.domain import Modality
from acclimate.errors import DataError, MissingAssetError, SettingsError, unknown
from acclimate.settings import as_dict, build

_SCALES = {"0..255": (0.0, 1 / 255), "0..1": (0.0, 1.0), "-1..1": (0.5, 0.5)}
_BLOCKS = 8


@dataclass(frozen=True)
class Settings:
    """How the Keras model is made and fed.

    Attributes:
        weights: a local ``.weights.h5`` or ``.keras`` file for an application without its top; None is random.
        size: of the square image, pixels; None is 160, or what the ``.keras`` file says.
        scale: range of the pixels that a ``.keras`` file expects; an application has its own preprocessing.
        train_norms: whether batch normalisation and dropout are in training mode while training; None is only
            for random weights: Keras' own transfer-learning guide leaves pretrained statistics alone.
    """

    weights: str | None = None
    size: int | None = None
    scale: Literal["0..255", "0..1", "-1..1"] = "0..255"
    train_norms: bool | None = None
    square: Square = "crop"
    crop: Crop = "none"
    augment: Augment = "none"


class KerasNetwork(nn.Module):
    """A Keras model as a module whose state has stable names; ``[n, c, h, w]`` in, Keras' ``[n, h, w, c]`` out.

    Keras has no training mode in `nn.Module`'s sense and keeps batch statistics as parameters without
    gradient; its variables appear here in the order of ``model.weights``.
    """

    model: Any

    def __init__(self, model: Any, prepare: Any):
        super().__init__()
        self.values = nn.ParameterDict({_key(k, w): w.value for k, w in enumerate(model.weights)})
        self.learn = False
        object.__setattr__(self, "model", model)  # hidden: its own state dict repeats these parameters
        self.prepare = prepare

    def forward(self, images: Tensor) -> Tensor:
        inputs = images.permute(0, 2, 3, 1)
        if self.prepare:
            inputs = self.prepare(inputs.clone())  # Keras' preprocessing writes into its argument
        return self.model(inputs, training=self.training and self.learn)

    def get_submodule(self, target: str) -> nn.Module:
        """A Keras layer by its name."""
        found = [layer for layer in self.model.layers if layer.name == target]
        return found[0] if found else super().get_submodule(target)

    def layer_names(self) -> list[str]:
        """Names of the Keras layers, input side first."""
        return [layer.name for layer in self.model.layers]


def _key(place: int, weight: Any) -> str:
    return f"{place:04d} {weight.path.replace('.', '_')}"


class KerasModel(ImageBackbone):
    """Layer ``final`` is the model's output, averaged over places; any layer's name works as well."""

    kind = "keras_model"

    def __init__(self, name: str, model: Any, settings: Settings, application: str | None, pretrained: bool):
        super().__init__()
        self.application = application
        height, channels = _image_shape(name, model)
        self.settings = settings = replace(settings, size=settings.size or height or 160)
        mean, std = _SCALES["0..255" if application else settings.scale]
        self.preprocess = ImagePreprocess(
            settings.size or 0, channels or 3, (mean,), (std,), settings.square, settings.crop, settings.augment
        )
        prepare = import_module(_application(application).__module__).preprocess_input if application else None
        self.network: KerasNetwork = KerasNetwork(model, prepare)
        self.layout = torch.channels_last
        self.network.learn = not pretrained if settings.train_norms is None else settings.train_norms
        self.places = {"final": ""}
        self.spec = Spec(name, "image", {}, "final", pretrained=pretrained, learning_rate=1e-4)
        self.spec = replace(self.spec, layers=self.measure(["final"]))

    @property
    def smooth(self) -> bool:
        """What Keras prepares may be computed outside of torch: patches are left out instead."""
        return False

    def read_maps(self) -> None:
        Backbone.read_maps(self)  # its size is fixed, and its maps have their channels last

    def layer_names(self) -> Iterable[str]:
        return self.network.layer_names()

    def pool(self, output: Tensor, inputs: Tensor) -> Tensor:
        return output.float().mean(dim=(1, 2)) if output.ndim == 4 else super().pool(output, inputs)

    def blocks(self) -> list[list[nn.Parameter]]:
        """Eight blocks of about as many layers each."""
        layers = [[w.value for w in layer.trainable_weights] for layer in self.network.model.layers]
        full = [layer for layer in layers if layer]
        cuts = [round(k * len(full) / _BLOCKS) for k in range(_BLOCKS + 1)]
        groups = [[p for layer in full[a:b] for p in layer] for a, b in pairwise(cuts)]
        return [group for group in groups if group]

    def lora_targets(self) -> list[str]:
        return []

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.spec.name,
            "settings": as_dict(replace(self.settings, weights=None)),
            "application": self.application,
            "pretrained": self.spec.pretrained,
            "model": json.loads(self.network.model.to_json()),
        }


def create(name: str, modality: Modality, settings: Settings, seed: int) -> KerasModel:
    """An application without its top, or the model in a ``.keras`` file.

    Raises:
        MissingAssetError: Keras is not installed, or the file is not there.
        SettingsError: no such application, or Keras already runs on another backend.
        DataError: the file is broken or belongs to another model.
    """
    keras = _keras(name)
    source = name.removeprefix("keras:")
    if source.endswith(".keras"):
        return KerasModel(name, _read(keras, source), settings, None, pretrained=True)
    size = settings.size or 160
    with _seeded(seed):
        model = _application(source)(include_top=False, weights=None, input_shape=(size, size, 3))
    if settings.weights is None:
        warnings.warn(
            f"{name}: no weights were given, so they are random; pass backbone.weights=FILE.weights.h5 for "
            "pretrained ones",
            UserWarning,
            stacklevel=3,
        )
    elif settings.weights.endswith(".keras"):
        _copy(_read(keras, settings.weights), model, settings.weights)
    else:
        _existing(settings.weights)
        try:
            model.load_weights(settings.weights)
        except Exception as error:  # h5py and Keras raise several kinds for a broken or foreign file
            raise DataError(f"{settings.weights}: not weights of {source} without its top: {error}") from None
    return KerasModel(name, model, settings, source, pretrained=settings.weights is not None)


def restore(config: Mapping[str, Any], folder: Path) -> KerasModel:
    """From `KerasModel.config`; weights are loaded by the caller."""
    keras = _keras(config["name"])
    model = keras.models.model_from_json(json.dumps(config["model"]))
    settings = build(Settings, config["settings"], "backbone")
    return KerasModel(config["name"], model, settings, config["application"], config["pretrained"])


def _keras(name: str) -> Any:
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "torch"
    try:
        import keras
    except ImportError as error:
        raise MissingAssetError(
            f"backbone '{name}' needs the extra 'keras' ({error}); pip install 'acclimate[keras]'"
        ) from None
    backend = keras.backend.backend()
    if backend != "torch":
        raise SettingsError(
            f"backbone '{name}' needs Keras' torch backend, but Keras already runs on {backend}: set "
            "KERAS_BACKEND=torch before keras is imported"
        )
    return keras


def _application(name: str) -> Any:
    import keras

    known = [key for key in dir(keras.applications) if key[0].isupper()]
    if name not in known:
        raise SettingsError(unknown("Keras application", name, known))
    return getattr(keras.applications, name)


def _image_shape(name: str, model: Any) -> tuple[int | None, int | None]:
    """Height and channels of the images that a model reads, None where it leaves them open."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise DataError(f"{name}: reads inputs of shape {shape}; expected images [n, height, width, channels]")
    return shape[1], shape[3]


def _existing(path: str) -> None:
    if not Path(path).is_file():
        raise MissingAssetError(f"{path}: no such file; backbone.weights and keras: need a local Keras file")


def _read(keras: Any, path: str) -> Any:
    _existing(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zip, JSON, h5py and Keras raise several kinds for a broken file
        raise DataError(f"{path}: not a readable .keras model: {error}") from None


def _copy(source: Any, model: Any, path: str) -> None:
    """Take an application's weights from a model that may have a top as well."""
    given = {weight.path: weight for weight in source.weights}
    for weight in model.weights:
        if weight.path not in given or tuple(given[weight.path].shape) != tuple(weight.shape):
            raise DataError(f"{path}: has no weight '{weight.path}' of shape {tuple(weight.shape)}")
        weight.assign(given[weight.path])


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Keras' initialisers draw their seeds from Python's `random`."""
    state = random.getstate()
    random.seed(seed)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(state)
