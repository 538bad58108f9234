from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate.backbones import registry, saved
from acclimate.errors import DataError, SettingsError

TEXTS = ["good film w1", "poor phone w2 w3", ""]
IMAGES = list(np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8))


def changed(backbone):
    """The backbone with every parameter moved."""
    with torch.no_grad():
        for p in backbone.parameters():
            p.add_(0.01)
    return backbone.eval()


def features(backbone, raw) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return backbone(backbone.collate(raw), list(backbone.spec.layers))


@pytest.fixture
def cnn(tmp_path) -> Path:
    backbone = changed(registry.create("small_cnn", "image", {"size": 16, "width": 8}))
    saved.save(backbone, tmp_path / "cnn" / "encoder", {})
    return tmp_path / "cnn"


@pytest.mark.parametrize("kind", ["image", "text", "array"])
def test_the_same_features_come_back(kind, tmp_path, tiny_text, make_domain):
    values = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    name, settings, raw = {
        "image": ("small_cnn", {"size": 16, "width": 8}, IMAGES),
        "text": (str(tiny_text), {"max_length": 16}, TEXTS),
        "array": ("mlp", {"hidden": (5,)}, values),
    }[kind]
    backbone = registry.create(name, kind, settings)
    backbone.fit(make_domain(raw, kind))
    changed(backbone)
    saved.save(backbone, tmp_path / "enc", {})
    for folder in (tmp_path / "enc", tmp_path / "up"):
        if folder.name == "up":
            (tmp_path / "up").mkdir()
            (tmp_path / "enc").rename(tmp_path / "up" / "encoder")
        other = registry.create(str(folder), kind)
        assert other.spec.pretrained
        assert other.cache_key() == backbone.cache_key()
        other.fit(make_domain(raw[:2], kind))  # what it knows of its columns stays
        ours, theirs = features(backbone, raw), features(other, raw)
        assert all(torch.equal(ours[layer], theirs[layer]) for layer in backbone.spec.layers)


def test_settings_that_leave_the_weights_alone_may_be_others(cnn, tmp_path, tiny_text):
    assert registry.create(str(cnn), "image", {"crop": "ink"}).settings.crop == "ink"
    with pytest.raises(SettingsError, match=r"cannot have \{'width': 9\}: size mismatch"):
        registry.create(str(cnn), "image", {"width": 9})
    with pytest.raises(SettingsError, match="unknown setting 'crops'"):
        registry.create(str(cnn), "image", {"crops": "ink"})


def test_a_table_encoder_keeps_the_settings_it_learned_with(tmp_path, make_domain):
    backbone = registry.create("mlp", "array")
    backbone.fit(make_domain(np.eye(3, dtype=np.float32), "array"))
    saved.save(backbone, tmp_path / "enc", {})
    with pytest.raises(SettingsError, match=r"leave out backbone\.standardize"):
        registry.create(str(tmp_path / "enc"), "array", {"standardize": False})
    with pytest.raises(DataError, match="4"):
        registry.create(str(tmp_path / "enc"), "array").collate(np.ones((2, 4), np.float32))


def test_other_rows_are_refused(cnn):
    with pytest.raises(SettingsError, match="reads image input, and these rows are text"):
        registry.create(str(cnn), "text")


def test_damaged_folders_are_refused(cnn):
    weights, config = cnn / "encoder" / "weights.safetensors", cnn / "encoder" / "encoder.json"
    good = weights.read_bytes()
    weights.write_bytes(good[:-4] + b"\0\0\0\0")
    with pytest.raises(DataError, match="not the file that was saved"):
        registry.create(str(cnn), "image")
    weights.unlink()
    with pytest.raises(DataError, match="not a readable encoder"):
        registry.create(str(cnn), "image")
    weights.write_bytes(good)
    value = json.loads(config.read_text())
    for broken in ({**value, "format": 2}, {k: v for k, v in value.items() if k != "backbone"}):
        config.write_text(json.dumps(broken))
        with pytest.raises(DataError, match=r"format 2|backbone' is missing"):
            registry.create(str(cnn), "image")
    config.write_text("{")
    with pytest.raises(DataError, match="not a readable encoder"):
        registry.create(str(cnn), "image")


def test_a_name_is_not_taken_for_a_folder(tmp_path, monkeypatch, cnn):
    monkeypatch.chdir(tmp_path)
    cnn.rename(tmp_path / "mlp")
    assert registry.create("mlp", "array").spec.name == "mlp"
    assert registry.create("./mlp", "image").spec.name == "small_cnn"


def test_an_unfinished_run_is_no_encoder(tmp_path):
    for name in ("recipe.yaml", "data.json"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="`acclimate resume"):
        registry.create(str(tmp_path), "text")
