"""Influence scores against values worked out by hand, and against really leaving rows out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from acclimate.tasks.classify import Classify
from acclimate.tasks.regress import Regress
from acclimate.trust.influence.scores import Labelled, alignment, criterion_of, influence, losses_of, newton

SIX = np.array([[-2.0], [-1.0], [-0.5], [0.5], [1.0], [2.0]])


def line(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    head = nn.Linear(len(weight[0]), len(weight))
    with torch.no_grad():
        head.weight.copy_(torch.tensor(weight))
        head.bias.copy_(torch.tensor(bias))
    return head


def test_ridge_without_a_penalty_is_ordinary_least_squares_worked_out():
    """Two points at x = -1, +1 with y = 0, 2: w = 1, b = 1 fits; a third at x = 0, y = 4 lifts b to 2, residual 2."""
    x, y = np.array([[-1.0], [1.0], [0.0]]), torch.tensor([0.0, 2.0, 4.0])
    head = line([[1.0]], [2.0])
    task = Regress()
    asked = Labelled(np.array([[0.0]]), torch.tensor([1.0]))  # the mean without the third point: loss 0 against 1
    found = influence(criterion_of(task), head, Labelled(x, y), asked, 0.0, damping=0.0)
    # H = 2 [[2, 0], [0, 3]]; target gradient 2 (2 - 1) (0, 1); residuals 1, 1, -2 -> gradients 2 r (x, 1)
    assert found == pytest.approx([2 / 6 * 2, 2 / 6 * 2, 2 / 6 * -4])
    # really left out: b = 1.  b moves by r / (n (1 - h)) with h = 1/3, the influence function leaves (1 - h) away
    b = 2.0 - (2 / 3) / (1 - 1 / 3)
    assert b == pytest.approx(1.0)


def refitted(task, labels, penalty, target, weights):
    """The mean loss on the target after each of these weightings of the six points, by scikit-learn's own solution."""
    heads = [task.solve(SIX[weight > 0], labels[weight > 0], penalty, weight[weight > 0]) for weight in weights]
    return np.array([losses_of(criterion_of(task), head, target).mean() for head in heads])


def test_six_points_of_a_ridge_head_really_left_out():
    """Without row i the solution moves by its influence over ``1 - h``; so far off a target its loss is a line."""
    labels = np.array(["-2.1", "-0.9", "-0.2", "0.1", "1.3", "5"], dtype=object)
    task, penalty = Regress(0.5, 2.3), 0.7
    head, train = task.solve(SIX, labels, penalty), Labelled(SIX, task.encode(labels))
    curvature = np.array([[2 * (SIX**2).sum() + 2 * penalty, 0.0], [0.0, 12.0]])
    design = np.column_stack([SIX, np.ones(6)])
    leverage = 2 * np.einsum("ij,jk,ik->i", design, np.linalg.inv(curvature), design)
    target = Labelled(np.array([[-0.7], [1.5]]), torch.tensor([1e4, 2e4]))
    found = influence(criterion_of(task), head, train, target, task.ridge(penalty, labels), damping=0.0)
    left_out = refitted(task, labels, penalty, target, 1 - np.eye(6)) - refitted(
        task, labels, penalty, target, np.ones((1, 6))
    )
    assert found / (1 - leverage) == pytest.approx(left_out, rel=2e-3)
    near = Labelled(target.features, torch.tensor([-1.0, 2.0]))
    for gone in ([5], [0, 3], [1, 2, 4]):  # one Newton step is exact here, whatever is removed and however it bends
        kept = np.setdiff1d(np.arange(6), gone)
        other = task.solve(SIX[kept], labels[kept], penalty)
        change = losses_of(criterion_of(task), other, near).mean() - losses_of(criterion_of(task), head, near).mean()
        ridge = task.ridge(penalty, labels)
        told = newton(criterion_of(task), head, train, near, ridge, np.array(gone), damping=0.0)
        assert told == pytest.approx(change, rel=1e-4)


def test_six_points_of_a_logistic_head():
    """The score is the slope by the row's weight, and orders rows nearly as leaving them out does."""
    labels, task, penalty = np.array(list("aababb"), dtype=object), Classify(("a", "b")), 0.5
    head, train = task.solve(SIX, labels, penalty), Labelled(SIX, task.encode(labels))
    target = Labelled(np.array([[-0.7], [1.5]]), torch.tensor([0, 1]))
    found = influence(criterion_of(task), head, train, target, task.ridge(penalty, labels), damping=0.0)
    sides = [refitted(task, labels, penalty, target, 1 + sign * np.eye(6)) for sign in (-0.1, 0.1)]
    assert found == pytest.approx((sides[0] - sides[1]) / 0.2, abs=0.01 * np.abs(found).max())
    left_out = refitted(task, labels, penalty, target, 1 - np.eye(6)) - refitted(
        task, labels, penalty, target, np.ones((1, 6))
    )
    assert np.corrcoef(found, left_out)[0, 1] > 0.9
    assert left_out.argmin() == found.argmin() == 2


def test_three_classes_sparse_rows_and_weights_agree_with_refitting():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    labels = np.array(list("abc"), dtype=object)[(x[:, :3] + 0.5 * rng.normal(size=(60, 3))).argmax(1)]
    task, penalty, weight = Classify(("a", "b", "c")), 2.0, rng.uniform(0.5, 2, 60)
    head = task.solve(x, labels, penalty, weight)
    asked = Labelled(rng.normal(size=(20, 5)), torch.from_numpy(rng.integers(0, 3, 20)))
    criterion, ridge = criterion_of(task), task.ridge(penalty, labels)
    found = influence(criterion, head, Labelled(x, task.encode(labels), weight), asked, ridge)
    thin = influence(criterion, head, Labelled(sparse.csr_matrix(x), task.encode(labels), weight), asked, ridge)
    assert thin == pytest.approx(found, rel=1e-4, abs=1e-8)
    row = int(np.abs(found).argmax())
    halved = weight.copy()
    halved[row] *= 0.9
    change = losses_of(criterion, task.solve(x, labels, penalty, halved), asked).mean()
    change -= losses_of(criterion, head, asked).mean()
    assert 0.1 * found[row] == pytest.approx(change, rel=0.1)


def test_a_wrong_label_hurts_most():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(-2, 1, (40, 2)), rng.normal(2, 1, (40, 2))])
    labels = np.repeat(np.array(["a", "b"], dtype=object), 40)
    wrong = labels.copy()
    wrong[7] = "b"
    task = Classify(("a", "b"))
    head = task.solve(x, wrong, 1.0)
    asked = Labelled(x + rng.normal(scale=0.3, size=x.shape), task.encode(labels))
    for form in (influence, alignment):
        more = (task.ridge(1.0, wrong),) if form is influence else ()
        found = form(criterion_of(task), head, Labelled(x, task.encode(wrong)), asked, *more)
        assert found.argmin() == 7 and found[7] < 0


def test_alignment_is_the_product_of_the_gradients():
    """Weights 0: probabilities are 1/2, so gradients are (p - y) (x, 1) and the products can be written down."""
    task, head = Classify(("a", "b")), line([[0.0], [0.0]], [0.0, 0.0])
    train = Labelled(np.array([[1.0], [-3.0]]), torch.tensor([0, 0]))
    asked = Labelled(np.array([[2.0]]), torch.tensor([0]))
    found = alignment(criterion_of(task), head, train, asked)
    assert found == pytest.approx([2 * 0.25 * (1 * 2 + 1), 2 * 0.25 * (-3 * 2 + 1)])
