"""Confident answers on plain rows teach their strong views."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.errors import SettingsError
from acclimate.methods.self_training.fixmatch import FixMatch, Shares, consistency
from acclimate.tasks.sites import Width
from acclimate.training.model import Model, Step


def test_only_confident_rows_teach_and_all_rows_count():
    plain = torch.tensor([[0.97, 0.03], [0.6, 0.4], [0.05, 0.95], [0.5, 0.5]])
    strong = torch.tensor([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    wanted = -(np.log(0.5) + np.log(0.2)) / 4
    assert consistency(plain, strong, 0.95).item() == pytest.approx(wanted)
    assert consistency(plain, strong, 0.0).item() == pytest.approx(wanted - (np.log(0.1) + np.log(0.3)) / 4)


def test_no_gradient_passes_the_pseudo_labels():
    plain = torch.tensor([[0.9, 0.1]], requires_grad=True)
    strong = torch.tensor([[0.5, 0.5]], requires_grad=True)
    consistency(plain, strong, 0.5).backward()
    assert plain.grad is None
    assert strong.grad is not None and strong.grad.tolist() == [[-2.0, 0.0]]


def test_shares_are_remembered_and_answers_scaled_to_the_sources():
    shares = Shares(2)
    source, target = torch.tensor([[0.9, 0.1], [0.7, 0.3]]), torch.tensor([[0.2, 0.8], [0.4, 0.6]])
    found = shares.align(source, target)
    of_source, of_target = 0.99 * 0.5 + 0.01 * np.array([[0.8, 0.2], [0.3, 0.7]])
    np.testing.assert_allclose(shares.source, of_source, rtol=1e-6)
    np.testing.assert_allclose(shares.target, of_target, rtol=1e-6)
    wanted = target.numpy() * of_source / of_target
    np.testing.assert_allclose(found, wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-6)
    for _ in range(2000):
        found = shares.align(source, target)
    assert found.mean(dim=0)[0] > 0.75  # nearly the source's 0.8
    assert set(FixMatch(align_shares=True).parts({"features": Width(4, 2)})) == {"shares_features"}
    assert FixMatch().parts({"features": Width(4, 2)}) == {}


def test_the_features_receive_the_strong_views_gradient(moved, monkeypatch):
    """By hand: the strong view is run through the same model, the labels are those of the plain one."""
    models: list[Model] = []
    forward = Model.forward

    def watched(model, batch, autocast=None):
        models.append(model)
        return forward(model, batch, autocast)

    monkeypatch.setattr(Model, "forward", watched)

    def term(source: Step, target: Step) -> torch.Tensor:
        strong = forward(models[0], target.batch.views["strong"])
        labels = target.outputs["logits"].argmax(1)
        sure = target.outputs["logits"].softmax(1).amax(1) >= 0.6
        assert 0 < sure.sum() < len(sure)
        losses = torch.nn.functional.cross_entropy(strong.outputs["logits"], labels, reduction="none")
        return 0.7 * losses[sure].sum() / len(sure)

    moved(FixMatch(strength=0.7, threshold=0.6), term)


@pytest.mark.parametrize("settings", [{"strength": -1}, {"threshold": 1.0}, {"threshold": -0.1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        FixMatch(**settings)


def test_shares_remember_a_batch_as_much_as_its_halves():
    answers = torch.tensor([[0.9, 0.1], [0.9, 0.1]])
    whole, halves, again = Shares(2), Shares(2), Shares(2)
    whole.align(answers, answers)
    for _ in range(2):
        halves.align(answers[:1], answers[:1], 0.5)
    again.align(answers, answers, 0.0)
    torch.testing.assert_close(whole.target, halves.target)
    assert whole.target[0] > 0.5 and again.target.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("align", [False, True])
def test_strength_0_is_source_only_bit_for_bit(same_as_source_only, align):
    same_as_source_only(FixMatch(strength=0.0, threshold=0.5, align_shares=align))


def stuck(where: str, seed: int = 0, n: int = 400):
    """A strong first column that in 60 % of the target's rows is stuck at "yes", and four weak ones that never are."""
    rng = np.random.default_rng([seed, where == "source"])
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)
    first = 3 * sign + rng.normal(0, 0.3, n)
    if where == "target":
        first = np.where(rng.random(n) < 0.6, 2 + rng.normal(0, 0.3, n), first)
    rest = 0.7 * sign[:, None] + rng.normal(0, 0.7, (n, 4))
    return np.column_stack([first, rest]).astype(np.float32), np.where(sign > 0, "yes", "no")


def test_fixmatch_solves_a_shift_that_source_only_does_not(solves):
    solves(FixMatch(threshold=0.9), stuck)
