"""Morgan fingerprints of molecules: the plain baseline, and often the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from acclimate.backbones.base import Identity, Spec
from acclimate.backbones.parts import Parts, of_atoms
from acclimate.backbones.passthrough import csr_tensor
from acclimate.domains.domain import Modality
from acclimate.domains.molecules import Fragment, chemistry, known
from acclimate.errors import SettingsError
from acclimate.settings import as_dict, build


@dataclass(frozen=True)
class Settings:
    """What is counted.

    Attributes:
        radius: bonds around each atom that a substructure reaches (2: ECFP4).
        size: of the fingerprint; substructures are folded into it.
        counts: how often each is there, and not only whether.
        fragment: of a salt, the "largest" fragment or the "whole".
        sparse: features stay sparse: less memory, but alignment of a bottleneck is all that can follow.
    """

    radius: int = 2
    size: int = 2048
    counts: bool = False
    fragment: Fragment = "largest"
    sparse: bool = False


class Morgan(Identity):
    """Which circular substructures a molecule has: layer ``fingerprint`` (Rogers & Hahn, J. Chem. Inf. Model. 2010).

    **Helps** with few labelled molecules, where networks have too little to learn from. **Hurts** across scaffolds that
    share no substructure, and where the shape in space decides.
    """

    kind = "morgan"

    def __init__(self, settings: Settings):
        super().__init__()
        if settings.radius < 0 or settings.size < 8:
            raise SettingsError(f"backbone: radius must be at least 0 and size at least 8, found {settings}")
        chemistry()
        from rdkit.Chem import rdFingerprintGenerator

        self.settings = settings
        self.generator = rdFingerprintGenerator.GetMorganGenerator(radius=settings.radius, fpSize=settings.size)
        layers = {"fingerprint": settings.size}
        self.spec = Spec(
            "morgan", "molecule", layers, "fingerprint", pretrained=True, trainable=False, sparse=settings.sparse
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Morgan:
        return Morgan(self.settings)

    def collate(self, raw: Sequence[str], *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        settings = self.settings
        take = self.generator.GetCountFingerprintAsNumPy if settings.counts else self.generator.GetFingerprintAsNumPy
        rows = [take(known(text, settings.fragment)).astype(np.float32) for text in raw]
        values = np.stack(rows) if rows else np.zeros((0, settings.size), dtype=np.float32)
        return csr_tensor(sparse.csr_matrix(values)) if settings.sparse else torch.from_numpy(values)

    def parts(self, raw: Sequence[str]) -> Parts:
        """Atoms; without one, the substructures that it is in are not there."""
        molecule = known(raw[0], self.settings.fragment)
        found = self._substructures(molecule)

        def without(kept: np.ndarray) -> Tensor:
            rows = np.zeros((len(kept), self.settings.size), dtype=np.float32)
            for bit, atoms in found:
                rows[:, bit] += kept[:, atoms].all(axis=1)
            rows = rows if self.settings.counts else np.minimum(rows, 1)
            return csr_tensor(sparse.csr_matrix(rows)) if self.settings.sparse else torch.from_numpy(rows)

        return of_atoms(raw[0], self.settings.fragment, [atom.GetSymbol() for atom in molecule.GetAtoms()], without)

    def _substructures(self, molecule: Any) -> list[tuple[int, list[int]]]:
        """The bit of each circular substructure, and its atoms."""
        from rdkit.Chem import FindAtomEnvironmentOfRadiusN
        from rdkit.Chem.rdFingerprintGenerator import AdditionalOutput

        told = AdditionalOutput()
        told.AllocateBitInfoMap()
        self.generator.GetCountFingerprint(molecule, additionalOutput=told)
        found = []
        for bit, places in told.GetBitInfoMap().items():
            for centre, radius in places:
                bonds = [molecule.GetBondWithIdx(k) for k in FindAtomEnvironmentOfRadiusN(molecule, radius, centre)]
                ends = {atom for bond in bonds for atom in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())}
                found.append((int(bit), sorted({centre, *ends})))
        return found

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Morgan:
    """Nothing to load."""
    return Morgan(settings)


def restore(config: Mapping[str, Any], folder: Path) -> Morgan:
    """From `Morgan.config`."""
    return Morgan(build(Settings, config["settings"], "backbone"))
