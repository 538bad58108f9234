"""What looking at the queries together is good for, where it hurts, and which form does not."""

import pytest
import torch

from acclimate.methods.few_shot.prototypes import Prototypes
from acclimate.methods.few_shot.registry import LEVELS, create_level, find_level

NAMES = [name for name in LEVELS if find_level(name).transductive]
every = pytest.mark.parametrize("name", NAMES)
forms = pytest.mark.parametrize("balanced", [True, False], ids=["balanced", "unbalanced"])


def clusters(shares, tasks=40, width=32, seed=0):
    """One support row a class, far off the middle of its cluster; so many queries of each class nearer to theirs."""
    draw = torch.Generator().manual_seed(seed)
    middles = torch.randn(tasks, len(shares), width, generator=draw)
    support = middles + 2 * torch.randn(middles.shape, generator=draw)
    answers = torch.cat([torch.full((count,), k) for k, count in enumerate(shares)])
    query = middles[:, answers] + 0.8 * torch.randn(tasks, len(answers), width, generator=draw)
    return support, torch.arange(len(shares)).expand(tasks, -1), query, answers


def right(level, shares):
    support, targets, query, answers = clusters(shares)
    return (level.logits(support, targets, query, len(shares)).argmax(-1) == answers).float().mean().item()


def test_there_are_three():
    assert NAMES == ["tim", "pt_map", "laplacian_shot"]


@every
@forms
def test_queries_mend_a_mean_that_one_row_got_wrong(name, balanced):
    assert right(Prototypes(), (20, 20, 20)) < 0.86
    assert right(create_level(name, {"balanced": balanced}), (20, 20, 20)) > 0.97


@pytest.mark.parametrize("name", ["tim", "pt_map"])
def test_unequal_shares_hurt_the_form_that_counts_on_equal_ones(name):
    shares = (40, 14, 6)
    plain = right(Prototypes(), shares)
    assert right(create_level(name, {"balanced": True}), shares) < plain - 0.1
    assert right(create_level(name, {"balanced": False}), shares) > plain + 0.05


def test_queries_moved_to_the_mean_of_the_support_hurt_where_shares_are_far_from_equal():
    shares = (50, 8, 2)
    free, moved = (right(create_level("laplacian_shot", {"balanced": balanced}), shares) for balanced in (False, True))
    assert free > right(Prototypes(), shares) + 0.1
    assert moved < free - 0.05


def test_a_larger_alpha_bears_shares_further_from_equal():
    low, high = (right(create_level("tim", {"alpha": alpha}), (50, 8, 2)) for alpha in (2.0, 7.0))
    assert low < 0.7
    assert high > 0.9


@every
def test_equal_shares_are_not_assumed_by_default(name):
    assert create_level(name).balanced is False
