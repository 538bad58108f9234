import pytest
import torch
from torch.nn import functional as F

from acclimate.errors import SettingsError
from acclimate.methods.few_shot.pt_map import PTMAP, TOLERANCE, transport


def test_potentials_by_hand():
    # rows with exp(closeness) (1, 1) and (1, 3): p_1 = v/(v + 1) + v/(v + 3) = 1 where v^2 = 3, of the other's v = 1
    closeness = torch.tensor([[[1.0, 1.0], [1.0, 3.0]]]).log()
    v = transport(closeness, torch.tensor([[[1.0], [1.0]]]))
    assert (v[0, 0] / v[0, 1]).item() == pytest.approx(3**0.5, rel=1e-4)


def test_rows_are_shared_out_whole_and_fill_the_shares():
    closeness = 5 * torch.randn(4, 3, 20, generator=torch.Generator().manual_seed(0))
    shares = torch.tensor([[[12.0], [8.0], [0.0]]]).expand(4, -1, -1)
    closeness[:, 2] = -1e4
    answers = (closeness + transport(closeness, shares).clamp_min(1e-38).log()).softmax(1)
    torch.testing.assert_close(answers.sum(1), torch.ones(4, 20))
    torch.testing.assert_close(answers.sum(-1, keepdim=True), shares, rtol=2 * TOLERANCE, atol=1e-4)


@pytest.mark.parametrize("balanced", [True, False])
def test_turns_are_those_on_the_rows_themselves(balanced):
    draw = torch.Generator().manual_seed(3)
    support, query = torch.randn(5, 6, generator=draw), torch.randn(8, 6, generator=draw)
    targets = torch.tensor([0, 1, 2, 2, 1])
    level = PTMAP(balanced, sharpness=4.0, pace=0.3, steps=3)
    found = level.logits(support[None], targets[None], query[None], 3)[0]

    seen, asked = (F.normalize(part.sign() * part.abs().sqrt(), dim=-1) for part in (support, query))
    middle = seen.mean(0)
    seen, asked = seen - middle, asked - (asked.mean(0) if balanced else middle)
    seen, asked = F.normalize(seen, dim=-1), F.normalize(asked, dim=-1)
    means = torch.stack([seen[targets == k].mean(0) for k in range(3)])
    member, rows, potential = F.one_hot(targets).float(), torch.cat([seen, asked]), torch.full((3,), 1 / 3)
    for step in range(4):
        kernel = (-4 * (asked[:, None] - means).square().sum(-1)).exp()
        for _ in range(300 * balanced):
            potential = (8 / 3) / (kernel / (kernel @ potential)[:, None]).sum(0)
        p = kernel * potential / (kernel @ potential)[:, None]
        if step < 3:
            potential = potential if balanced else (p.mean(0) + 1 / 3) / 2
            assigned = torch.cat([member, p])
            means = means + 0.3 * (assigned.T @ rows / assigned.sum(0)[:, None] - means)
    torch.testing.assert_close(found.softmax(-1), p, atol=1e-4, rtol=0)


def test_without_balance_no_share_is_forced():
    draw = torch.Generator().manual_seed(0)
    middles = torch.randn(2, 16, generator=draw)
    query = middles[torch.tensor([0] * 45 + [1] * 5)] + torch.randn(50, 16, generator=draw) / 4
    ask = middles[None], torch.tensor([[0, 1]]), query[None], 2
    forced, free = (PTMAP(balanced).logits(*ask)[0].softmax(-1).sum(0) for balanced in (True, False))
    torch.testing.assert_close(forced, torch.tensor([25.0, 25.0]), atol=1e-2, rtol=0)
    torch.testing.assert_close(free, torch.tensor([45.0, 5.0]), atol=0.5, rtol=0)


def test_features_may_be_negative():
    draw = torch.Generator().manual_seed(0)
    support, query = torch.randn(2, 4, 6, generator=draw), torch.randn(2, 9, 6, generator=draw)
    targets = torch.tensor([[0, 1, 1, 0]]).expand(2, -1)
    found = PTMAP().logits(support, targets, query, 2)
    assert found.isfinite().all()
    torch.testing.assert_close(PTMAP().logits(-support, targets, -query, 2), found, atol=1e-3, rtol=0)


def test_a_sharpness_that_would_vanish_is_refused():
    with pytest.raises(SettingsError, match="sharpness must lie in"):
        PTMAP(sharpness=50.0)
