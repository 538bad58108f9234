"""A message passing network on the graph of a molecule, from scratch, in plain torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.base import Spec
from acclimate.backbones.layers import LayeredBackbone, blocks_by_prefix
from acclimate.backbones.parts import Parts, of_atoms
from acclimate.domains.domain import Modality, Rows
from acclimate.domains.molecules import Fragment, chemistry, known
from acclimate.errors import SettingsError
from acclimate.settings import as_dict, build

ELEMENTS = ("C", "N", "O", "S", "F", "P", "Cl", "Br", "I", "B", "Si", "Se", "Na", "K", "H")
"""Elements with a vector of their own; all others share one."""
ATOM = (len(ELEMENTS) + 1, 7, 7, 6, 2, 2, 6)
"""Values of what is known of an atom: element, bonds, charge, hydrogens, aromatic, in a ring, hybridisation."""
BOND = (5, 2, 2)
"""Values of what is known of a bond: kind, conjugated, in a ring."""
_BLOCK = 256


@dataclass(frozen=True)
class Settings:
    """The network.

    Attributes:
        width: of an atom's vector.
        depth: rounds of messages: how many bonds far an atom sees.
        dropout: after each round.
        fragment: of a salt, the "largest" fragment or the "whole".
    """

    width: int = 128
    depth: int = 4
    dropout: float = 0.0
    fragment: Fragment = "largest"


class Messages(nn.Module):
    """One round: each atom adds what comes over its bonds, through two layers, to what it was: GINE.

    Hu et al., Strategies for pre-training graph neural networks, ICLR 2020, appendix A (GIN with bonds); a residual
    connection and layer norm in the place of batch norm, so that no molecule depends on its batch.
    """

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.bond = nn.ModuleList(nn.Embedding(size, width) for size in BOND)
        self.update = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, atoms: Tensor, begin: Tensor, end: Tensor, bonds: Tensor) -> Tensor:
        """``[m, width]`` atoms; ``begin`` and ``end`` ``[e]``, ``bonds [e]`` (`_kinds`), each in both directions."""
        kind, conjugated, ring = self.bond.parameters()
        tables = (kind[:, None, None] + conjugated[:, None] + ring).flatten(0, 2)
        sent = (atoms.index_select(0, begin) + tables.index_select(0, bonds)).relu_()
        received = torch.zeros_like(atoms).index_add(0, end, sent)
        return self.norm(atoms + self.drop(self.update(atoms + received)))


class Network(nn.Module):
    """Atoms and bonds of many molecules as one graph: ``[n, 2 * width]``, mean and maximum over each one's atoms."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.atom = nn.ModuleList(nn.Embedding(size, settings.width) for size in ATOM)
        self.depth = settings.depth
        for k in range(settings.depth):
            self.add_module(f"round_{k + 1}", Messages(settings.width, settings.dropout))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        atoms, bonds = inputs["atoms"], inputs["bonds"]
        n, most = atoms.shape[:2]
        there = torch.arange(most, device=atoms.device) < inputs["sizes"].unsqueeze(1)
        owner = there.nonzero()[:, 0]
        place = (there.flatten().cumsum(0) - 1).reshape(n, most)  # of each atom among all atoms that are there
        bonded = torch.arange(bonds.shape[1], device=atoms.device) < inputs["bonds_of"].unsqueeze(1)
        row = bonded.nonzero()[:, 0]
        of = bonds[bonded]
        begin, end = place[row, of[:, 0]], place[row, of[:, 1]]
        codes = atoms[there]
        values = torch.stack([table(codes[:, k]) for k, table in enumerate(self.atom)]).sum(0)
        ways = torch.cat([begin, end]), torch.cat([end, begin]), _kinds(of[:, 2:]).repeat(2)
        for k in range(self.depth):
            values = self.get_submodule(f"round_{k + 1}")(values, *ways)
        total = values.new_zeros(n, values.shape[1]).index_add(0, owner, values)
        index = owner.unsqueeze(1).expand_as(values)
        largest = values.new_full((n, values.shape[1]), -torch.inf).scatter_reduce(0, index, values, "amax")
        return torch.cat([total / inputs["sizes"].unsqueeze(1), largest], dim=1)


def _kinds(bonds: Tensor) -> Tensor:
    """One number ``[e]`` for each combination of `BOND`, of bonds ``[e, 3]``."""
    return (bonds[:, 0] * BOND[1] + bonds[:, 1]) * BOND[2] + bonds[:, 2]


class MoleculeGraph(LayeredBackbone):
    """Rounds of messages between bonded atoms, then mean and maximum over atoms. Layer: ``graph``.

    **Helps** with thousands of labelled molecules, and as a network that can be meta-trained over many assays.
    **Hurts** with few: a forest on fingerprints is hard to beat below some thousand.
    """

    kind = "molecule_graph"

    def __init__(self, settings: Settings, seed: int):
        super().__init__()
        if settings.width < 1 or settings.depth < 1 or not 0 <= settings.dropout < 1:
            raise SettingsError(f"backbone: width and depth must be positive and dropout in [0, 1), found {settings}")
        chemistry()
        self.settings = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Network(settings)
        self.places = {"graph": ""}
        self.spec = Spec("molecule_graph", "molecule", {"graph": 2 * settings.width}, "graph", pretrained=False)

    def collate(
        self, raw: Sequence[str], *, training: bool = False, rng: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        """Codes of atoms ``[n, most, 7]`` and bonds ``[n, most, 2 + 3]``, padded, and how many are there ``[n]``."""
        return self._joined([graph(text, self.settings.fragment) for text in raw])

    def _joined(self, graphs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Tensor]:
        sizes, counts = (np.array([len(part[k]) for part in graphs], dtype=np.int64) for k in (0, 1))
        atoms = np.zeros((len(graphs), max(sizes, default=1), len(ATOM)), dtype=np.int64)
        bonds = np.zeros((len(graphs), max(counts, default=0), 2 + len(BOND)), dtype=np.int64)
        for k, (own, over) in enumerate(graphs):
            atoms[k, : len(own)], bonds[k, : len(over)] = own, over
        found = {"atoms": atoms, "bonds": bonds, "sizes": sizes, "bonds_of": counts}
        return {name: torch.from_numpy(values) for name, values in found.items()}

    def parts(self, raw: Sequence[str]) -> Parts:
        """Atoms; without one, neither it nor its bonds are there. Without any, an unknown atom is alone."""
        own = graph(raw[0], self.settings.fragment)
        symbols = [atom.GetSymbol() for atom in known(raw[0], self.settings.fragment).GetAtoms()]

        def without(kept: np.ndarray) -> dict[str, Tensor]:
            return self._joined([_part(*own, row) for row in kept])

        return of_atoms(raw[0], self.settings.fragment, symbols, without)

    def lengths(self, rows: Rows) -> np.ndarray:
        """Atoms of each molecule."""
        blocks = (np.arange(k, min(k + _BLOCK, len(rows))) for k in range(0, len(rows), _BLOCK))
        return np.array([len(graph(text, self.settings.fragment)[0]) for block in blocks for text in rows.take(block)])

    def example(self) -> dict[str, Tensor]:
        return self.collate(["CC"])

    def lora_targets(self) -> list[str]:
        """The layers that update atoms."""
        return [f"network.round_{k + 1}.update.{j}" for k in range(self.settings.depth) for j in (0, 2)]

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, ["atom", *(f"round_{k + 1}" for k in range(self.settings.depth))])

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}


def _part(atoms: np.ndarray, bonds: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The atoms that are kept, as they were, and the bonds between them."""
    if not kept.any():
        alone = np.zeros((1, len(ATOM)), dtype=atoms.dtype)
        alone[0, 0] = len(ELEMENTS)
        return alone, bonds[:0]
    place = np.cumsum(kept) - 1
    over = bonds[kept[bonds[:, 0]] & kept[bonds[:, 1]]].copy()
    over[:, :2] = place[over[:, :2]]
    return atoms[kept], over


@lru_cache(maxsize=100_000)
def graph(smiles: str, fragment: Fragment = "largest") -> tuple[np.ndarray, np.ndarray]:
    """Codes of atoms ``[m, 7]`` (`ATOM`), and of bonds ``[e, 5]``: first atom, second atom, and `BOND`; uint16."""
    molecule = known(smiles, fragment)
    atoms = [
        (
            ELEMENTS.index(atom.GetSymbol()) if atom.GetSymbol() in ELEMENTS else len(ELEMENTS),
            min(atom.GetDegree(), ATOM[1] - 1),
            min(max(atom.GetFormalCharge() + 3, 0), ATOM[2] - 1),
            min(atom.GetTotalNumHs(), ATOM[3] - 1),
            int(atom.GetIsAromatic()),
            int(atom.IsInRing()),
            min(max(int(atom.GetHybridization()) - 1, 0), ATOM[6] - 1),
        )
        for atom in molecule.GetAtoms()
    ]
    kinds = {1.0: 0, 2.0: 1, 3.0: 2, 1.5: 3}
    bonds = [
        (
            bond.GetBeginAtomIdx(),
            bond.GetEndAtomIdx(),
            kinds.get(bond.GetBondTypeAsDouble(), BOND[0] - 1),
            int(bond.GetIsConjugated()),
            int(bond.IsInRing()),
        )
        for bond in molecule.GetBonds()
    ]
    return np.array(atoms, dtype=np.uint16), np.array(bonds, dtype=np.uint16).reshape(-1, 2 + len(BOND))


def create(name: str, modality: Modality, settings: Settings, seed: int) -> MoleculeGraph:
    """With initial weights that are a function of the seed alone."""
    return MoleculeGraph(settings, seed)


def restore(config: Mapping[str, Any], folder: Path) -> MoleculeGraph:
    """From `MoleculeGraph.config`; weights are loaded by the caller."""
    return MoleculeGraph(build(Settings, config["settings"], "backbone"), seed=0)
