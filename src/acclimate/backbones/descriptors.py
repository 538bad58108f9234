"""RDKit's descriptors of molecules, standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones import column_encoder, linked_columns
from acclimate.backbones.base import Identity, Spec
from acclimate.backbones.column_encoder import ColumnEncoder
from acclimate.backbones.parts import Parts
from acclimate.domains.domain import ArrayRows, Domain, Modality
from acclimate.domains.molecules import Fragment, chemistry, known
from acclimate.errors import DataError
from acclimate.settings import as_dict, build

_LARGE = 1e12


@dataclass(frozen=True)
class Settings:
    """``fragment``: of a salt, the "largest" fragment or the "whole"."""

    fragment: Fragment = "largest"


class Descriptors(Identity):
    """Weight, charges, surfaces, counts of groups and the like, about 200 numbers: layer ``descriptors``.

    What cannot be computed (of odd elements, for example) is missing: it becomes the source's median, with an indicator
    (`acclimate.backbones.column_encoder`).

    **Helps** where size, solubility or charge decide, as for what passes into the brain, and across scaffolds.
    **Hurts** where one substructure is what matters.
    """

    kind = "descriptors"

    def __init__(self, settings: Settings):
        super().__init__()
        chemistry()
        self.settings = settings
        self.encoder: ColumnEncoder | None = None
        self.spec = Spec("descriptors", "molecule", {"descriptors": 0}, "descriptors", pretrained=True, trainable=False)

    def fit(self, domain: Domain) -> None:
        values = self._values(domain.rows.take(domain.order))
        rows = ArrayRows(values[np.argsort(domain.order)])
        self._set(column_encoder.fit(replace(domain.sealed(), rows=rows)))

    def collate(self, raw: Sequence[str], *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        if self.encoder is None:
            raise DataError("descriptors does not know their scales yet: call fit(domain) first")
        return torch.from_numpy(np.asarray(self.encoder.encode(self._values(raw))))

    def parts(self, raw: Sequence[str]) -> Parts:
        """The descriptors themselves: which atoms make them they do not say."""
        from rdkit.Chem.Descriptors import descList

        if self.encoder is None:
            raise DataError("descriptors does not know their scales yet: call fit(domain) first")
        found = linked_columns.parts(self.encoder, self._values(raw))
        names = tuple(descList[int(name) - 1][0] for name in found.names)
        return replace(found, names=names, places=names)

    def _values(self, raw: Sequence[str]) -> np.ndarray:
        """``[n, descriptors]`` float64, NaN where one cannot be computed."""
        from rdkit import rdBase
        from rdkit.Chem.Descriptors import CalcMolDescriptors, descList

        rows = np.full((len(raw), len(descList)), np.nan)
        with rdBase.BlockLogs():
            for k, text in enumerate(raw):
                found = CalcMolDescriptors(known(text, self.settings.fragment), missingVal=np.nan, silent=True)
                rows[k] = [found[name] for name, _ in descList]
        return np.where(np.abs(rows) < _LARGE, rows, np.nan)

    def _set(self, encoder: ColumnEncoder) -> None:
        self.encoder = encoder
        self.spec = replace(self.spec, layers={"descriptors": encoder.size})

    def config(self) -> dict[str, Any]:
        encoder = None if self.encoder is None else self.encoder.to_json()
        return {"kind": self.kind, "settings": as_dict(self.settings), "encoder": encoder}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Descriptors:
    """Without scales: `Descriptors.fit` learns them."""
    return Descriptors(settings)


def restore(config: Mapping[str, Any], folder: Path) -> Descriptors:
    """From `Descriptors.config`."""
    backbone = Descriptors(build(Settings, config["settings"], "backbone"))
    if config["encoder"] is not None:
        backbone._set(ColumnEncoder.from_json(config["encoder"]))
    return backbone
