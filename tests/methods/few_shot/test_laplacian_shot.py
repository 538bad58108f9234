import torch
from torch.nn import functional as F

from acclimate.methods.few_shot.base import centred, membership
from acclimate.methods.few_shot.laplacian_shot import LaplacianShot, neighbourhood, rectified


def test_neighbours_by_hand():
    line = torch.tensor([0.0, 1.0, 3.0, 3.5])
    nearness = -(line[:, None] - line).abs()[None]
    # nearest of each: 1, 0, 3, 2; the two nearest: (1, 2), (0, 2), (3, 1), (2, 1)
    one = torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
    two = torch.tensor([[0.0, 1, 0.5, 0], [1, 0, 1, 0.5], [0.5, 1, 0, 1], [0, 0.5, 1, 0]])
    assert torch.equal(neighbourhood(nearness, 1)[0], one)
    assert torch.equal(neighbourhood(nearness, 2)[0], two)
    assert torch.equal(neighbourhood(nearness, 9)[0], 1 - torch.eye(4))
    assert torch.equal(neighbourhood(nearness[:, :1, :1], 3), torch.zeros(1, 1, 1))


def test_rectified_means_by_hand():
    support, query = torch.eye(2)[None], torch.tensor([[[2.0, 0.0], [0.6, 0.8]]])
    member = membership(torch.tensor([[0, 1]]), 2)
    weights = torch.tensor([[10.0, 0.0], [6.0, 8.0]]).softmax(-1)[[0, 1], [0, 1]]
    first = (torch.tensor([1.0, 0.0]) + weights[0] * torch.tensor([2.0, 0.0])) / (1 + weights[0])
    second = (torch.tensor([0.0, 1.0]) + weights[1] * torch.tensor([0.6, 0.8])) / (1 + weights[1])
    torch.testing.assert_close(rectified(support, support, member, query)[0], torch.stack([first, second]))


def test_one_round_is_a_step_of_the_bound():
    draw = torch.Generator().manual_seed(0)
    support, query = torch.randn(1, 6, 5, generator=draw), torch.randn(1, 8, 5, generator=draw)
    targets = torch.tensor([[0, 1, 2, 0, 1, 2]])
    seen, asked = (F.normalize(part, dim=-1)[0] for part in centred(support, query))
    means = torch.stack([seen[targets[0] == k].mean(0) for k in range(3)])
    distance = (asked[:, None] - means).square().sum(-1)
    affinity = neighbourhood((asked @ asked.T)[None], 2)[0]
    wanted = (-distance + 0.5 * affinity @ (-distance).softmax(-1)).softmax(-1)
    level = LaplacianShot(strength=0.5, neighbours=2, rectified=False, steps=1)
    torch.testing.assert_close(level.logits(support, targets, query, 3)[0].softmax(-1), wanted)


def test_rounds_lower_the_energy():
    draw = torch.Generator().manual_seed(1)
    support, query = torch.randn(1, 6, 5, generator=draw), torch.randn(1, 30, 5, generator=draw)
    targets = torch.tensor([[0, 1, 2, 0, 1, 2]])
    seen, asked = (F.normalize(part, dim=-1)[0] for part in centred(support, query))
    means = torch.stack([seen[targets[0] == k].mean(0) for k in range(3)])
    distance = (asked[:, None] - means).square().sum(-1)
    affinity = neighbourhood((asked @ asked.T)[None], 3)[0]

    def energy(steps):
        level = LaplacianShot(strength=0.3, rectified=False, steps=steps)
        p = level.logits(support, targets, query, 3)[0].softmax(-1)
        return (p * (p.log() + distance)).sum() - 0.15 * (p * (affinity @ p)).sum()

    assert energy(30) <= energy(5) < energy(1)


def test_each_of_neighbours_and_rectified_means_helps():
    draw = torch.Generator().manual_seed(0)
    middles = torch.randn(40, 3, 32, generator=draw)
    support = middles + 2 * torch.randn(middles.shape, generator=draw)
    query = middles.repeat_interleave(15, 1) + 0.8 * torch.randn(40, 45, 32, generator=draw)
    answers, targets = torch.arange(3).repeat_interleave(15), torch.arange(3).expand(40, -1)

    def right(**settings):
        found = LaplacianShot(**settings).logits(support, targets, query, 3)
        return (found.argmax(-1) == answers).float().mean().item()

    plain = right(strength=0.0, rectified=False)
    assert right(rectified=False) > plain + 0.02
    assert right(strength=0.0) > plain + 0.02
    assert right() > max(right(rectified=False), right(strength=0.0))
