import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from acclimate.methods.few_shot.base import membership
from acclimate.methods.few_shot.probe import PRECISION, Probe, fit_logistic
from acclimate.methods.few_shot.prototypes import Prototypes


def rows(counts, width, seed=0):
    """So many rows of each class, in float64, and their classes."""
    draw = torch.Generator().manual_seed(seed)
    targets = torch.cat([torch.full((count,), k) for k, count in enumerate(counts)])
    means = torch.randn(len(counts), width, generator=draw, dtype=torch.float64)
    return means[targets] + torch.randn(len(targets), width, generator=draw, dtype=torch.float64), targets


@pytest.mark.parametrize("penalty", [1.0, 0.01, 0.001])
@pytest.mark.parametrize(("counts", "width"), [((5, 5, 5), 40), ((2, 9), 3), ((1, 3, 8, 4), 10)])
def test_the_optimum_is_scikit_learns(counts, width, penalty):
    values, targets = rows(counts, width)
    pair = len(counts) == 2  # scikit-learn keeps the difference w of the two: (-w, w) / 2 has half its squared length
    weight = 1 / (len(counts) * np.array(counts)[targets.numpy()])
    model = LogisticRegression(C=(1 + pair) / penalty, fit_intercept=False, tol=1e-12, max_iter=100_000)
    model.fit(values.numpy(), targets.numpy(), sample_weight=weight)
    optimum = np.concatenate([-model.coef_, model.coef_]) / 2 if pair else model.coef_
    member = membership(targets[None], len(counts)).double().mT
    weights = fit_logistic((values @ values.T)[None], member, penalty)[0] @ values
    assert np.linalg.norm(weights.numpy() - optimum) <= PRECISION * np.linalg.norm(optimum)


def test_each_class_counts_alike_however_many_rows_it_has():
    values, targets = rows((3, 3), 5)
    weights = []
    for index in (torch.arange(6), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4, 5])):
        member = membership(targets[index][None], 2).double().mT
        weights.append(fit_logistic((values[index] @ values[index].T)[None], member, 0.1)[0] @ values[index])
    assert (weights[0] - weights[1]).norm() <= 2 * PRECISION * weights[0].norm()


def test_it_finds_the_one_direction_in_which_classes_differ():
    draw = torch.Generator().manual_seed(0)

    def made(count):
        targets = torch.arange(count) % 2
        values = torch.randn(count, 6, generator=draw) * torch.tensor([0.2, 1, 1, 1, 1, 1])
        values[:, 0] += 0.5 * (2.0 * targets - 1)
        return values[None], targets[None]

    (support, targets), (query, answers) = made(60), made(1000)

    def right(level):
        return (level.logits(support, targets, query, 2).argmax(-1) == answers).float().mean()

    assert right(Prototypes()) < 0.85
    assert right(Probe(penalty=0.001)) > 0.93


def test_a_weaker_penalty_is_surer():
    values, targets = rows((4, 4), 8)
    support = values[None].float()
    likely = [
        Probe(penalty).logits(support, targets[None], support, 2).softmax(-1).max(-1).values.mean()
        for penalty in (1.0, 0.1, 0.01)
    ]
    assert 0.5 < likely[0] < likely[1] < likely[2]
