import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.methods.style.fda import exchange_style


def test_the_mean_is_taken_whole_and_shapes_stay():
    source = torch.tensor([[[[1.0, -1.0], [1.0, -1.0]]]])
    target = torch.full((1, 1, 2, 2), -3.0)
    assert torch.allclose(exchange_style(source, target, 0.0), source - 3.0, atol=1e-6)


def test_a_low_frequency_takes_the_other_s_amplitude_and_keeps_its_phase():
    place = torch.arange(16) * 2 * torch.pi / 16
    low, high = torch.cos(place + 0.7), torch.cos(5 * place)
    source = (low + high).expand(1, 1, 16, 16)
    target = (5.0 + 3.0 * torch.cos(place)).expand(2, 1, 16, 16)
    found = exchange_style(source, target, 1 / 16)  # frequencies up to 1
    assert torch.allclose(found, (5.0 + 3.0 * low + high).expand(1, 1, 16, 16), atol=1e-5)
    only_mean = exchange_style(source, target, 0.9 / 16)
    assert torch.allclose(only_mean, source + 5.0, atol=1e-5)


def test_each_source_image_takes_a_target_image_in_turn():
    source, target = torch.zeros(3, 1, 4, 4), torch.tensor([1.0, 2.0])[:, None, None, None].expand(2, 1, 4, 4)
    assert exchange_style(source, target, 0.1)[:, 0, 0, 0].tolist() == [1.0, 2.0, 1.0]


def test_other_light_is_mended_for_classes_too(tmp_path, own_cache):
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=96)
    down, across = np.mgrid[:16, :16]
    stripes = np.where(labels[:, None, None] == 0, down % 4 < 2, across % 4 < 2)
    plain = np.clip(60 + 60 * stripes + rng.normal(0, 8, (96, 16, 16)), 0, 255).astype(np.uint8)
    light = np.clip(110 + 8 * stripes + 90 * (down / 15) + rng.normal(0, 2, (96, 16, 16)), 0, 255).astype(np.uint8)
    names = np.array(["rows", "columns"])[labels]
    options = {
        "backbone": {"name": "small_cnn", "size": 16}, "training": {"steps": 60, "batch_size": 16},
        "task": "classify", "label": "y",
        "plain_baseline": False,
    }  # fmt: skip
    run = ac.adapt((plain, names), light, method={"name": "fda", "band": 0.07}, out=tmp_path / "run", **options)
    scores = {name: arm["metrics"]["accuracy"] for name, arm in run.evaluate((light, names), label="y")["arms"].items()}
    assert scores["fda"] > 0.9 > scores["source_only"] + 0.1


def test_rows_that_are_no_images_are_refused(own_cache):
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    with pytest.raises(SettingsError, match="method 'fda' changes images, and these rows are none"):
        ac.adapt((rows, np.arange(40) % 2), rows, method="fda", backbone="mlp", label="y")
