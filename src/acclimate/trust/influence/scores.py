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
    from scipy.sparse.linalg import LinearOperator, cg

    said = _said(head, train.features)
    losses = criterion(said, train.targets)
    weight = torch.ones(len(losses), dtype=torch.float64) if train.weight is None else _double(train.weight)
    (slope,) = torch.autograd.grad((losses * weight).sum(), said, create_graph=True)
    towards = _gradient(criterion, head, target)
    decay = np.full_like(towards, damping * len(losses))
    decay[:, :-1] += ridge

    def times(vector: np.ndarray) -> np.ndarray:
        """The Hessian times a direction of weights and bias."""
        moved = vector.reshape(towards.shape)
        (bent,) = torch.autograd.grad(slope, said, _double(_applied(train.features, moved)), retain_graph=True)
        return (_gathered(train.features, bent.numpy()) + decay * moved).ravel()

    shape = (towards.size, towards.size)
    found, _ = cg(LinearOperator(shape, times, dtype=np.float64), towards.ravel(), rtol=TOLERANCE, maxiter=MOST_STEPS)
    solved = found.reshape(towards.shape)
    return (slope.detach().numpy() * _applied(train.features, solved)).sum(axis=1)


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


def _gradient(criterion: Criterion, head: nn.Linear, rows: Labelled) -> np.ndarray:
    """Of the mean loss by weights and bias ``[k, d + 1]``."""
    said = _said(head, rows.features)
    (slope,) = torch.autograd.grad(criterion(said, rows.targets).mean(), said)
    return _gathered(rows.features, slope.numpy())


def _said(head: nn.Linear, features: Any) -> Tensor:
    """What the head says ``[n, k]``, float64; a leaf, so that losses can be differentiated by it."""
    bias = np.zeros(head.out_features) if head.bias is None else head.bias.detach().cpu().numpy()
    parameters = np.column_stack([head.weight.detach().cpu().numpy(), bias]).astype(np.float64)
    return _double(_applied(features, parameters)).requires_grad_()


def _applied(features: Any, parameters: np.ndarray) -> np.ndarray:
    """Weights and bias ``[k, d + 1]`` applied to each row, ``[n, k]``."""
    return np.asarray(features @ parameters[:, :-1].T) + parameters[:, -1]


def _gathered(features: Any, slope: np.ndarray) -> np.ndarray:
    """The transpose of `_applied`: ``[n, k]`` to ``[k, d + 1]``."""
    return np.column_stack([np.asarray(features.T @ slope).T, slope.sum(axis=0)])


def _double(values: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
