"""A multilayer perceptron from scratch, for tables and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones import column_encoder, linked_columns
from acclimate.backbones.base import Backbone, Spec
from acclimate.backbones.column_encoder import ColumnEncoder
from acclimate.backbones.layers import ignore_last
from acclimate.backbones.linked_columns import LinkedEncoder
from acclimate.backbones.parts import Parts
from acclimate.domains.domain import Domain, Modality
from acclimate.errors import DataError, SettingsError
from acclimate.settings import as_dict, build

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


@dataclass(frozen=True)
class Settings:
    """Widths of the hidden layers and how columns are prepared (`acclimate.backbones.column_encoder`).

    ``hidden=(50,), activation="sigmoid"`` is the shallow network of Ganin et al., JMLR 2016, section 5.1.
    """

    hidden: tuple[int, ...] = (100,)
    activation: Literal["relu", "sigmoid", "tanh"] = "relu"
    dropout: float = 0.0
    standardize: bool = True
    binarize: bool = False


class MLP(Backbone):
    """Columns -> hidden layers. Layers: ``columns`` (the encoded input), ``hidden_1`` ..., the last is the default.

    The width of the input is learned in `fit`; the initial weights are a function of seed and width.
    """

    kind = "mlp"

    def __init__(self, modality: Modality, settings: Settings, seed: int):
        super().__init__()
        if not settings.hidden or min(settings.hidden) < 1 or not 0 <= settings.dropout < 1:
            raise SettingsError(f"backbone: hidden widths must be positive and dropout in [0, 1), found {settings}")
        self.settings, self._seed = settings, seed
        sizes = {"columns": 0, **{f"hidden_{k + 1}": width for k, width in enumerate(settings.hidden)}}
        self.spec = Spec("mlp", modality, sizes, f"hidden_{len(settings.hidden)}", pretrained=False)
        self.network = nn.ModuleList()
        self.encoder: ColumnEncoder | LinkedEncoder | None = None

    @property
    def links(self) -> bool:
        """Unless it was taught on columns of one kind."""
        return not self.spec.pretrained or isinstance(self.encoder, LinkedEncoder)

    @property
    def steady(self) -> bool:
        return True

    def fit(self, domain: Domain) -> None:
        if self.spec.pretrained:  # its weights belong to the columns that it knows
            return
        options = {"standardize": self.settings.standardize, "binarize": self.settings.binarize}
        self._build(column_encoder.fit(domain, **options))

    def link(self, domain: Domain) -> None:
        if self.spec.pretrained and self.links:
            return
        if not isinstance(self.encoder, ColumnEncoder):
            raise DataError("mlp does not know its first domain yet: call fit(domain) before link(domain)")
        self._build(linked_columns.link(self.encoder, domain))

    def collate(self, raw: Any, *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        values = self._known().encode(raw)
        return torch.from_numpy(values if isinstance(values, np.ndarray) else values.toarray())

    def parts(self, raw: Any) -> Parts:
        """Columns."""
        return linked_columns.parts(self._known(), raw)

    def _known(self) -> ColumnEncoder | LinkedEncoder:
        if self.encoder is None:
            raise DataError("mlp does not know its columns yet: call fit(domain) first")
        return self.encoder

    def forward(self, inputs: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        asked = [self.check_layer(layer) for layer in (layers or [self.spec.default])]
        features = {"columns": inputs}
        for k, layer in enumerate(self.network):
            inputs = layer(inputs)
            features[f"hidden_{k + 1}"] = inputs
        return {layer: features[layer].float() for layer in asked}

    def blocks(self) -> list[list[nn.Parameter]]:
        return [list(layer.parameters()) for layer in self.network]

    def lora_targets(self) -> list[str]:
        return [f"network.{k}.0" for k in range(len(self.settings.hidden))]  # known before `fit`

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "modality": self.spec.modality,
            "settings": as_dict(self.settings),
            "encoder": None if self.encoder is None else self.encoder.to_json(),
        }

    def _build(self, encoder: ColumnEncoder | LinkedEncoder) -> None:
        self.encoder = encoder
        layers = {**self.spec.layers, "columns": encoder.size}
        self.spec = replace(self.spec, layers=layers, idle={"columns": encoder.idle})
        widths = [encoder.size, *self.settings.hidden]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self.network = nn.ModuleList(
                nn.Sequential(
                    nn.Linear(wide, narrow), _ACTIVATIONS[self.settings.activation](), nn.Dropout(self.settings.dropout)
                )
                for wide, narrow in pairwise(widths)
            )
        ignore_last(self.network[0].get_submodule("0"), encoder.idle)


def create(name: str, modality: Modality, settings: Settings, seed: int) -> MLP:
    """Without weights: `MLP.fit` learns the columns and builds the network."""
    return MLP(modality, settings, seed)


def restore(config: Mapping[str, Any], folder: Path) -> MLP:
    """From `MLP.config`; weights are loaded by the caller."""
    backbone = MLP(config["modality"], build(Settings, config["settings"], "backbone"), seed=0)
    if config["encoder"] is not None:
        backbone._build(linked_columns.restore(config["encoder"]))
    return backbone
