"""Parts of rows of every modality: what is planted is found, and what is kept gives what was there."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch

from acclimate.backbones import registry
from acclimate.backbones.base import Backbone
from acclimate.domains.interactions import acquainted, read_interactions
from acclimate.domains.read import read
from acclimate.trust.explain.attribute import attribute, method_of


def dense(values: torch.Tensor) -> torch.Tensor:
    return values.to_dense() if values.layout == torch.sparse_csr else values


def checked(backbone, raw):
    """All parts kept are the row itself, and those of one version do not depend on the others."""
    backbone.eval()
    parts = backbone.parts(raw)
    n = len(parts)
    kept = np.stack([np.ones(n, dtype=bool), np.arange(n) % 2 == 0, np.zeros(n, dtype=bool)])
    with torch.no_grad():
        layer = backbone.spec.default
        several = dense(backbone(parts.inputs(kept))[layer])
        alone = [dense(backbone(parts.inputs(kept[k : k + 1]))[layer])[0] for k in range(3)]
        row = dense(backbone(backbone.collate(raw))[layer])[0]
    assert several[0].numpy() == pytest.approx(row.numpy(), abs=1e-4)
    for k, each in enumerate(alone):
        assert several[k].numpy() == pytest.approx(each.numpy(), abs=1e-4)
    assert not torch.allclose(several[0], several[2], atol=1e-3)
    assert len(parts.places) == n
    return parts


def best(backbone, raw, score) -> str:
    """The part of the highest score of the features' function."""
    parts = checked(backbone, raw)
    found = attribute(lambda inputs: score(backbone(inputs)[backbone.spec.default]), parts)
    return parts.names[int(np.argmax(found))]


def test_series(tmp_path):
    """A burst in the second channel, by its energy."""
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(20, 2, 64)).astype(np.float32)
    windows[0, 1, 20:24] += 30
    domain = read(windows, modality="series")
    for name in ("series_cnn", "series_transformer"):
        backbone = registry.create(name, "series", {})
        backbone.fit(domain)
        parts = checked(backbone, windows[:1])
        assert len(parts) == 32 and parts.names[21] == "channel 2, steps 20 to 23"
        assert parts.places[21] == [20, 23, 1]
        score = attribute(lambda inputs: inputs.square().sum((1, 2)), parts)
        assert int(np.argmax(score)) == 21
        assert method_of(lambda inputs, b=backbone: b(inputs)[b.spec.default].sum(1), parts) == "integrated_gradients"
    plain = registry.create("statistics", "series", {})
    plain.fit(domain)
    assert best(plain, windows[:1], lambda values: values[:, 7]) == "channel 2, steps 20 to 23"  # its highest value


def test_sounds():
    """A tone in the third quarter of a second of silence."""
    rate = 16_000
    samples = np.zeros(rate, dtype=np.float32)
    samples[rate // 2 : 3 * rate // 4] = np.sin(2 * np.pi * 3000 * np.arange(rate // 4) / rate)
    raw = [(samples, rate)]
    plain = registry.create("spectrum", "audio", {})
    name = best(plain, raw, lambda values: values[:, :40].sum(1))
    assert 0.5 <= float(name.split()[0]) < 0.75
    network = registry.create("logmel_cnn", "audio", {"seconds": 1.5, "bands": 32, "width": 4})
    parts = checked(network, raw)
    assert parts.form == "spectrogram" and len(parts) == 64
    energy = attribute(lambda inputs: inputs["mels"].clamp(min=0).sum((1, 2, 3)), parts)
    begin, _, band = parts.places[int(np.argmax(energy))]
    assert 0.5 <= begin < 0.75 and band == 2
    assert parts.places[-1][1] == pytest.approx(1.0)  # what fills the clip up is no part of it


@pytest.mark.parametrize("settings", [{}, {"counts": True}, {"sparse": True}, {"radius": 0}])
def test_an_atom_is_found_through_its_substructures(settings):
    backbone = registry.create("morgan", "molecule", settings)
    raw = ["CCCCC(=O)Cl"]
    parts = checked(backbone, raw)
    assert parts.names == ("C1", "C2", "C3", "C4", "C5", "O6", "Cl7")
    alone = backbone.collate(["Cl"])
    bit = backbone.collate(raw)
    assert dense(parts.inputs(np.zeros((1, 7), dtype=bool))).sum() == 0
    gone = np.ones((1, 7), dtype=bool)
    gone[0, 6] = False
    lost = (dense(bit)[0] - dense(parts.inputs(gone))[0]).nonzero().flatten().tolist()
    assert lost and dense(alone).sum() > 0
    found = attribute(lambda inputs: dense(inputs)[:, lost].sum(1), parts)
    assert int(np.argmax(found)) == 6


def test_atoms_of_a_graph_go_with_their_bonds():
    backbone = registry.create("molecule_graph", "molecule", {"width": 8, "depth": 2})
    parts = checked(backbone, ["OCCN"])
    kept = parts.inputs(np.array([[True, False, True, True], [False] * 4]))
    assert kept["sizes"].tolist() == [3, 1] and kept["bonds_of"].tolist() == [1, 0]
    assert kept["bonds"][0, 0, :2].tolist() == [1, 2]
    assert backbone.collate(["OCCN"])["atoms"][0, 3].tolist() == kept["atoms"][0, 2].tolist()


def test_descriptors_are_their_own_parts():
    backbone = registry.create("descriptors", "molecule", {})
    backbone.fit(read(["CCO", "CCCl", "CCN", "c1ccccc1", "CCCCBr"], modality="molecule"))
    parts = checked(backbone, ["CCCCCl"])
    assert "MolWt" in parts.names and parts.form == "columns"


def test_rows_of_sparse_columns_have_those_that_are_not_zero():
    from scipy import sparse

    values = sparse.csr_matrix(np.array([[0, 2.0, 0, 1.0], [1.0, 0, 0, 0], [0, 4.0, 1.0, 0]]))
    domain = read(values)
    backbone = registry.create("columns", "array", {})
    backbone.fit(domain)
    parts = backbone.parts(domain.rows.take(np.array([0])))
    assert parts.names == ("2", "4") and parts.shown["cells"] == [2.0, 1.0]
    assert parts.inputs(np.array([[True, False]])).tolist() == [[0.0, 0.5, 0.0, 0.0]]


@pytest.mark.parametrize("by", ["users", "pairs"])
def test_users_are_what_is_learned_of_them_their_features_and_what_they_had(by):
    """An item that is left out of a history is not counted either."""
    rows = [("u", "a", 5), ("u", "b", 1), ("v", "a", 2), ("v", "c", 4), ("w", "c", 3)]
    table = pd.DataFrame(rows, columns=["user", "item", "rating"])
    users = pd.DataFrame({"user": ["u", "v", "w"], "age": [20, 30, 70]})
    options = {"user": "user", "item": "item", **({"by": "users"} if by == "users" else {"rating": "rating"})}
    source, _ = acquainted(
        read_interactions(table[:3], users=users, **options), read_interactions(table[3:], users=users, **options)
    )
    backbone = registry.create("two_tower", by, {"size": 4})
    backbone.fit(source)
    with torch.no_grad():
        for each in backbone.parameters():
            each.normal_()
        backbone.towers["user"].embedding.weight[0] = 0
    parts = checked(backbone, source.rows.take(np.zeros(1, dtype=np.int64)))
    item = ("learned of the item",) if by == "pairs" else ()
    assert parts.names == ("learned of the user", "features of the user", "a", "b", *item)
    kept = np.array(
        [[False, False, True, True, *[False] * len(item)], [False, False, True, *[False] * (1 + len(item))]]
    )
    both, one = parts.inputs(kept)["vectors"][:, :4]
    known = backbone.history.vectors.weight.detach()[:2]
    torch.testing.assert_close(both, known.sum(0) / 2**0.5)
    torch.testing.assert_close(one, known[0])


def test_every_backbone_of_the_list_has_parts():
    lacking = set()
    for name, entry in registry.BACKBONES.items():
        module = import_module(f"acclimate.backbones.{entry.module}")
        own = [
            each for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, Backbone) and each.__module__ == module.__name__
        ]  # fmt: skip
        if any(each.parts is Backbone.parts for each in own):
            lacking.add(name)
    assert not lacking


def test_images_are_seen_as_the_network_sees_them():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, size=(2, 28, 28), dtype=np.uint8)
    backbone = registry.create("small_cnn", "image", {})
    parts = checked(backbone, list(images[:1]))
    assert parts.form == "image" and len(parts) == 64
    assert (parts.shown["pixels"][:, :, 0] == images[0]).mean() > 0.99
