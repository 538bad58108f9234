"""A cache of its own, small domains, and a check that every backbone has to pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from acclimate.backbones import registry
from acclimate.backbones.base import Backbone
from acclimate.domains.domain import ArrayRows, Domain, Schema
from acclimate.domains.ids import hash_array, hash_bytes, hash_pixels, hash_texts
from acclimate.domains.rows import FrameRows, ListRows


@pytest.fixture(scope="session")
def cache_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache_home(cache_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_root))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return cache_root


def as_objects(items: list[Any]) -> np.ndarray:
    values = np.empty(len(items), dtype=object)
    values[:] = items
    return values


@pytest.fixture
def make_domain() -> Callable[..., Domain]:
    """A domain from texts, images, sounds, a frame, or an array."""

    def make(values: Any, modality: str, labels: list[str] | None = None) -> Domain:
        rows: Any
        if modality in ("text", "image"):
            rows = ListRows(as_objects(list(values)))
            ids = hash_texts(values) if modality == "text" else hash_pixels(values)
        elif modality == "audio":
            rows, ids = ListRows(as_objects(list(values))), hash_bytes(samples.tobytes() for samples, _ in values)
        elif modality == "table":
            rows, ids = FrameRows(values), hash_texts(map(repr, values.itertuples(index=False)))
        else:
            rows, ids = ArrayRows(values), hash_array(values)
        return Domain("test", Schema(modality), rows, ids, None if labels is None else as_objects(labels))

    return make


@pytest.fixture
def photos() -> dict[str, np.ndarray]:
    from skimage import data
    from sklearn.datasets import load_sample_image

    return {
        "palace": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
        "espresso": data.coffee(),
        "cat": data.chelsea(),
    }


@pytest.fixture
def odd_images() -> list[np.ndarray]:
    """One pixel, grey, grey with an axis, grey with alpha, RGB, RGBA, tiny, and very long."""
    draw = np.random.default_rng(0)
    shapes = [(1, 1), (16, 16), (20, 30, 1), (9, 9, 2), (50, 40, 3), (33, 21, 4), (2, 3, 3), (3, 900, 3)]
    return [draw.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


@pytest.fixture
def odd_sounds(spoken) -> list[tuple[np.ndarray, int]]:
    """A word, silence, one sample, a very loud one at a high rate, one at a low rate, and a long one."""
    word = spoken("ai")
    loud, low = (np.float32(1e4) * spoken("ia", 200)[0], 192_000), (spoken("iu")[0], 4000)
    silent, one = (np.zeros(5000, np.float32), 8000), (np.full(1, 0.5, np.float32), 16_000)
    return [word, silent, one, loud, low, (np.tile(word[0], 60), 16_000)]


@pytest.fixture
def round_trip(tmp_path: Path) -> Callable[[Backbone, Any], Backbone]:
    """Save config, assets and weights, restore, and demand equal bits on raw rows."""

    def check(backbone: Backbone, raw: Any) -> Backbone:
        import json

        folder = tmp_path / "assets"
        folder.mkdir()
        backbone.assets(folder)
        config = json.loads(json.dumps(backbone.config(), allow_nan=False))
        save_file({k: v.contiguous() for k, v in backbone.state_dict().items()}, tmp_path / "w.safetensors")
        state = torch.get_rng_state()
        other = registry.restore(config, folder)
        assert torch.equal(state, torch.get_rng_state()), "restoring drew from the global generator"
        other.load_state_dict(load_file(tmp_path / "w.safetensors"))
        assert other.spec == backbone.spec
        assert other.config() == backbone.config()
        assert other.cache_key() == backbone.cache_key()
        backbone.eval()
        other.eval()
        with torch.no_grad():
            ours, theirs = (b(b.collate(raw), list(b.spec.layers)) for b in (backbone, other))
        for layer, size in backbone.spec.layers.items():
            a, b = (
                values.to_dense() if values.layout != torch.strided else values
                for values in (ours[layer], theirs[layer])
            )
            assert a.shape[1] == size
            assert torch.isfinite(a).all()
            assert torch.equal(a, b)
        return other

    return check


@pytest.fixture
def trains() -> Callable[[Backbone, Any], None]:
    """One step of gradient descent reaches every parameter of every block, each exactly once."""

    def check(backbone: Backbone, raw: Any) -> None:
        backbone.train()
        parameters = [p for block in backbone.blocks() for p in block]
        assert len({id(p) for p in parameters}) == len(parameters)
        learnable = {id(p) for p in backbone.parameters() if p.requires_grad}
        assert learnable == {id(p) for p in parameters}
        features = backbone(backbone.collate(raw))[backbone.spec.default]
        weight = torch.linspace(-1, 1, features.numel()).reshape(features.shape)
        (features * weight).sum().backward()
        without = [n for n, p in backbone.named_parameters() if p.requires_grad and p.grad is None]
        assert not without
        assert max(p.grad.abs().max() for p in backbone.blocks()[0]) > 0
        backbone.eval()

    return check


@pytest.fixture(scope="session")
def minilm(cache_root: Path) -> Iterator[Backbone]:
    """Read only: tests that train make their own."""
    yield registry.create("minilm", "text").eval()
