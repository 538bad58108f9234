"""Segmentation on encoders of transformers from a folder: tiny ones with random weights, taught for real."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import acclimate as ac
from acclimate.backbones import registry as backbones
from acclimate.backbones.image import as_map
from acclimate.errors import SettingsError

WIDTHS = {4: 8, 8: 16, 16: 24, 32: 32}
KINDS = ("segformer", "swin", "convnext", "vit")


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Folders as transformers writes them; that of SegFormer has a segmentation head of its own."""
    import transformers as t

    root, sizes = tmp_path_factory.mktemp("networks"), {"hidden_sizes": list(WIDTHS.values()), "depths": [1] * 4}
    small = {"image_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = {
            "segformer": t.SegformerForSemanticSegmentation(
                t.SegformerConfig(**sizes, num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16)
            ),
            "swin": t.SwinModel(t.SwinConfig(embed_dim=8, depths=[1] * 4, num_heads=[1, 2, 2, 4], window_size=2)),
            "convnext": t.ConvNextModel(t.ConvNextConfig(**sizes)),
            "vit": t.ViTModel(t.ViTConfig(**small, intermediate_size=16, patch_size=8)),
        }
    for name, network in made.items():
        network.save_pretrained(root / name)
    return root


def test_tokens_lie_row_by_row():
    tokens = torch.arange(12.0).reshape(1, 4, 3)
    assert as_map(tokens)[0, :, 1, 0].tolist() == tokens[0, 2].tolist()
    assert as_map(torch.zeros(1, 5, 3)) is None and as_map(torch.zeros(1, 3, 4, 5)) is None


@pytest.mark.parametrize("kind", KINDS[:3])
def test_stages_are_maps(networks, kind):
    backbone = backbones.create(str(networks / kind), "image", {"size": 64})
    backbone.read_maps()
    widths = {4: 8, 8: 16, 16: 32, 32: 64} if kind == "swin" else WIDTHS
    assert dict(backbone.spec.maps) == {1: 3, **widths}
    dark, lit = np.zeros((64, 64, 3), dtype=np.uint8), np.zeros((64, 64, 3), dtype=np.uint8)
    lit[40:44, 20:24] = 255
    with torch.no_grad():
        maps = [backbone.maps(backbone.collate([image])) for image in (dark, lit)]
    for before, after in zip(*maps, strict=True):
        assert before.shape == after.shape and before.shape[2] == before.shape[3]
    change = (maps[1][1] - maps[0][1]).abs().sum((0, 1))
    row, column = divmod(int(change.argmax()), 16)
    assert abs(row - 10) <= 1 and abs(column - 5) <= 1  # in places of 4 pixels


def test_patches_beside_a_class_token_are_no_maps(networks):
    with pytest.raises(SettingsError, match=r"gives no maps of places; take .* SegFormer and Swin"):
        backbones.create(str(networks / "vit"), "image", {"size": 64}).read_maps()


def test_segformer_learns_and_is_kept(networks, tmp_path, scenes, own_cache):
    source, target = scenes(tmp_path / "source", 16), scenes(tmp_path / "target", 6, seed=1)
    backbone = {"name": str(networks / "segformer"), "size": 32}
    run = ac.adapt(
        str(source), task="segment", backbone=backbone, method="source_only", plain_baseline=False,
        training={"steps": 40, "batch_size": 4, "learning_rate": 3e-3}, out=tmp_path / "run",
    )  # fmt: skip
    assert run.evaluate(target)["metrics"]["dice"] > 0.8
    before = backbones.create(str(networks / "segformer"), "image", {"size": 32}).state_dict()
    after = load_file(run.folder / "model" / "weights.safetensors")
    assert not any("decode_head" in name for name in after)
    assert all((after[f"backbone.{name}"] != value).any() for name, value in before.items() if "stages" in name)
    first, second = (ac.load(run.folder / "model").predict(target) for _ in range(2))
    assert first.equals(second) and len(set(first["prediction"])) == len(first)
