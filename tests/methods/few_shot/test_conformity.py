from __future__ import annotations

import torch

from acclimate.methods.few_shot.conformity import conformity


def test_two_classes_by_hand():
    support, targets = torch.eye(2)[None], torch.tensor([[0, 1]])
    found = conformity(support, targets, torch.tensor([[[5.0, 0.0], [1.0, 1.0]]]), 2)[0]
    # Lengths play no part. (1, 0) - m is along c_0 - m and against c_1 - m; (1, 1) is the mean's own direction.
    torch.testing.assert_close(found[0], torch.tensor([1 + 2 * 1.0, -1 + 2 * 0.0]))
    torch.testing.assert_close(found[1], torch.full((2,), 2 * 0.5**0.5), atol=2e-3, rtol=0)


def test_one_class_is_known_by_its_direction():
    found = conformity(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[0]]), torch.tensor([[[3.0, 4.0]]]), 1)
    torch.testing.assert_close(found, torch.tensor([[[2 * 0.6]]]))


def test_rows_that_are_not_known_play_no_part():
    draw = torch.Generator().manual_seed(0)
    support, query = torch.randn(1, 6, 4, generator=draw), torch.randn(1, 5, 4, generator=draw)
    targets, known = torch.tensor([[0, 1, 2, 0, 1, 2]]), torch.tensor([[True, True, True, True, False, True]])
    kept = known[0].nonzero().squeeze(1)
    masked = conformity(support, targets, query, 3, known)
    torch.testing.assert_close(masked, conformity(support[:, kept], targets[:, kept], query, 3), atol=1e-5, rtol=1e-5)
    without = torch.tensor([[True, False, True, True, False, True]])
    assert conformity(support, targets, query, 3, without)[..., 1].isneginf().all()


def test_folds_that_are_views_of_one_support():
    draw = torch.Generator().manual_seed(0)
    support, targets = torch.randn(6, 4, generator=draw), torch.tensor([0, 1, 2, 0, 1, 2])
    known = torch.arange(6) != torch.arange(6)[:, None]
    views = conformity(support.expand(6, -1, -1), targets.expand(6, -1), support.expand(6, -1, -1), 3, known)
    copies = support.repeat(6, 1, 1)
    torch.testing.assert_close(views, conformity(copies, targets.repeat(6, 1), copies, 3, known), atol=1e-5, rtol=1e-5)
