"""Imputed, scaled, one-hot columns without a network: the plain baseline of tables and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from acclimate.backbones import column_encoder, linked_columns
from acclimate.backbones.base import Identity, Spec
from acclimate.backbones.column_encoder import ColumnEncoder
from acclimate.backbones.linked_columns import LinkedEncoder
from acclimate.backbones.parts import Parts
from acclimate.backbones.passthrough import csr_tensor
from acclimate.domains.domain import Domain, Modality
from acclimate.errors import DataError
from acclimate.settings import as_dict, build


@dataclass(frozen=True)
class Settings:
    """How columns are prepared: `acclimate.backbones.column_encoder`."""

    standardize: bool = True
    binarize: bool = False


class Columns(Identity):
    """The encoded columns themselves, as layer ``columns``; sparse input gives sparse features."""

    kind = "columns"

    def __init__(self, modality: Modality, settings: Settings):
        super().__init__()
        self.settings = settings
        self.spec = Spec("columns", modality, {"columns": 0}, "columns", pretrained=True, trainable=False)
        self.encoder: ColumnEncoder | LinkedEncoder | None = None

    @property
    def links(self) -> bool:
        return True

    def fit(self, domain: Domain) -> None:
        options = {"standardize": self.settings.standardize, "binarize": self.settings.binarize}
        self._set(column_encoder.fit(domain, **options))

    def link(self, domain: Domain) -> None:
        if not isinstance(self.encoder, ColumnEncoder):
            raise DataError("columns does not know its first domain yet: call fit(domain) before link(domain)")
        self._set(linked_columns.link(self.encoder, domain))

    def collate(self, raw: Any, *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        values = self._known().encode(raw)
        return csr_tensor(values) if sparse.issparse(values) else torch.from_numpy(values)

    def parts(self, raw: Any) -> Parts:
        """Columns."""
        return linked_columns.parts(self._known(), raw)

    def _known(self) -> ColumnEncoder | LinkedEncoder:
        if self.encoder is None:
            raise DataError("columns does not know its columns yet: call fit(domain) first")
        return self.encoder

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "modality": self.spec.modality,
            "settings": as_dict(self.settings),
            "encoder": None if self.encoder is None else self.encoder.to_json(),
        }

    def _set(self, encoder: ColumnEncoder | LinkedEncoder) -> None:
        self.encoder = encoder
        idle = {"columns": encoder.idle}
        self.spec = replace(self.spec, layers={"columns": encoder.size}, sparse=encoder.kind == "sparse", idle=idle)


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Columns:
    """Without statistics: `Columns.fit` learns them."""
    return Columns(modality, settings)


def restore(config: Mapping[str, Any], folder: Path) -> Columns:
    """From `Columns.config`."""
    backbone = Columns(config["modality"], build(Settings, config["settings"], "backbone"))
    if config["encoder"] is not None:
        backbone._set(linked_columns.restore(config["encoder"]))
    return backbone
