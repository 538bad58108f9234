import pytest
import torch
from torch.nn import functional as F

from acclimate.methods.few_shot.tim import MOMENTUM, STEP, TIM, WEIGHTS

forms = pytest.mark.parametrize("level", [TIM(balanced=True), TIM(alpha=2.0), TIM(alpha=3.5)], ids=str)


def rows(count, seed, width=7):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def entropy(level, p):
    if level.balanced:
        return -(p * p.log()).sum(-1)
    return (1 - (p**level.alpha).sum(-1)) / (level.alpha - 1)


def information(level, logits):
    """``b H(Y of X) - H(Y)`` of logits ``[query, ways]``."""
    p = logits.softmax(-1)
    return WEIGHTS[level.balanced][1] * entropy(level, p).mean() - entropy(level, p.mean(0))


def test_entropies_by_hand():
    p = torch.tensor([0.5, 0.25, 0.25])
    assert entropy(TIM(alpha=2.0), p).item() == pytest.approx(1 - 0.375)
    assert entropy(TIM(balanced=True), p).item() == pytest.approx(1.5 * torch.log(torch.tensor(2.0)).item())


@forms
def test_the_slope_is_that_of_the_information(level):
    logits = rows(6, 0, width=4).requires_grad_()
    (wanted,) = torch.autograd.grad(information(level, logits), logits)
    log_p = logits.detach().log_softmax(-1).mT[None]
    torch.testing.assert_close(level.information_slope(log_p.exp(), log_p)[0].mT, wanted)


@forms
def test_the_descent_is_that_on_the_weights_themselves(level):
    level = TIM(level.balanced, level.alpha, temperature=8.0, steps=12)
    targets = torch.tensor([0, 1, 1, 2, 0, 1])
    support, query = rows(6, 1), rows(9, 2)
    seen, asked = F.normalize(support, dim=-1), F.normalize(query, dim=-1)
    weights = torch.stack([seen[targets == k].mean(0) for k in range(3)])
    speed = torch.zeros_like(weights)
    each = 1 / torch.tensor([2.0, 3.0, 1.0], dtype=torch.float64)[targets] / 3

    def logits(weights, x):
        return -level.temperature / 2 * (x[:, None] - weights).square().sum(-1)

    for _ in range(level.steps):
        weights.requires_grad_()
        supervised = (each * F.cross_entropy(logits(weights, seen), targets, reduction="none")).sum()
        loss = WEIGHTS[level.balanced][0] * supervised + information(level, logits(weights, asked))
        (slope,) = torch.autograd.grad(loss, weights)
        speed = MOMENTUM * speed + slope
        weights = weights.detach() - STEP / level.temperature**2 * speed
    found = level.logits(support[None], targets[None], query[None], 3)[0].softmax(-1)
    torch.testing.assert_close(found, logits(weights, asked).softmax(-1))


@forms
def test_the_descent_descends(level):
    support, query = rows(4, 3)[None], rows(30, 4)[None]
    targets = torch.tensor([[0, 1, 2, 2]])

    def informed(steps):
        found = TIM(level.balanced, level.alpha, steps=steps).logits(support, targets, query, 3)
        return information(level, found[0]).item()

    assert informed(100) < informed(10) < informed(1)
