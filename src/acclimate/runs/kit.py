"""The network that a recipe names with its tuning, and which methods work with both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from acclimate.backbones import registry as backbones
from acclimate.backbones.base import Backbone
from acclimate.errors import AcclimateError, SettingsError
from acclimate.methods import registry as methods
from acclimate.methods.base import Method
from acclimate.methods.data import Data
from acclimate.runs.prepare import Prepared
from acclimate.runs.recipe import Recipe
from acclimate.settings import build
from acclimate.tasks.base import KEPT
from acclimate.training.settings import Tune
from acclimate.training.stage import Loop

MOVING_BOTTLENECK = 256
"""Width of the trainable layer on frozen features, for methods that train by gradient steps."""


@dataclass(frozen=True)
class Kit:
    """A network, and what happens to it.

    Attributes:
        name: of the backbone.
        settings: of the backbone.
        network: a fresh one.
        tune: what happens to it.
    """

    name: str
    settings: Mapping[str, Any]
    network: Backbone
    tune: Tune


def kit(recipe: Recipe, prepared: Prepared, asked: Mapping[str, Any], objects: Mapping[str, Any] | None = None) -> Kit:
    """What the recipe names, or the default; ``asked`` are the settings of the tuning.

    Raises:
        SettingsError: unknown names or settings, or a network that cannot give what the task reads.
    """
    data, modality = prepared.data, prepared.schema.modality
    name = recipe.backbone.get("name") or backbones.default(modality)
    settings = {k: v for k, v in recipe.backbone.items() if k != "name"}
    if data.task.writes and name == backbones.DEFAULTS.get(modality) and not backbones.writes(name):
        raise SettingsError(
            f"task '{data.task.name}' writes texts: name a model that does with --backbone, such as a "
            "folder of transformers or hf:NAME"
        )
    network = create_backbone(name, modality, settings, recipe.seed, objects, data.task.writes)
    frozen = network.spec.pretrained and data.task.reads in KEPT
    tune = build(Tune, {"kind": "frozen" if frozen else "full", **asked}, "tune")
    _check_reading(data, network, tune)
    return Kit(name, settings, network, tune)


def create_backbone(
    name: str,
    modality: Any,
    settings: Mapping[str, Any],
    seed: int,
    objects: Mapping[str, Any] | None = None,
    writes: bool = False,
) -> Backbone:
    """A fresh backbone by name, one that writes where it can, or the object that Python handed over."""
    if objects and name in objects:
        return objects[name]()
    return backbones.create(name, modality, settings, seed, writes)


def _check_reading(data: Data, network: Backbone, tune: Tune) -> None:
    """Refuse a tuning with which the network cannot give what the task reads."""
    task = data.task
    if task.writes:
        task.own_head(network)
        if tune.bottleneck:
            raise SettingsError(f"task '{task.name}' writes with the backbone as it is; leave tune.bottleneck out")
    if task.reads in ("pair", "states") and not task.writes:
        network.read_units()
    if task.reads == "words":
        network.read_words()
    if task.reads == "maps":
        network.read_maps()
        if not task.writes and set(network.spec.maps) <= {1}:
            raise SettingsError(
                f"backbone '{network.spec.name}' gives no maps of places by itself; take mobilenet_v2 or another "
                "convolutional network"
            )
        if tune.kind == "frozen" or tune.bottleneck or tune.layer:
            raise SettingsError(
                f"task '{task.name}' reads maps of several layers, which are not kept: use --tune full, or lora, and "
                "leave tune.layer and tune.bottleneck out"
            )
    if task.reads in ("pair", "words") and tune.kind == "frozen":
        raise SettingsError(f"task '{task.name}' reads tokens, and frozen ones are not kept: use --tune full, or lora")
    if task.reads == "sentences" and (tune.kind != "frozen" or network.spec.sparse or not network.spec.pretrained):
        raise SettingsError(
            f"task '{task.name}' reads frozen sentences: take --tune frozen and a pretrained text encoder, as minilm"
        )


def check_method(method: Method, data: Data, network: Backbone, tune: Tune) -> None:
    """Refuse what would fail or mean nothing only after the run has begun.

    Raises:
        SettingsError: what it is, and what would do.
    """
    spec = network.spec
    layer = network.check_layer(tune.layer)
    if spec.layers:  # those of a module from Python may wait for its first input
        network.size(layer)
    if tune.kind == "frozen" and not spec.pretrained:
        raise SettingsError(f"backbone '{spec.name}' starts from scratch: frozen it knows nothing; use --tune full")
    if tune.kind != "frozen" and not spec.trainable:
        raise SettingsError(f"backbone '{spec.name}' has nothing to train; use --tune frozen")
    if tune.kind == "lora" and not network.lora_targets():
        raise SettingsError(f"backbone '{spec.name}' names no module for LoRA; use --tune full")
    if lacking := method.lacks(network, tune.kind == "frozen"):
        raise SettingsError(lacking)
    if method.aligns and tune.kind == "frozen" and tune.bottleneck == 0:
        raise SettingsError(
            f"method '{method.name}' moves features, but frozen ones without a bottleneck cannot move; "
            "leave tune.bottleneck out, or use --tune full"
        )
    method.stages(data, tune.kind == "frozen" and not bottleneck(tune, method, data))


def bottleneck(tune: Tune, method: Method, data: Data) -> int:
    """On frozen features, gradient steps need something that can move."""
    if tune.bottleneck is not None:
        return tune.bottleneck
    steps = any(isinstance(stage, Loop) for stage in method.stages(data, True))
    return MOVING_BOTTLENECK if tune.kind == "frozen" and steps else 0


def suits(method: Method, data: Data, network: Backbone, tune: Tune) -> bool:
    """Whether the method can work with these data, this network and this tuning."""
    if method.misses(data):
        return False
    try:
        check_method(method, data, network, tune)
    except SettingsError:
        return False
    return True


def accepted(data: Data, found: Kit) -> list[str]:
    """The methods that work with these data, this network and this tuning."""
    return [name for name in methods.works_with(data) if suits(methods.create(name), data, found.network, found.tune)]


def would_work(data: Data, found: Kit) -> str:
    """A sentence that names the methods that work, also with labels of the target that only choose now."""
    judged = replace(data, labelled_target=data.labelled_target or data.labelled_target_validation)
    return f". Methods that would work: {', '.join(names)}" if (names := accepted(judged, found)) else ""


def check_data(method: Method, recipe: Recipe, prepared: Prepared, asked: Mapping[str, Any], objects: Any) -> None:
    """Refuse data that the method cannot work with.

    Raises:
        SettingsError: why, and the methods that would work.
    """
    if why := methods.unfit(method, prepared.data):
        try:
            others = would_work(prepared.data, kit(recipe, prepared, asked, objects))
        except AcclimateError:  # the network is wrong too: this is told once the method is right
            others = ""
        raise SettingsError(why + others)
