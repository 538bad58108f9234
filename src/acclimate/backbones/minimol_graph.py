"""What MiniMol reads of a molecule: atoms, bonds, and where each atom is in the graph.

As graphium 2.4.7 describes molecules (Apache-2.0, Valence Labs, Recursion and Graphcore) with the settings of MiniMol
v1, written anew on RDKit, SciPy and torch. The network was trained on numbers of half precision, and is given these.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from acclimate.domains.molecules import Fragment, chemistry, known

ELEMENTS = (
    "C", "N", "O", "S", "F", "Si", "P", "Cl", "Br", "Mg", "Na", "Ca", "Fe", "As", "Al", "I", "B", "V", "K", "Tl", "Yb",
    "Sb", "Sn", "Ag", "Pd", "Co", "Se", "Ti", "Zn", "H", "Li", "Ge", "Cu", "Au", "Ni", "Cd", "In", "Mn", "Zr", "Cr",
    "Pt", "Hg", "Pb",
)  # fmt: skip
GROUPS, PERIODS, VALENCES = range(1, 20), range(1, 8), range(7)
"""Group 19 is that of lanthanides and actinides."""
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
STEREO = ("STEREONONE", "STEREOANY", "STEREOZ", "STEREOE", "STEREOCIS", "STEREOTRANS")
FREQUENCIES, STEPS = 8, 16
"""How many of the Laplacian's eigenvectors an atom is described by, and how long random walks are."""
EQUAL = 1e-6
"""Eigenvalues, and lengths, that differ by no more are equal."""
_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)


def graph(smiles: str, fragment: Fragment = "largest") -> dict[str, np.ndarray]:
    """The inputs of the network for one molecule of m atoms and e bonds, each bond in both directions.

    Returns:
        ``feat [m, 85]``, ``edge_feat [2e, 13]``, ``edge_index [2, 2e]``, ``laplacian_eigvec [m, 8]``,
        ``laplacian_eigval [m, 8]``, ``rw_return_probs [m, 16]``, ``batch [m]`` and ``graph_slots [1]``.

    Raises:
        DataError: it is no molecule.
    """
    molecule = _ordered(known(smiles, fragment))
    bonds = list(molecule.GetBonds())
    atoms = np.array([_atom(atom) for atom in molecule.GetAtoms()])
    ends = np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds], dtype=np.int64).reshape(-1, 2)
    edges = np.stack([ends, ends[:, ::-1]], axis=1).reshape(-1, 2)
    of_bonds = np.array([_bond(bond) for bond in bonds]).reshape(len(bonds), len(BONDS) + len(STEREO) + 3)
    bonded = np.zeros((len(atoms), len(atoms)))
    bonded[edges[:, 0], edges[:, 1]] = 1
    frequencies, waves = spectrum(bonded, chemistry().GetMolFrags(molecule))
    return {
        "feat": _half(atoms),
        "edge_feat": _half(of_bonds.repeat(2, axis=0)),
        "edge_index": np.ascontiguousarray(edges.T),
        "laplacian_eigvec": _half(waves),
        "laplacian_eigval": _half(frequencies),
        "rw_return_probs": _half(returns(bonded)),
        "batch": np.zeros(len(atoms), dtype=np.int64),
        "graph_slots": np.zeros(1, dtype=np.float32),
    }


def group_and_period(number: int) -> tuple[int, int]:
    """Where an element is in the periodic table; a dummy atom (number 0) is read as the last element."""
    number = number or _NOBLE[-1]
    period = bisect_left(_NOBLE, number)
    place, left = number - _NOBLE[period - 1], _NOBLE[period] - number
    if place <= 2 and left:
        return place, period
    if period >= 6 and left > 14:
        return (3 if place == 3 else GROUPS[-1]), period
    return 18 - left, period


def spectrum(bonded: np.ndarray, fragments: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest eigenvalues of each fragment's Laplacian and their eigenvectors, each ``[m, 8]``; zero where it has
    fewer. ``bonded [m, m]`` is 1 between neighbours.

    By LAPACK's solver for matrices of any kind, as in training: signs are what it makes of atoms in their canonical
    order. Where eigenvalues are equal its vectors are any basis of their space, and another one on another processor;
    `basis` takes its place, so that features are the same everywhere.
    """
    from scipy.linalg import eig, eigh

    values, vectors = (np.zeros((len(bonded), FREQUENCIES)) for _ in range(2))
    for fragment in fragments:
        own = np.array(fragment)
        inside = bonded[np.ix_(own, own)]
        laplacian = np.diag(inside.sum(1)) - inside
        found, waves = eig(laplacian)
        lowest = found.argsort()
        found, waves = found[lowest].real, waves[:, lowest].real
        waves = waves / np.maximum(np.sqrt(np.sum(waves**2, axis=0, keepdims=True)), 1e-4)
        spaces = np.split(np.arange(len(found)), np.flatnonzero(np.diff(found) > EQUAL) + 1)
        if len(spaces) < len(found):
            level = eigh(laplacian)[1]
            for space in spaces:
                waves[:, space] = basis(level[:, space]) if len(space) > 1 else waves[:, space]
        values[own, : len(found)] = found[:FREQUENCIES]
        vectors[own, : len(found)] = waves[:, :FREQUENCIES]
    return values, vectors


def basis(waves: np.ndarray) -> np.ndarray:
    """Of orthonormal vectors ``[m, k]`` the orthonormal basis of their space that goes by atoms alone: its first vector
    is the shadow of the first atom that has one, the next that of a later atom, and so on.
    """
    shadows = waves @ waves.T
    taken: list[np.ndarray] = []
    for shadow in shadows:
        rest = shadow - sum((one * (one @ shadow) for one in taken), np.zeros(len(shadow)))
        if (length := float(np.linalg.norm(rest))) > EQUAL and len(taken) < waves.shape[1]:
            taken.append(rest / length)
    return np.stack(taken, axis=1)


def returns(bonded: np.ndarray) -> np.ndarray:
    """How likely a random walk over bonds is back at its atom after 1 to 16 steps ``[m, 16]``."""
    if len(bonded) == 1:
        return np.ones((1, STEPS))
    neighbours = torch.from_numpy(bonded).float()
    walk = torch.diag(neighbours.sum(1).pow(-1).nan_to_num(posinf=0.0)) @ neighbours
    power, found = walk, [walk.diagonal()]
    for _ in range(STEPS - 1):
        power = power @ walk
        found.append(power.diagonal())
    return torch.stack(found, dim=1).numpy()


def order_of(smiles: str, fragment: Fragment = "largest") -> np.ndarray:
    """Which atom of the SMILES each atom of `graph` is."""
    molecule = known(smiles, fragment)
    for place, atom in enumerate(molecule.GetAtoms()):
        atom.SetIntProp("_place", place)
    return np.array([atom.GetIntProp("_place") for atom in _ordered(molecule).GetAtoms()])


def _ordered(molecule: Any) -> Any:
    """Atoms in the order of their canonical rank: eigenvectors, and so features, depend on it."""
    from rdkit import rdBase

    chem = chemistry()
    ranks = chem.CanonicalRankAtoms(molecule, breakTies=True, includeChirality=True, includeIsotopes=True)
    with rdBase.BlockLogs():
        return chem.RemoveHs(chem.RenumberAtoms(molecule, [int(place) for place in np.argsort(ranks)]))


def _atom(atom: Any) -> list[float]:
    """The 85 numbers of an atom."""
    group, period = group_and_period(atom.GetAtomicNum())
    return [
        atom.GetTotalDegree() - 2,
        atom.GetFormalCharge(),
        atom.GetNumRadicalElectrons(),
        atom.GetIsAromatic(),
        atom.IsInRing(),
        *_one_of(atom.GetSymbol(), ELEMENTS),
        *_one_of(group, GROUPS),
        *_one_of(period, PERIODS),
        *_one_of(atom.GetTotalValence(), VALENCES),
    ]


def _bond(bond: Any) -> list[float]:
    """The 13 numbers of a bond."""
    return [*_one_of(bond.GetBondType().name, BONDS), *_one_of(bond.GetStereo().name, STEREO), bond.IsInRing()]


def _one_of(value: Any, classes: Sequence[Any]) -> list[float]:
    """One-hot, the last place for what is none of the classes."""
    return [*(float(value == name) for name in classes), float(value not in classes)]


def _half(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)
