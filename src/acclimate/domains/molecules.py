"""Molecules as SMILES: what can be read, equal ones, and groups of related ones that a split keeps together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.domains.ids import hash_texts
from acclimate.errors import DataError, MissingAssetError, SettingsError

Split = Literal["random", "scaffold", "cluster"]
Fragment = Literal["largest", "whole"]
CLUSTERED = 10_000
"""Molecules that are clustered at most: all pairs are compared."""
CUTOFF = 0.4
"""Tanimoto distance up to which molecules are of one cluster."""


_SMILES = re.compile(r"[A-Za-z0-9@+\-\[\]()=#$:/\\%.*~]+")
_BONDS = re.compile(r"[()=#\[\d]")
LIKE = 50
"""Texts that tell whether a column holds molecules."""


def chemistry() -> Any:
    """RDKit's ``Chem``.

    Raises:
        MissingAssetError: the extra is not installed.
    """
    try:
        from rdkit import Chem
    except ImportError:
        raise MissingAssetError("molecules are read by RDKit: pip install 'acclimate[molecules]'") from None
    return Chem


def smiles_like(texts: Sequence[str]) -> bool:
    """Whether texts, read as such, look like SMILES: no white space, most with bonds, branches or rings, and RDKit, if
    it is there, reads nine of ten.
    """
    some = [text.strip() for text in texts[:LIKE]]
    if not some or not all(map(_SMILES.fullmatch, some)) or sum(map(bool, map(_BONDS.search, some))) < len(some) / 2:
        return False
    try:
        return sum(parsed(text) is not None for text in some) >= 0.9 * len(some)
    except MissingAssetError:
        return False


def parsed(smiles: str, fragment: Fragment = "whole") -> Any:
    """The molecule of a SMILES, None where RDKit cannot read it or it has no atom.

    Of several fragments (a salt, a solvate) "largest" keeps the one with most heavy atoms, of equal ones the first by
    canonical SMILES; metals stay where they are.
    """
    from rdkit import rdBase

    chem = chemistry()
    with rdBase.BlockLogs():
        molecule = chem.MolFromSmiles(smiles)
        if molecule is None or not molecule.GetNumAtoms():
            return None
        if fragment == "whole" or "." not in smiles:
            return molecule
        parts = chem.GetMolFrags(molecule, asMols=True)
        return min(parts, key=lambda part: (-part.GetNumHeavyAtoms(), chem.MolToSmiles(part)))


def known(smiles: str, fragment: Fragment = "whole") -> Any:
    """The molecule of a SMILES that a domain holds.

    Raises:
        DataError: it is none.
    """
    molecule = parsed(smiles, fragment)
    if molecule is None:
        raise DataError(f"'{smiles[:80]}' is no molecule that RDKit can read")
    return molecule


def readable(texts: Sequence[str]) -> np.ndarray:
    """Mask ``[n]`` of the SMILES that RDKit can read."""
    return np.array([parsed(text) is not None for text in texts], dtype=bool)


def hash_molecules(texts: Sequence[str]) -> np.ndarray:
    """Ids ``[n]``: equal for one molecule however it is written (canonical SMILES of the whole, stereo included)."""
    chem = chemistry()
    return hash_texts(chem.MolToSmiles(known(text)) for text in texts)


def unreadable(texts: Sequence[str], places: Sequence[str], mask: np.ndarray, where: str) -> str:
    """A sentence on the rows that the mask leaves out."""
    bad = np.flatnonzero(~mask)
    told = ", ".join(f"{places[k]} '{texts[k][:60]}'" for k in bad[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    return f"{where}: {len(bad)} of {len(texts)} SMILES are no molecule that RDKit can read: {told}{more}"


def scaffolds(texts: Sequence[str]) -> np.ndarray:
    """The Bemis-Murcko scaffold of each molecule's largest fragment ``[n]``, as SMILES without stereo.

    Rings and what links them (Bemis & Murcko, J. Med. Chem. 1996); all molecules without a ring share the empty one.
    """
    chem = chemistry()
    from rdkit.Chem.Scaffolds import MurckoScaffold

    found = []
    for text in texts:
        molecule = known(text, "largest")
        chem.RemoveStereochemistry(molecule)
        found.append(MurckoScaffold.MurckoScaffoldSmiles(mol=molecule))
    return np.array(found, dtype=object)


def clusters(texts: Sequence[str], cutoff: float = CUTOFF) -> np.ndarray:
    """The number of each molecule's cluster ``[n]``, as text.

    Butina, J. Chem. Inf. Comput. Sci. 1999, on Tanimoto distances of Morgan fingerprints of radius 2 and 2048 bits.

    Raises:
        DataError: more molecules than `CLUSTERED`.
    """
    if len(texts) > CLUSTERED:
        raise DataError(f"{len(texts):,} molecules: at most {CLUSTERED:,} are clustered; take --split scaffold")
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator
    from rdkit.ML.Cluster import Butina

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(known(text, "largest")) for text in texts]
    distances: list[float] = []
    for k in range(1, len(prints)):
        distances += [1 - value for value in DataStructs.BulkTanimotoSimilarity(prints[k], prints[:k])]
    found = np.empty(len(texts), dtype=object)
    for number, members in enumerate(Butina.ClusterData(distances, len(prints), cutoff, isDistData=True)):
        found[list(members)] = str(number)
    return found


def grouped(domain: Domain, how: Split) -> Domain:
    """The domain with related molecules as groups, which a split keeps together; "random" leaves it as it is.

    Raises:
        SettingsError: the rows are no molecules, or have groups already.
    """
    if how == "random":
        return domain
    if domain.schema.modality != "molecule":
        raise SettingsError(f"--split {how} is of molecules, and {domain.name} is {domain.schema.modality}")
    if domain.groups is not None:
        raise SettingsError(f"--split {how} and --group both say what stays together; leave one out")
    texts = domain.rows.take(domain.order)
    own = scaffolds(texts) if how == "scaffold" else clusters(texts)
    return replace(domain, groups=own[np.argsort(domain.order)])


def describe(smiles: str) -> dict[str, float]:
    """What a person says of a molecule: size, rings, charge, how it likes water."""
    from rdkit.Chem import rdMolDescriptors

    chem, molecule = chemistry(), known(smiles)
    return {
        "weight": rdMolDescriptors.CalcExactMolWt(molecule),
        "heavy atoms": molecule.GetNumHeavyAtoms(),
        "rings": rdMolDescriptors.CalcNumRings(molecule),
        "logP": rdMolDescriptors.CalcCrippenDescriptors(molecule)[0],
        "polar surface": rdMolDescriptors.CalcTPSA(molecule),
        "rotatable bonds": rdMolDescriptors.CalcNumRotatableBonds(molecule),
        "fragments": len(chem.GetMolFrags(molecule)),
        "charge": chem.GetFormalCharge(molecule),
    }
