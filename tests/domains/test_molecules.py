"""Molecules: what can be read, which are the same, and which a split keeps together."""

from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac
from acclimate.domains.frames import stream
from acclimate.errors import DataError, SettingsError

pytest.importorskip("rdkit")
from acclimate.domains import molecules
from acclimate.domains.augment import strong
from acclimate.domains.split import split


@pytest.fixture
def table(tmp_path):
    def write(smiles, name="m.csv", **columns):
        import pandas as pd

        pd.DataFrame({"smiles": smiles, **columns}).to_csv(tmp_path / name, index=False)
        return str(tmp_path / name)

    return write


def read(place, **options):
    return ac.read(place, modality="molecule", input="smiles", **options)


def test_one_molecule_written_twice_is_one(table):
    domain = read(table(["c1ccccc1O", "Oc1ccccc1", "CCO", "OCC", "C[C@H](N)O", "C[C@@H](N)O"]))
    ids = domain.ids.tolist()
    assert ids[0] == ids[1] and ids[2] == ids[3] and len({*ids}) == 4, "mirror images are two"
    assert domain.rows.take(np.arange(2)) == ["c1ccccc1O", "Oc1ccccc1"], "and both stay as they were written"


def test_what_is_no_molecule_is_left_out_and_told(table):
    place = table(["CCO", "C1CC", "nonsense", "[Na+].[Cl-]", "C(C)(C)(C)(C)C"], y=[0, 1, 0, 1, 0])
    domain = read(place, label="y")
    assert domain.rows.take(np.arange(2)) == ["CCO", "[Na+].[Cl-]"] and domain.labels.tolist() == ["0", "1"]
    note = next(note for note in domain.notes if "left out" in note)
    assert "3 of 5 SMILES are no molecule that RDKit can read: row 2 'C1CC', row 3 'nonsense', row 5" in note


def test_predict_answers_every_row_or_says_which_it_cannot(table):
    place = table(["CCO", "C1CC"])
    with pytest.raises(DataError, match="row 2 'C1CC'; mend or remove them"):
        list(stream(place, "smiles", "molecule"))
    with pytest.raises(DataError, match="row 1 'C1CC'"):
        read(table(["C1CC"], "bad.csv"))
    with pytest.raises(DataError, match="row 2 'x'"):
        ac.read((["C", "x"], [0, 1]), modality="molecule", label="y")


def test_an_empty_smiles_is_no_molecule():
    assert molecules.readable(["", "C", "[Cu+2]", "[Pt](Cl)Cl", "O"]).tolist() == [False, True, True, True, True]


def test_of_a_salt_the_largest_fragment():
    from rdkit import Chem

    assert Chem.MolToSmiles(molecules.known("[Na+].CC(=O)[O-]", "largest")) == "CC(=O)[O-]"
    assert Chem.MolToSmiles(molecules.known("O.CCN.CCO", "largest")) == "CCN", "of equal ones the first by name"
    assert molecules.known("[Na+].CC(=O)[O-]").GetNumAtoms() == 5


def test_scaffolds_are_rings_and_what_links_them():
    found = molecules.scaffolds(["Cc1ccccc1", "OC(=O)c1ccccc1.[Na]", "c1ccc(CCc2ccncc2)cc1CC", "CCCC", "O"])
    assert found.tolist() == ["c1ccccc1", "c1ccccc1", "c1ccc(CCc2ccncc2)cc1", "", ""]


def test_clusters_are_of_like_molecules():
    chain, rings = ["C" * k + "O" for k in (9, 10, 11)], ["c1ccc2ccccc2c1", "Cc1ccc2ccccc2c1"]
    found = molecules.clusters([*chain, *rings])
    assert len({*found[:3]}) == 1 and found[3] not in found[:3]


@pytest.mark.parametrize("how", ["scaffold", "cluster"])
def test_no_split_tears_a_group_of_related_ones(table, how):
    rings = ["c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccsc1", "c1ccoc1", "C1CCNCC1", "c1ccc2ccccc2c1", "C1CCOC1"]
    domain = read(table([side + ring for ring in rings for side in ("", "C", "CC", "O", "N", "CCC")]))
    related = molecules.grouped(domain, how)
    train, held = split(related, 0.3, 0)
    assert len(held) >= 6 and not {*related.groups[train]} & {*related.groups[held]}
    own = molecules.scaffolds(domain.rows.take(np.arange(len(domain))))
    if how == "scaffold":
        assert not {*own[train]} & {*own[held]} and related.groups.tolist() == own.tolist()
    turned = molecules.grouped(domain.select(np.arange(len(domain))[::-1]), how)
    again = split(turned, 0.3, 0)[1]
    assert {*domain.ids[held]} == {*turned.ids[again]}


def test_what_is_refused(table):
    domain = read(table(["C", "CC"], site=["a", "b"]), group="site")
    with pytest.raises(SettingsError, match="--split scaffold and --group both say"):
        molecules.grouped(domain, "scaffold")
    with pytest.raises(SettingsError, match="--split cluster is of molecules"):
        molecules.grouped(ac.read(np.eye(3)), "cluster")
    with pytest.raises(DataError, match="one column of SMILES"):
        ac.read(table(["C"], "two.csv", other=["CC"]), modality="molecule", input=["smiles", "other"])
    with pytest.raises(SettingsError, match="molecule rows have no strong view"):
        strong(["C"], "molecule", np.random.default_rng(0))


def test_several_labels_are_one_list(table):
    place = table(["C", "CC", "CCC"], a=["1", "0", ""], b=["0", "", ""])
    assert read(place, label="a|b").labels.tolist() == ['["1", "0"]', '["0", null]', "[null, null]"]
    with pytest.raises(DataError, match="no column 'c'"):
        read(place, label="a|c")


def test_texts_that_look_like_molecules():
    smiles = ["CC(=O)Oc1ccccc1C(=O)O", "C1CCNCC1", "CN1C=NC2=C1C(=O)N(C)C(=O)N2C", "CCO"]
    assert molecules.smiles_like(smiles)
    assert not molecules.smiles_like([*smiles[:3], "an acid"])
    assert not molecules.smiles_like(["CCO", "I", "NO", "C"])  # words, for all one knows
    assert not molecules.smiles_like(["a(b)=1", "x[3]", "f(2)"] * 3) and not molecules.smiles_like([])
