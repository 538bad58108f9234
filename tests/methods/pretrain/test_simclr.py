from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

import acclimate as ac
from acclimate.backbones import registry
from acclimate.backbones.base import Backbone
from acclimate.errors import SettingsError
from acclimate.methods import SimCLR, nt_xent

Pair = tuple[np.ndarray, np.ndarray]
MLP = {"name": "mlp", "hidden": (32,)}


def naive(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    """Equation 1 of Chen et al. 2020, view by view."""
    views = [row / np.linalg.norm(row) for row in [*first, *second]]
    n, total = len(first), 0.0
    for i, view in enumerate(views):
        similar = [math.exp(view @ other / temperature) for other in views]
        total -= math.log(similar[(i + n) % (2 * n)] / (sum(similar) - similar[i]))
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_loss_is_equation_1(temperature):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 7, 5))
    found = nt_xent(torch.tensor(first), torch.tensor(second), temperature).item()
    assert found == pytest.approx(naive(first, second, temperature), rel=1e-5)


def test_loss_by_hand():
    rows = torch.eye(2)
    # each view: its partner at cosine 1, the two others at 0
    assert nt_xent(rows, rows, 1.0).item() == pytest.approx(math.log((math.e + 2) / math.e))


def test_collapsed_projections_are_at_chance():
    same = torch.ones(6, 4)
    assert nt_xent(same, same).item() == pytest.approx(math.log(11))


def test_gradient_moves_views_of_a_row_together_and_others_apart():
    torch.manual_seed(0)
    first = torch.randn(8, 4, requires_grad=True)
    second = torch.randn(8, 4)
    rate, losses = 1.0, []
    for _ in range(50):
        loss = nt_xent(first, second)
        (gradient,) = torch.autograd.grad(loss, first)
        first = (first - rate * gradient).detach().requires_grad_()
        losses.append(loss.item())
    similar = F.normalize(first.detach()) @ F.normalize(second).T
    assert losses[-1] < losses[0]
    assert similar.diagonal().mean() > similar[~torch.eye(8, dtype=torch.bool)].mean() + 0.5


def clusters(where: str, seed: int = 0, n: int = 600) -> Pair:
    """Four clusters in twelve columns beside twelve columns of louder noise; the target is moved."""
    rng = np.random.default_rng([seed, where == "source"])
    classes = rng.integers(4, size=n)
    centres = np.random.default_rng(7).choice([-1.0, 1.0], (4, 12))
    values = np.concatenate([centres[classes] + rng.normal(0, 0.7, (n, 12)), rng.normal(0, 2, (n, 12))], axis=1)
    if where == "target":
        values += np.random.default_rng(8).normal(0, 0.5, 24)
    return values.astype(np.float32), classes.astype(str)


@pytest.fixture
def probe() -> Callable[[Backbone, Pair, Pair], float]:
    """Accuracy of a linear probe on forty labels of the source, on the target."""

    def measure(backbone: Backbone, source: Pair, target: Pair) -> float:
        with torch.no_grad():
            known, asked = (backbone.eval()(backbone.collate(x))[backbone.spec.default] for x, _ in (source, target))
        head = LogisticRegression(max_iter=1000).fit(known[:40].numpy(), source[1][:40])
        return float((head.predict(asked.numpy()) == target[1]).mean())

    return measure


def test_unlabelled_rows_teach_what_a_network_from_scratch_does_not_know(probe, tmp_path):
    source, target, test = clusters("source"), clusters("target"), clusters("target", seed=1)
    encoder = ac.pretrain(
        ac.read(source[0]), ac.read(target[0]), backbone=MLP, training={"steps": 200}, precision="fp32",
        out=tmp_path / "enc",
    )  # fmt: skip
    fresh = registry.create("mlp", "array", {"hidden": (32,)})
    fresh.fit(ac.read(source[0]))
    before = probe(fresh, source, test)
    after = probe(registry.create(str(encoder.folder), "array"), source, test)
    assert before < 0.85
    assert after > 0.93
    seen = encoder.result["evidence"]["target"]
    assert seen["held_out_loss"]["after"] < seen["held_out_loss"]["before"] - 0.5
    assert seen["effective_rank"]["after"] > 20
    assert encoder.result["notes"] == []


def test_each_domain_is_contrasted_with_itself(tmp_path):
    source, target = clusters("source", n=64), clusters("target", n=64)
    options = {"backbone": MLP, "method": "simclr", "precision": "fp32", "validation": 0}
    steps = {"steps": 1, "batch_size": 64}
    both = ac.pretrain(ac.read(source[0]), ac.read(target[0]), training=steps, out=tmp_path / "2", **options)
    assert both.result["loss"].keys() == {"contrast_source", "contrast_target"}
    for loss in both.result["loss"].values():
        assert 0 < loss["first"] < math.log(2 * 64 - 1) + 0.2  # of 64 rows, not of 128
    alone = ac.pretrain(target=ac.read(target[0]), training=steps, out=tmp_path / "1", **options)
    assert alone.result["loss"].keys() == {"contrast"}


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"projection": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match="must lie in"):
        SimCLR(**settings)
