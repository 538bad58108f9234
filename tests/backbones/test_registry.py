from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate.backbones import registry
from acclimate.errors import DataError, SettingsError


def test_defaults_exist_and_read_their_modality():
    for table in (registry.DEFAULTS, registry.PLAIN):
        for modality, name in table.items():
            assert modality in registry.BACKBONES[name].modalities


def test_plain_baselines_have_nothing_to_train():
    for modality, name in registry.PLAIN.items():
        backbone = registry.create(name, modality)
        assert backbone.spec.name == name and backbone.spec.pretrained and not backbone.spec.trainable
        assert not list(backbone.parameters())


@pytest.mark.parametrize(("name", "modality", "text"), [
    ("minilmm", "text", "unknown backbone 'minilmm'; did you mean 'minilm'"),
    ("no/such/folder", "text", "a folder with a transformers model also works"),
    ("minilm", "image", "does not read image input; these do: efficientnet_lite0"),
    ("timm:x", "text", "does not read text input"),
])  # fmt: skip
def test_unknown_and_unfit_names(name, modality, text):
    with pytest.raises(SettingsError, match=text) as error:
        registry.create(name, modality)
    assert error.value.exit_code == 2


def test_a_config_of_no_known_kind(tmp_path: Path):
    with pytest.raises(DataError, match="unknown backbone kind 'os'"):
        registry.restore({"kind": "os"}, tmp_path)


@pytest.mark.parametrize(("name", "modality"), [
    ("minilm", "text"), ("efficientnet_lite0", "image"), ("mobilenet_v2", "image"), ("small_cnn", "image"),
    ("conv4", "image"), ("whisper_tiny_en", "audio"), ("speaker_encoder", "audio"), ("logmel_cnn", "audio"),
])  # fmt: skip
def test_lora_targets_take_adapters(name, modality):
    from peft import LoraConfig, inject_adapter_in_model

    backbone = registry.create(name, modality).eval()
    draw = np.random.default_rng(0)
    raw = {
        "text": "a text",
        "image": draw.integers(0, 256, (33, 47, 3), dtype=np.uint8),
        "audio": (draw.normal(size=9000).astype(np.float32), 16_000),
    }
    inputs = backbone.collate([raw[modality]])
    before = backbone(inputs)[backbone.spec.default].detach()
    targets = len(backbone.lora_targets())
    inject_adapter_in_model(LoraConfig(r=2, target_modules=backbone.lora_targets()), backbone)
    after = backbone(inputs)[backbone.spec.default]
    torch.testing.assert_close(after, before)
    after.sum().backward()
    adapters = {n: p for n, p in backbone.named_parameters() if "lora_B" in n}
    assert len(adapters) == targets
    assert max(p.grad.abs().max() for p in adapters.values()) > 0
