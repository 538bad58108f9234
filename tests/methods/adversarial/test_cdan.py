"""CDAN: what the discriminator sees, how rows weigh, and what it is good for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from acclimate.errors import SettingsError
from acclimate.methods.adversarial.cdan import CDAN, Conditional, multilinear, random_multilinear, sureness
from acclimate.methods.adversarial.pieces import domain_loss, ganin_schedule
from acclimate.tasks.sites import Width

RATE = 0.1


def test_the_multilinear_map_is_each_rows_outer_product():
    values, probs = torch.randn(3, 4), torch.rand(3, 2)
    expected = [np.outer(v, p).ravel() for v, p in zip(values.numpy(), probs.numpy(), strict=True)]
    np.testing.assert_allclose(multilinear(values, probs).numpy(), expected, rtol=1e-6)


def test_the_random_map_keeps_inner_products():
    torch.manual_seed(0)
    values, probs = torch.randn(2, 4), torch.rand(2, 3).softmax(1)
    matrices = torch.randn(4, 200_000), torch.randn(3, 200_000)
    left, right = random_multilinear(values, probs, *matrices)
    exact = multilinear(values, probs)
    assert (left @ right).item() == pytest.approx((exact[0] @ exact[1]).item(), abs=0.03)
    assert (left @ left).item() == pytest.approx((exact[0] @ exact[0]).item(), rel=0.05)


def test_sure_rows_weigh_up_to_twice_as_much():
    probs = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.9, 0.1]])
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert sureness(probs).tolist() == pytest.approx([2.0, 1.5, 1 + np.exp(-entropy)])


def test_many_products_are_mapped_by_fixed_random_matrices():
    exact, mapped = Conditional(1024, 4, 8, 16), Conditional(1025, 4, 8, 16)
    assert exact.classifier[0].in_features == 4096
    assert mapped.classifier[0].in_features == 16
    assert {"features", "classes"} < set(mapped.state_dict())  # a resumed run has the same ones
    assert {"features", "classes"}.isdisjoint(name for name, _ in mapped.named_parameters())
    values, probs = torch.randn(5, 1025), torch.rand(5, 4)
    expected = (values @ mapped.features) * (probs @ mapped.classes) / 4
    torch.testing.assert_close(mapped.join(values, probs), expected)


def judged(critic: Conditional, source, target, entropy: bool) -> torch.Tensor:
    """The domain loss, written out."""
    total = 0.0
    for step, label in ((source, 0.0), (target, 1.0)):
        site = step.sites["features"]
        probs = site.probs.detach()
        joined = torch.stack([torch.outer(v, p).flatten() for v, p in zip(site.values, probs, strict=True)])
        logits = critic.classifier(joined)[:, 0]
        losses = F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label), reduction="none")
        weight = 1 + torch.exp((probs * probs.log()).sum(1)) if entropy else torch.ones(len(losses))
        total = total + 0.5 * (weight * losses).sum() / weight.sum()
    return total


@pytest.mark.parametrize("entropy", [True, False])
@pytest.mark.parametrize("strength", [0.3, 2.0])
def test_the_features_climb_the_domain_loss_and_the_discriminator_descends_it(moved, monkeypatch, entropy, strength):
    torch.manual_seed(3)
    critic = Conditional(4, 2, 5, 7)
    own = list(critic.classifier.parameters())
    before = [p.detach().clone() for p in own]
    seen = []
    monkeypatch.setattr(CDAN, "parts", lambda self, sites: {"discriminator_features": critic})

    def term(source, target):
        loss = judged(critic, source, target, entropy)
        seen.extend(torch.autograd.grad(loss, own, retain_graph=True))
        return -strength * ganin_schedule(0.5) * loss

    moved(CDAN(strength=strength, entropy=entropy), term)
    for p, old, gradient in zip(own, before, seen, strict=True):  # at full strength
        torch.testing.assert_close((old - p.detach()) / RATE, gradient, rtol=1e-4, atol=1e-6)


def test_domain_loss_takes_weights_by_their_ratio_within_a_domain():
    classifier = torch.nn.Linear(2, 1)
    source, target = torch.randn(3, 2), torch.randn(2, 2)
    twice = domain_loss(classifier, source[[0, 0, 1, 2]], target)
    weighted = domain_loss(classifier, source, target, (torch.tensor([5.0, 2.5, 2.5]), torch.ones(2)))
    torch.testing.assert_close(weighted, twice)


@pytest.mark.parametrize("settings", [{"strength": -1}, {"hidden": -1}, {"random": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        CDAN(**settings)


def test_every_site_has_a_discriminator():
    parts = CDAN(hidden=8).parts({"text": Width(6, 3), "region": Width(4, 2)})
    assert {name: part.classifier[0].in_features for name, part in parts.items()} == {
        "discriminator_text": 18,
        "discriminator_region": 8,
    }


def test_strength_0_is_source_only_bit_for_bit(same_as_source_only):
    same_as_source_only(CDAN(strength=0.0, hidden=8))


def test_cdan_solves_a_shift_that_source_only_does_not(solves, points_of):
    solves(CDAN(hidden=64), points_of, steps=400, optimizer="sgd", schedule="dann", learning_rate=0.03)
