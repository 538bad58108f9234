"""Backbones of series: scales by hand, channels that tell nothing, saving, and what each layer sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.backbones import registry
from acclimate.backbones.series import fit
from acclimate.domains.domain import ArrayRows, Domain, Schema
from acclimate.domains.ids import hash_array
from acclimate.errors import DataError, SettingsError

NAMES = [name for name, entry in registry.BACKBONES.items() if "series" in entry.modalities]


def domain_of(values):
    values = np.asarray(values, dtype=np.float32)
    return Domain("test", Schema("series"), ArrayRows(values), hash_array(values))


@pytest.fixture(scope="module")
def waves():
    """Two channels that move, one that is constant, one that is not there in half of the rows."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 4, 100)).astype(np.float32) * [[[2.0], [1.0], [0.0], [1.0]]] + [[[5], [0], [7], [0]]]
    values[:6, 3] = np.nan
    return values.astype(np.float32)


@pytest.fixture(params=NAMES)
def backbone(request, waves):
    made = registry.create(request.param, "series", seed=1)
    made.fit(domain_of(waves))
    return made.eval()


def test_the_scale_of_channels_by_hand():
    found = fit(domain_of([[[1, 3], [4, 4], [np.nan, np.nan]], [[3, 5], [4, 4], [0, 2]]]), "channel")
    assert found.mean == [3, 4, 1] and found.scale[1:] == [0, 1] and found.length == 2
    assert found.scale[0] == pytest.approx(np.std([1, 3, 3, 5]))
    encoded = found.encode(np.array([[[3, 5], [9, 9], [np.nan, np.nan]]], dtype=np.float32))
    assert encoded[0, 0].tolist() == pytest.approx([0, 2 / np.sqrt(2)])
    assert encoded[0, 1:].tolist() == [[0, 0], [0, 0]], "constant in the source, and not there: nothing"


def test_a_window_on_its_own_scale():
    found = fit(domain_of(np.random.default_rng(0).normal(size=(5, 1, 4))), "window")
    plain, moved = (found.encode(np.array([[[1, 2, 3, 4]]], np.float32) * a + b) for a, b in ((1, 0), (50, -7)))
    torch.testing.assert_close(plain, moved)
    assert plain.std(correction=0).item() == pytest.approx(1)


def test_large_levels_do_not_hide_small_changes():
    small = np.random.default_rng(0).normal(size=(50, 1, 20))
    found = fit(domain_of(8000 + small), "channel")
    assert found.scale[0] == pytest.approx(small.std(), rel=0.01)


def test_the_same_bits_after_saving_and_whatever_else_is_in_the_batch(backbone, waves, round_trip):
    round_trip(backbone, waves)
    alone = torch.cat([backbone(backbone.collate(waves[k : k + 1]))[backbone.spec.default] for k in range(12)])
    together = backbone(backbone.collate(waves))[backbone.spec.default]
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    assert together.shape[1] == backbone.size() and torch.isfinite(together).all()


def test_the_seed_and_the_data_are_in_the_key(waves):
    for name in ("series_cnn", "series_transformer"):
        keys = []
        for seed, shift in ((0, 0), (0, 0), (1, 0), (0, 1)):
            made = registry.create(name, "series", seed=seed)
            made.fit(domain_of(waves + shift))
            keys.append(made.cache_key())
        assert keys[0] == keys[1] and len({*keys}) == 3


def test_a_channel_that_was_constant_in_the_source_moves_nothing(backbone, waves):
    changed = waves.copy()
    changed[:, 2] = np.random.default_rng(1).normal(size=(12, 100)) * 1000
    features = [backbone(backbone.collate(rows))[backbone.spec.default] for rows in (waves, changed)]
    assert torch.equal(*features)


def test_other_shapes_are_refused(backbone, waves):
    with pytest.raises(DataError, match="series of 3 channels and 100 steps, but the source has 4 and 100"):
        backbone.collate(waves[:, :3])
    with pytest.raises(DataError, match="fit"):
        registry.create(backbone.spec.name, "series").collate(waves)


@pytest.mark.parametrize("name", ["series_cnn", "series_transformer"])
@pytest.mark.parametrize("length", [1, 2, 5, 30, 1024])
def test_windows_of_any_length(name, length):
    values = np.random.default_rng(0).normal(size=(3, 2, length))
    backbone = registry.create(name, "series")
    backbone.fit(domain_of(values))
    features = backbone(backbone.collate(values.astype(np.float32)))[backbone.spec.default]
    assert features.shape == (3, backbone.size()) and torch.isfinite(features).all()
    features.square().sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())


@pytest.mark.parametrize("name", ["series_cnn", "series_transformer"])
def test_blocks_hold_every_parameter_once(name, waves):
    backbone = registry.create(name, "series")
    backbone.fit(domain_of(waves))
    held = [id(p) for block in backbone.blocks() for p in block]
    assert sorted(held) == sorted(id(p) for p in backbone.parameters())


def test_lora_targets_of_the_transformer_take_adapters(waves):
    from peft import LoraConfig, inject_adapter_in_model

    backbone = registry.create("series_transformer", "series")
    targets = backbone.lora_targets()
    backbone.fit(domain_of(waves))
    inject_adapter_in_model(LoraConfig(r=2, target_modules=targets), backbone)
    backbone(backbone.collate(waves))["mixed"].sum().backward()
    assert sum("lora_B" in name for name, _ in backbone.named_parameters()) == len(targets)


def test_statistics_by_hand():
    backbone = registry.create("statistics", "series", {"bands": 4})
    time = np.arange(64)
    rows = np.stack([np.sin(2 * np.pi * 4 * time / 64), np.sin(2 * np.pi * 20 * time / 64), time / 10 - 3.15])[:, None]
    backbone.fit(domain_of(rows))
    found = backbone(backbone.collate(rows.astype(np.float32)))["statistics"]
    scale, mean = backbone.channels.scale[0], backbone.channels.mean[0]
    low, high, ramp = found.numpy()
    assert low[:5] * scale + [mean, 0, mean, mean, mean] == pytest.approx(
        [0, 0.5**0.5, -1, 1, rows[0, 0, -1]], abs=1e-5
    )
    assert low[6:8] == pytest.approx([0, 1.5], abs=1e-5), "skewness and kurtosis of a sine"
    assert low[8:].argmax() == 0 and high[8:].argmax() == 2, "4 and 20 of 32 cycles are in bands 1 and 3 of 4"
    assert ramp[5] * scale == pytest.approx(3.15, abs=1e-4), "the slope over half a window"


@pytest.mark.parametrize(("name", "settings"), [
    ("series_cnn", {"kernel": 0}), ("series_transformer", {"width": 10, "heads": 4}), ("statistics", {"bands": 0}),
])  # fmt: skip
def test_impossible_settings(name, settings):
    with pytest.raises(SettingsError, match="backbone"):
        registry.create(name, "series", settings)
