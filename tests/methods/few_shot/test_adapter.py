import pytest
import torch
from torch.nn import functional as F

from acclimate.methods.few_shot.adapter import LinearAdapter, leave_one_out_slope
from acclimate.methods.few_shot.base import centred, membership
from acclimate.methods.few_shot.prototypes import Prototypes

COUNTS = (4, 3, 1, 0)
TARGETS = torch.tensor([[0, 1, 0, 2, 1, 0, 1, 0]])


def rows(count, width=12, seed=0):
    return torch.randn(1, count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss(values, scale):
    """Row by row: against the means of the classes, its own without it; class 2 has one row and class 3 none."""
    total = torch.zeros((), dtype=values.dtype)
    for i, label in enumerate(TARGETS[0]):
        if COUNTS[label] < 2:
            continue
        others = torch.arange(len(values)) != i
        means = torch.stack([values[others & (TARGETS[0] == k)].mean(0) for k in range(3)])
        cosine = F.cosine_similarity(values[i], means, dim=-1)
        total = total + F.cross_entropy(scale * cosine[None], label[None]) / COUNTS[label] / 2
    return total


def test_the_slope_is_that_of_the_loss():
    values = rows(8).requires_grad_()
    (wanted,) = torch.autograd.grad(loss(values[0], 7.0), values)
    slope = leave_one_out_slope(values @ values.mT, membership(TARGETS, 4).double().mT, 7.0)
    torch.testing.assert_close((slope + slope.mT) @ values, wanted)


def test_the_map_is_that_of_descent_on_all_its_entries():
    support, query = rows(8) + 1, rows(5, seed=1)
    level = LinearAdapter(rate=0.2, steps=4, scale=9)
    seen, asked = (F.normalize(part, dim=-1)[0] for part in centred(support, query))
    scale = 9 * (1 - 1 / 3)
    turn = torch.eye(12, dtype=torch.float64)
    for _ in range(4):
        turn.requires_grad_()
        (slope,) = torch.autograd.grad(loss(seen @ turn.T, scale), turn)
        turn = turn.detach() - 0.2 * slope
    means = torch.stack([(seen @ turn.T)[TARGETS[0] == k].mean(0) for k in range(3)])
    wanted = scale * F.cosine_similarity((asked @ turn.T)[:, None], means, dim=-1)
    found = level.logits(support, TARGETS, query, 4)[0]
    torch.testing.assert_close(found[:, :3], wanted)
    assert found[:, 3].isneginf().all()


@pytest.mark.parametrize("scale", [12.0, 5.0])
def test_without_a_rate_it_is_prototypes_bit_for_bit(scale):
    task = rows(8).float(), TARGETS, rows(5, seed=1).float(), 4, torch.rand(1, 8) < 0.8
    assert torch.equal(LinearAdapter(scale=scale).logits(*task), Prototypes(scale).logits(*task))


def test_with_one_row_a_class_the_map_stays_the_identity():
    task = rows(3).float(), torch.tensor([[0, 1, 2]]), rows(5, seed=1).float(), 3
    torch.testing.assert_close(LinearAdapter(rate=1.0).logits(*task), Prototypes().logits(*task), atol=1e-5, rtol=0)


def test_it_learns_to_leave_out_directions_in_which_classes_do_not_differ():
    draw = torch.Generator().manual_seed(0)

    def made(count):
        targets = torch.arange(count) % 2
        values = torch.randn(count, 6, generator=draw) * torch.tensor([0.2, 1, 1, 1, 1, 1])
        values[:, 0] += 0.5 * (2.0 * targets - 1)
        return values[None], targets[None]

    (support, targets), (query, answers) = made(40), made(1000)

    def right(level):
        return (level.logits(support, targets, query, 2).argmax(-1) == answers).float().mean()

    assert right(Prototypes()) < 0.85
    assert right(LinearAdapter(rate=1.0, steps=40)) > 0.92
