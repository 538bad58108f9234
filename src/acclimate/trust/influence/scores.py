"""How a loss on the target depends on single training rows of a linear head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.tasks.base import Task

Criterion = Callable[[Tensor, Tensor], Tensor]
"""What a linear layer says ``[n, k]`` and targets ``[n, ...]`` to the loss of each row ``[n]``."""
DAMPING = 1e-6
"""Added to the curvature of the mean loss: directions that no row decides then stay where they are."""
TOLERANCE, MOST_STEPS = 1e-6, 3000


@dataclass(frozen=True)
class Labelled:
    """Rows as a linear head reads them.

    Attributes:
        features: ``[n, d]``, array or sparse.
        targets: ``[n, ...]``, as the task encodes labels.
        weight: ``[n]``, each row's part in the sum of losses; None for ones.
    """

    features: Any
    targets: Tensor
    weight: np.ndarray | None = None


def criterion_of(task: Task) -> Criterion:
    """The task's loss as a function of what its linear head says."""
    same = nn.Identity()
    return lambda said, targets: task.loss(task.outputs(same, said), targets)


def influence(
    criterion: Criterion,
    head: nn.Linear,
    train: Labelled,
    target: Labelled,
    ridge: float,
    damping: float = DAMPING,
) -> np.ndarray:
    """The influence function of each training row of a convex head on the mean loss of target rows.

    The head minimises ``sum_i w_i l_i + ridge / 2 ||W||^2``, its bias free. Without row i it moves by
    ``H^-1 w_i grad l_i`` to first order, with H the Hessian of that sum (Koh & Liang, Understanding Black-box
    Predictions via Influence Functions, ICML 2017, eq. 2), and the mean loss on the target by the product with its own
    gradient. One system is solved, by conjugate gradients with products of the Hessian (their section 3): neither the
    number of rows nor that of features is squared.

    **Helps** to find wrong labels and rows that teach what is not so on the target. **Hurts** where it is taken for
    what removing many rows does: the sum over a group is of first order, and usually too small (Koh et al., NeurIPS
    2019).

    Args:
        criterion: the loss of each row, convex in what the head says.
        head: ``d -> k``, at the optimum of its training rows.
        train: what it was fitted to.
        target: rows on which it is judged; their weights are not read.
        ridge: the penalty above, of the sum and not of the mean.
        damping: times the number of training rows, added to H.

    Returns:
        ``[n]``: by how much the mean loss on the target changes if the row is removed. Positive: the row helped.
    """
    objective = _Objective(criterion, head, train, ridge, damping)
    solved = objective.solved(_gradient(criterion, head, target))
    return (objective.slope.detach().numpy() * _applied(train.features, solved)).sum(axis=1)


def newton(
    criterion: Criterion,
    head: nn.Linear,
    train: Labelled,
    target: Labelled,
    ridge: float,
    gone: np.ndarray,
    damping: float = DAMPING,
) -> float:
    """The change of the mean loss on the target when several training rows are removed, by one Newton step.

    From the head as it is towards the optimum of the rows that are left, ``(H - H_gone)^-1 grad_gone``: exact for
    squared losses. Sums of `influence` leave out ``H_gone``, and that the loss on the target is no line (Koh et al., On
    the Accuracy of Influence Functions for Measuring Group Effects, NeurIPS 2019, section 2).

    **Helps** where many rows go at once. **Hurts** where a step is not enough, as after half of a small source.

    Args:
        criterion: the loss of each row, convex in what the head says.
        head: ``d -> k``, at the optimum of its training rows.
        train: what it was fitted to.
        target: rows on which it is judged.
        ridge: as for `influence`.
        gone: places of the rows that are removed.
        damping: as for `influence`, of the rows that are left.
    """
    kept = np.setdiff1d(np.arange(len(train.targets)), gone)
    weight = None if train.weight is None else train.weight[kept]
    left = _Objective(
        criterion, head, Labelled(train.features[kept], train.targets[torch.from_numpy(kept)], weight), ridge, damping
    )
    parameters = _parameters(head)
    moved = parameters - left.solved(left.gradient(parameters))
    before, after = (
        criterion(_double(_applied(target.features, at)), target.targets).mean().item() for at in (parameters, moved)
    )
    return after - before


def alignment(criterion: Criterion, head: nn.Linear, train: Labelled, target: Labelled) -> np.ndarray:
    """How far a gradient step on each training row lowers the mean loss of target rows, at the trained head.

    The product of both gradients of the head (Pruthi et al., Estimating Training Data Influence by Tracing Gradient
    Descent, NeurIPS 2020, eq. 1), at the last state alone and without the learning rate.

    **Helps** where there is no optimum at which an influence function could be taken, as of a network trained by steps.
    **Hurts** where rows are compared across runs: the scale means nothing. Rows that the model has learned by heart
    have no gradient any more, whatever they did before.

    Args:
        criterion: the loss of each row.
        head: ``d -> k``.
        train: rows as its last layer reads them.
        target: likewise.

    Returns:
        ``[n]``, positive: the row helps.
    """
    said = _said(head, train.features)
    losses = criterion(said, train.targets)
    total = losses.sum() if train.weight is None else (losses * _double(train.weight)).sum()
    (slope,) = torch.autograd.grad(total, said)
    towards = _gradient(criterion, head, target)
    return (slope.numpy() * _applied(train.features, towards)).sum(axis=1)


def losses_of(criterion: Criterion, head: nn.Linear, rows: Labelled) -> np.ndarray:
    """The loss of each row ``[n]``."""
    return criterion(_said(head, rows.features).detach(), rows.targets).numpy()


class _Objective:
    """What a head minimises, ``sum_i w_i l_i + ridge / 2 ||W||^2``, around where it is."""

    def __init__(self, criterion: Criterion, head: nn.Linear, rows: Labelled, ridge: float, damping: float):
        self.features, self.ridge = rows.features, ridge
        self.said = _said(head, rows.features)
        losses = criterion(self.said, rows.targets)
        weight = torch.ones(len(losses), dtype=torch.float64) if rows.weight is None else _double(rows.weight)
        (self.slope,) = torch.autograd.grad((losses * weight).sum(), self.said, create_graph=True)
        self.decay = np.full((head.out_features, head.in_features + 1), damping * len(losses))
        self.decay[:, :-1] += ridge

    def gradient(self, parameters: np.ndarray) -> np.ndarray:
        """By weights and bias ``[k, d + 1]``, which are given."""
        found = _gathered(self.features, self.slope.detach().numpy())
        found[:, :-1] += self.ridge * parameters[:, :-1]
        return found

    def times(self, vector: np.ndarray) -> np.ndarray:
        """The Hessian times a direction of weights and bias."""
        moved = vector.reshape(self.decay.shape)
        along = _double(_applied(self.features, moved))
        (bent,) = torch.autograd.grad(self.slope, self.said, along, retain_graph=True)
        return (_gathered(self.features, bent.numpy()) + self.decay * moved).ravel()

    def solved(self, towards: np.ndarray) -> np.ndarray:
        """The inverse of the Hessian times ``[k, d + 1]``."""
        from scipy.sparse.linalg import LinearOperator, cg

        hessian = LinearOperator((towards.size, towards.size), self.times, dtype=np.float64)
        found, _ = cg(hessian, towards.ravel(), rtol=TOLERANCE, maxiter=MOST_STEPS)
        return found.reshape(towards.shape)


def _gradient(criterion: Criterion, head: nn.Linear, rows: Labelled) -> np.ndarray:
    """Of the mean loss by weights and bias ``[k, d + 1]``."""
    said = _said(head, rows.features)
    (slope,) = torch.autograd.grad(criterion(said, rows.targets).mean(), said)
    return _gathered(rows.features, slope.numpy())


def _said(head: nn.Linear, features: Any) -> Tensor:
    """What the head says ``[n, k]``, float64; a leaf, so that losses can be differentiated by it."""
    return _double(_applied(features, _parameters(head))).requires_grad_()


def _parameters(head: nn.Linear) -> np.ndarray:
    """Weights and bias ``[k, d + 1]``, float64."""
    bias = np.zeros(head.out_features) if head.bias is None else head.bias.detach().cpu().numpy()
    return np.column_stack([head.weight.detach().cpu().numpy(), bias]).astype(np.float64)


def _applied(features: Any, parameters: np.ndarray) -> np.ndarray:
    """Weights and bias ``[k, d + 1]`` applied to each row, ``[n, k]``."""
    return np.asarray(features @ parameters[:, :-1].T) + parameters[:, -1]


def _gathered(features: Any, slope: np.ndarray) -> np.ndarray:
    """The transpose of `_applied`: ``[n, k]`` to ``[k, d + 1]``."""
    return np.column_stack([np.asarray(features.T @ slope).T, slope.sum(axis=0)])


def _double(values: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
