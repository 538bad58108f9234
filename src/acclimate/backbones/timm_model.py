"""Any image model of timm (``timm:NAME``), where timm works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from acclimate.backbones.base import Spec
from acclimate.backbones.image import ImageBackbone, Settings
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.preprocess import ImagePreprocess
from acclimate.domains.domain import Modality
from acclimate.errors import MissingAssetError, SettingsError, unknown
from acclimate.settings import as_dict, build


class TimmModel(ImageBackbone):
    """Layers: the stages that timm names in ``feature_info``, and ``final``, the pooled output: the default."""

    kind = "timm_model"

    def __init__(self, name: str, network: Any, settings: Settings, norm: Mapping[str, Any]):
        super().__init__()
        self.use(network)
        self.settings, self.norm = settings, dict(norm)
        mean, std = tuple(norm["mean"]), tuple(norm["std"])
        self.preprocess = ImagePreprocess(
            settings.size or int(norm["size"]), 3, mean, std, settings.square, settings.crop, settings.augment
        )
        stages = [info["module"] for info in getattr(network, "feature_info", None) or []]
        self.places = {**{stage: stage for stage in stages}, "final": ""}
        self.spec = Spec(name, "image", {}, "final", pretrained=True, learning_rate=1e-4)
        self.spec = replace(self.spec, layers=self.measure(list(self.places)))

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, [name for name, _ in self.network.named_children()])

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.spec.name, "settings": as_dict(self.settings), "norm": self.norm}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> TimmModel:
    """With pretrained weights from the local cache or the hub.

    Raises:
        MissingAssetError: timm does not work here, or the weights cannot be had.
        SettingsError: timm knows no such model.
    """
    timm = _timm(name)
    model = name.removeprefix("timm:")
    if not timm.is_model(model):
        raise SettingsError(unknown("timm model", model, timm.list_models()))
    try:
        network = timm.create_model(model, pretrained=True, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise MissingAssetError(f"the weights of '{name}' are not in the local cache, and the hub: {error}") from None
    found = timm.data.resolve_model_data_config(network)
    norm = {"mean": list(found["mean"]), "std": list(found["std"]), "size": int(found["input_size"][-1])}
    return TimmModel(name, network, settings, norm)


def restore(config: Mapping[str, Any], folder: Path) -> TimmModel:
    """From `TimmModel.config`; weights are loaded by the caller."""
    timm = _timm(config["name"])
    with torch.random.fork_rng(devices=[]):
        network = timm.create_model(config["name"].removeprefix("timm:"), pretrained=False, num_classes=0)
    return TimmModel(config["name"], network, build(Settings, config["settings"], "backbone"), config["norm"])


def _timm(name: str) -> Any:
    try:
        import timm
    except Exception as error:  # a torchvision of another torch build fails with RuntimeError, not ImportError
        raise MissingAssetError(
            f"backbone '{name}' needs the extra 'timm', which does not work here ({type(error).__name__}: {error}); "
            "pip install 'acclimate[timm]' with the torchvision that belongs to your torch"
        ) from None
    return timm
