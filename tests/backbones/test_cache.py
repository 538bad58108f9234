from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.nn.functional import cosine_similarity

from acclimate.backbones import cache, registry
from acclimate.backbones.passthrough import PassThrough, csr_matrix, csr_tensor
from acclimate.domains.domain import Domain
from acclimate.errors import DataError

TEXTS = [f"review {k}: " + "good film " * (k % 9) for k in range(40)]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "acclimate" / "features"


@pytest.fixture
def domain(make_domain) -> Domain:
    return make_domain([*TEXTS, TEXTS[3]], "text", ["a", "b"] * 20 + ["a"])


class Counting:
    """Rows that count how often each was read."""

    def __init__(self, rows):
        self.rows, self.read = rows, Counter()

    def __len__(self):
        return len(self.rows)

    def take(self, index):
        self.read.update(np.asarray(index).tolist())
        return self.rows.take(index)


def test_features_are_those_of_the_backbone_in_the_domains_order(minilm, domain, home):
    features = cache.embed(minilm, domain, ["layer_2", "layer_6"], batch_size=8)
    with torch.inference_mode():
        direct = minilm(minilm.collate([*TEXTS, TEXTS[3]]), ["layer_2", "layer_6"])
    assert list(features) == ["layer_2", "layer_6"]
    for layer, values in features.items():
        assert values.shape == (41, 384) and values.dtype == np.float32
        np.testing.assert_allclose(values[:], direct[layer], rtol=1e-3, atol=1e-5)
        assert np.array_equal(values[3], values[40])
        assert np.array_equal(np.asarray(values)[[5, 1]], values[np.array([5, 1])])
    assert isinstance(features["layer_6"].stored, np.memmap)


def test_equal_sets_give_equal_bits_in_any_order_and_labels_play_no_part(minilm, domain, home, monkeypatch, tmp_path):
    first = cache.embed(minilm, domain)["layer_6"][:]
    shuffle = np.random.default_rng(0).permutation(41)
    again = cache.embed(minilm, domain.select(shuffle).sealed())["layer_6"][:]
    assert np.array_equal(first[shuffle], again)
    assert len(list(home.rglob("*.npy"))) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    fresh = cache.embed(minilm, domain.select(shuffle))["layer_6"][:]
    assert np.array_equal(fresh, again)


def test_each_distinct_row_is_run_once_and_never_again(minilm, make_domain, home):
    images = [np.full((8, 8), k, dtype=np.uint8) for k in (1, 2, 3, 2, 1)]
    plain = make_domain(images, "image")
    counting = Counting(plain.rows)
    domain = Domain("counted", plain.schema, counting, plain.ids)
    backbone = registry.create("small_cnn", "image")
    seen = []
    cache.embed(
        backbone, domain, ["conv1", "fc"], batch_size=2, progress=lambda done, total: seen.append((done, total))
    )
    assert sum(counting.read.values()) == 3 and max(counting.read.values()) == 1
    assert seen == [(2, 3), (3, 3)]
    cache.embed(backbone, domain, ["conv1", "fc"])
    cache.embed(backbone, domain, ["fc"])
    assert sum(counting.read.values()) == 3
    cache.embed(backbone, domain, ["fc", "conv2"])
    assert sum(counting.read.values()) == 6


def test_the_key_holds_weights_settings_layer_precision_and_rows(make_domain, home):
    domain = make_domain([np.full((8, 8), k, dtype=np.uint8) for k in range(4)], "image")
    backbone = registry.create("small_cnn", "image", seed=0)
    cases = [
        lambda: cache.embed(backbone, domain),
        lambda: cache.embed(backbone, domain, ["conv1"]),
        lambda: cache.embed(backbone, domain, precision="bf16"),
        lambda: cache.embed(backbone, domain.select(np.arange(3))),
        lambda: cache.embed(registry.create("small_cnn", "image", seed=1), domain),
        lambda: cache.embed(registry.create("small_cnn", "image", {"crop": "ink"}), domain),
    ]
    for count, case in enumerate(cases, start=1):
        case()
        case()
        assert len(list(home.rglob("*.npy"))) == count
    with torch.no_grad():
        backbone.network.fc[1].bias[0] += 1
    before = len(list(home.rglob("*.npy")))
    cache.embed(backbone, domain)
    assert len(list(home.rglob("*.npy"))) == before + 1


@pytest.mark.parametrize("damage", [b"", b"junk", None, "shape"])
def test_a_corrupt_entry_is_made_again(minilm, domain, home, damage):
    good = cache.embed(minilm, domain)["layer_6"][:]
    (entry,) = home.rglob("*.npy")
    if damage == "shape":
        np.save(entry, np.zeros((2, 2), dtype=np.float32))
    else:
        entry.write_bytes(entry.read_bytes()[:5000] if damage is None else damage)
    assert np.array_equal(cache.embed(minilm, domain)["layer_6"][:], good)
    assert np.load(entry).shape == (40, 384)


def test_without_a_writable_cache_it_works_and_says_so(minilm, domain, monkeypatch, tmp_path):
    good = cache.embed(minilm, domain)["layer_6"][:]
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="no feature cache: cannot write"):
        features = cache.embed(minilm, domain)["layer_6"]
    assert np.array_equal(features[:], good)


def test_a_full_disk_costs_the_cache_only(minilm, domain, home, monkeypatch):
    good = cache.embed(minilm, domain)["layer_6"][:]
    for entry in home.rglob("*.npy"):
        entry.unlink()
    import resource
    import signal

    monkeypatch.setattr(signal, "SIGXFSZ", signal.SIGXFSZ)
    previous, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            features = cache.embed(minilm, domain)["layer_6"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert any("no feature cache" in str(warning.message) for warning in caught)
    assert np.array_equal(features[:], good)
    assert [p for p in home.rglob("*") if p.is_file()] == [], "nothing half-written"


def test_errors_of_the_rows_are_theirs(minilm, home):
    class Broken:
        def __len__(self):
            return 2

        def take(self, index):
            raise DataError("row 1 is broken")

    from acclimate.domains.domain import Schema

    domain = Domain("d", Schema("text"), Broken(), np.array([b"1", b"2"], dtype="S32"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="row 1 is broken"):
            cache.embed(minilm, domain)


def test_bfloat16_is_close(minilm, domain, home):
    full, half = (torch.from_numpy(cache.embed(minilm, domain, precision=p)["layer_6"][:]) for p in ("fp32", "bf16"))
    assert not torch.equal(full, half)
    assert cosine_similarity(full, half).min() > 0.9999


def test_the_mode_of_the_backbone_is_left_alone(make_domain, home):
    backbone = registry.create("small_cnn", "image").train()
    cache.embed(backbone, make_domain([np.zeros((4, 4), np.uint8)], "image"))
    assert backbone.training


def test_an_empty_domain(minilm, make_domain, home):
    assert cache.embed(minilm, make_domain([], "text"))["layer_6"].shape == (0, 384)


def test_sparse_features_stay_sparse(domain, home):
    backbone = registry.create("ngrams", "text")
    backbone.fit(domain)
    features = cache.embed(backbone, domain, batch_size=7)["tfidf"]
    assert sparse.issparse(features)
    assert (features != backbone.features_sparse([*TEXTS, TEXTS[3]]).astype(np.float32)).nnz == 0
    assert not home.exists()


def test_pass_through(minilm, domain, home):
    features = cache.embed(minilm, domain)["layer_6"]
    cached = cache.as_domain(domain, features)
    assert cached.schema.modality == "array" and np.array_equal(cached.ids, domain.ids)
    assert cached.labels is domain.labels
    stand_in = PassThrough(minilm)
    assert (stand_in.spec.layers, stand_in.spec.default) == ({"layer_6": 384}, "layer_6")
    assert stand_in.spec.pretrained and not stand_in.spec.trainable and not list(stand_in.parameters())
    part = cached.select(np.array([7, 2]))
    inputs = stand_in.collate(part.rows.take(np.array([1, 0])))
    assert torch.equal(stand_in(inputs)["layer_6"], torch.from_numpy(features[np.array([2, 7])]))


def test_linear_layers_take_sparse_features():
    matrix = sparse.random(20, 3000, density=0.01, format="csr", dtype=np.float32, rng=np.random.default_rng(0))
    head = torch.nn.Linear(3000, 3)
    tensor = csr_tensor(matrix)
    out = head(tensor)
    torch.testing.assert_close(out, head(torch.from_numpy(matrix.toarray())))
    out.sum().backward()
    torch.testing.assert_close(head.weight.grad[0], torch.from_numpy(matrix.toarray()).sum(dim=0))
    assert (csr_matrix(tensor) != matrix).nnz == 0
