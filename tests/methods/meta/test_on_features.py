"""Learners whose answers are a function of features: numbers worked out by hand, and what each is for."""

import math

import pytest
import torch
from torch import nn

from acclimate.methods.meta.matching_net import MatchingNet
from acclimate.methods.meta.protonet import ProtoNet
from acclimate.methods.meta.r2d2 import R2D2, Calibration, ridge
from acclimate.methods.meta.relation_net import RelationNet


def test_attention_by_hand():
    support = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]])
    logits = MatchingNet(scale=1.0).logits(support, torch.tensor([[0, 1, 1]]), torch.tensor([[[5.0, 0.0]]]))
    total = math.e + 2
    assert logits[0, 0].exp().tolist() == pytest.approx([math.e / total, 2 / total])


def test_attention_sees_clusters_where_the_mean_of_a_class_is_nowhere():
    """A class on either side of the origin: its mean is the origin."""
    support = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]])
    targets, query = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[[0.9, 0.1], [-0.9, 0.1], [0.1, 0.9], [0.1, -0.9]]])
    assert MatchingNet().logits(support, targets, query).argmax(-1).tolist() == [[0, 0, 1, 1]]
    nearest = ProtoNet().logits(support, targets, query).softmax(-1)
    assert torch.allclose(nearest, torch.full_like(nearest, 0.5))


def test_relation_by_hand():
    learner, relation = RelationNet(), nn.Linear(4, 1)
    with torch.no_grad():
        relation.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 10.0]]))
        relation.bias.fill_(0.5)
    support, targets = torch.tensor([[[1.0, 9.0], [3.0, 9.0], [-1.0, 9.0]]]), torch.tensor([[0, 0, 1]])
    logits = learner.logits(support, targets, torch.tensor([[[7.0, 0.0], [7.0, 1.0]]]), {"relation": relation})
    assert torch.equal(logits, torch.tensor([[[2.5, -0.5], [12.5, 9.5]]]))
    loss = learner.loss(torch.tensor([[[0.0, 100.0]]]), torch.tensor([[0]]))
    assert loss.item() == pytest.approx((0.25 + 1.0) / 2)


def test_relation_is_to_the_mean_so_that_shots_may_be_more():
    learner = RelationNet(hidden=8)
    torch.manual_seed(0)
    relation = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    support, query = torch.randn(1, 3, 4), torch.randn(1, 5, 4)
    one = learner.logits(support, torch.tensor([[0, 1, 2]]), query, {"relation": relation})
    twice = learner.logits(support.repeat(1, 2, 1), torch.tensor([[0, 1, 2, 0, 1, 2]]), query, {"relation": relation})
    assert torch.allclose(one, twice, atol=1e-6)


@pytest.mark.parametrize(("rows", "size"), [(4, 9), (9, 4)])
def test_ridge_is_the_primal_solution(rows, size):
    draw = torch.Generator().manual_seed(0)
    x, y, q = (
        torch.randn(2, *shape, generator=draw, dtype=torch.float64) for shape in ((rows, size), (rows, 3), (5, size))
    )
    primal = torch.linalg.solve(x.mT @ x + 0.7 * torch.eye(size, dtype=torch.float64), x.mT @ y)
    assert torch.allclose(ridge(x, y, q, 0.7), q @ primal, atol=1e-12)


def test_gradient_through_the_solution_is_that_of_finite_differences():
    draw = torch.Generator().manual_seed(0)
    x, y, q = (torch.randn(2, *shape, generator=draw, dtype=torch.float64) for shape in ((4, 6), (4, 3), (5, 6)))
    log_penalty = torch.tensor(-0.5, dtype=torch.float64, requires_grad=True)
    values = (x.requires_grad_(), y.requires_grad_(), q.requires_grad_(), log_penalty)
    assert torch.autograd.gradcheck(lambda x, y, q, p: ridge(x, y, q, p.exp()), values, eps=1e-6, atol=1e-8)


def test_ridge_logits_by_hand():
    """One feature: support 1 and 2 of classes 0 and 1, penalty 5: weights 1 / 10 and 2 / 10."""
    calibration = Calibration(scale=10.0, penalty=5.0)
    with torch.no_grad():
        calibration.bias.fill_(0.5)
    parts, support, query = {"calibration": calibration}, torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[3.0]]])
    logits = R2D2().logits(support, torch.tensor([[0, 1]]), query, parts)
    assert torch.allclose(logits, torch.tensor([[[3.5, 6.5]]]))
    numbers = R2D2().logits(support, torch.tensor([[2.0, 4.0]]), query, parts)  # weight 10 / 10
    assert torch.allclose(numbers, torch.tensor([[30.5]]))


def test_scale_bias_and_penalty_are_learned(classes, make_model, teach):
    trainer = teach(make_model(), R2D2(), classes(), steps=20)
    before = {name: value.clone() for name, value in trainer.parts["calibration"].state_dict().items()}
    trainer.train()
    after = trainer.parts["calibration"].state_dict()
    assert set(after) == {"scale", "bias", "log_penalty"}
    assert after["scale"] != before["scale"]
    assert after["log_penalty"] != before["log_penalty"]


def test_rows_of_other_lengths_are_padded_before_they_are_joined():
    from acclimate.methods.meta.on_features import joined

    support = {"atoms": torch.ones(2, 3, 4, 5), "sizes": torch.ones(2, 3)}
    query = {"atoms": torch.ones(2, 1, 6, 5), "sizes": torch.ones(2, 1)}
    found = joined(support, query)
    assert found["atoms"].shape == (2, 4, 6, 5) and found["sizes"].shape == (2, 4)
    assert found["atoms"].sum((0, 2, 3)).tolist() == [40, 40, 40, 60], "what was there, and zeros"
