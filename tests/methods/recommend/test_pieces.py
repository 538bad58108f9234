from __future__ import annotations

import torch

from acclimate.methods.recommend.emcdr import EMCDR
from acclimate.methods.recommend.ptupcdr import Bridge


def test_a_linear_mapping_is_found_exactly_where_nothing_is_penalised():
    torch.manual_seed(0)
    given, turn, asked = torch.randn(20, 3), torch.randn(3, 3), torch.randn(4, 3)
    mapped = EMCDR(penalty=1e-6).mapped(given, given @ turn, asked)
    assert torch.allclose(mapped, asked @ turn, atol=1e-4)


def test_a_hidden_layer_learns_what_no_line_can():
    torch.manual_seed(0)
    given = torch.rand(200, 2) * 2 - 1
    wanted = given.abs()
    line, curve = (EMCDR(hidden=hidden, penalty=1e-6).mapped(given, wanted, given) for hidden in (0, 32))
    assert (curve - wanted).square().mean() < 0.2 * (line - wanted).square().mean()


def test_a_bridge_reads_liked_items_and_not_the_padding():
    torch.manual_seed(0)
    bridge = Bridge(3, 5)
    users, liked = torch.randn(2, 3), torch.randn(2, 4, 3)
    there = torch.tensor([[True, True, False, False], [True, True, True, True]])
    other = liked.clone()
    other[0, 2:] = 99.0
    assert torch.equal(bridge(users, liked, there), bridge(users, other, there))
    assert not torch.allclose(bridge(users, liked, there)[0], bridge(users, liked, there | True)[0])


def test_each_user_has_a_mapping_of_his_own():
    torch.manual_seed(0)
    bridge = Bridge(3, 5)
    same = torch.ones(2, 3)
    carried = bridge(same, torch.randn(2, 4, 3), torch.ones(2, 4, dtype=torch.bool))
    assert not torch.allclose(carried[0], carried[1])
