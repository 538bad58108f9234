"""Which precision frozen features are read in."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from acclimate.backbones import registry
from acclimate.backbones.agreement import LEAST, lowest_cosine, settled
from acclimate.backbones.module import from_module


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "acclimate" / "precision"


class Cancel(torch.nn.Module):
    """A large number is added and taken away again: bfloat16 keeps nothing of a small one."""

    def __init__(self, size: float):
        super().__init__()
        self.inner = torch.nn.Linear(4, 4, bias=False)
        torch.nn.init.eye_(self.inner.weight)
        self.size = size

    def forward(self, values):
        return self.inner(values + self.size).float() - self.size


def backbone(size: float):
    return from_module(Cancel(size), "array", example=np.zeros((1, 4), dtype=np.float32), name="cancel")


@pytest.fixture
def domain(make_domain):
    return make_domain(np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32), "array")


def test_bf16_is_kept_where_it_agrees_and_refused_where_it_does_not(domain, home):
    assert settled(backbone(0.0), [domain], ["output"], "cpu", "bf16") == "bf16"
    assert settled(backbone(300.0), [domain], ["output"], "cpu", "bf16") == "fp32"
    told = {
        json.loads(path.read_text())["precision"]: json.loads(path.read_text())["cosine"] for path in home.iterdir()
    }
    assert told["fp32"] < LEAST <= told["bf16"] < 1


def test_every_domain_has_to_agree(domain, make_domain, home):
    large = make_domain(np.full((3, 4), 1e4, dtype=np.float32) * np.arange(1, 4)[:, None].astype(np.float32), "array")
    network = backbone(300.0)
    assert settled(network, [large], ["output"], "cpu", "bf16") == "bf16"
    assert settled(network, [large, domain], ["output"], "cpu", "bf16") == "fp32"


def test_the_answer_depends_on_the_set_of_rows_and_is_remembered(domain, home):
    network = backbone(0.0)
    first = settled(network, [domain], ["output"], "cpu", "bf16")
    (note,) = home.iterdir()
    turned = domain.select(np.random.default_rng(1).permutation(40))
    assert settled(network, [turned], ["output"], "cpu", "bf16") == first
    assert list(home.iterdir()) == [note]
    note.write_text(json.dumps({"precision": "fp32"}))
    assert settled(network, [domain], ["output"], "cpu", "bf16") == "fp32"
    note.write_text("{broken")
    assert settled(network, [domain], ["output"], "cpu", "bf16") == first


def test_other_precisions_and_networks_without_weights_are_left_alone(domain, make_domain, home):
    assert settled(backbone(300.0), [domain], ["output"], "cpu", "fp32") == "fp32"
    pixels = registry.create("pixels", "image")
    assert settled(pixels, [make_domain([np.zeros((4, 4), np.uint8)], "image")], ["pixels"], "cpu", "bf16") == "bf16"
    assert not home.exists()
    assert settled(backbone(0.0), [domain.select(np.arange(0))], ["output"], "cpu", "bf16") == "bf16"


def test_transformers_agree_and_depthwise_convolutions_do_not(minilm, make_domain, photos, home):
    texts = make_domain([f"review {k}: " + "good film " * k for k in range(6)], "text")
    assert lowest_cosine(minilm, texts, ["layer_6"], "cpu") > 0.9995
    network = registry.create("efficientnet_lite0", "image", {"size": 64})
    network.train()
    assert lowest_cosine(network, make_domain(list(photos.values()), "image"), ["final"], "cpu") < LEAST
    assert network.training
