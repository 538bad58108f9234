"""Probe: multinomial logistic regression on few rows, solved to its optimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from acclimate.methods.few_shot.base import Level, membership, without_absent
from acclimate.methods.few_shot.span import products

PRECISION = 1e-3
"""The weights are this near to the optimum, relative to their length."""
ROUNDING = 1e-6
"""A gradient as small as this is none."""
CHECKED = 5
"""Steps between two looks at the gradient."""
LIMIT = 5000
"""Steps at most; reached only with penalties so small that rounding hides the optimum."""


@dataclass(frozen=True)
class Probe(Level):
    """``argmin_W mean_k mean_(i of class k) -log p(y_i of x_i) + penalty / 2 |W|^2``, ``p = softmax(W [x, 1])``.

    A convex problem with one answer. Each class counts alike however many rows it has: how often the classes come is
    not for a few labelled rows to say. Features are centred and scaled to length 1 as for `Prototypes`, so the same
    penalties suit every backbone, and the intercept is one more feature of that length.

    No rate has to be set. A step minimises a quadratic bound of the loss whose Hessian, ``X^T D X / 2 + penalty`` with
    D the weights of the rows, holds everywhere (Boehning 1992, section 2): one factorisation serves all steps. Between
    them runs Nesterov's momentum, which starts again where it points uphill. W is a combination of the support rows,
    so a step costs ``n^2 * ways`` for n rows and nothing for the width of the features. It ends where W is within
    0.1 % of its length of the optimum.

    Helps over prototypes from about five rows a class, and where classes differ in few of many directions. With one
    row a class it says what prototypes say. **Hurts** where a support row has the wrong label: a weak penalty fits it.
    How sure it is follows from the penalty; calibration corrects that where rows can be held out.

    Boehning, Multinomial logistic regression algorithm, Annals of the Institute of Statistical Mathematics 1992;
    O'Donoghue and Candes, Adaptive restart for accelerated gradient schemes, FoCM 2015 (gradient scheme). Huang et
    al., LP++, CVPR 2024, take their step sizes from a bound of the same kind.

    Attributes:
        penalty: weight of ``|W|^2 / 2`` beside a mean loss; scikit-learn's C is ``1 / (penalty * rows)`` where classes
            have equally many rows. Below 0.001 the optimum takes hundreds of steps and is hardly another one.
    """

    penalty: float = 0.01

    name: ClassVar[str] = "probe"
    about: ClassVar[str] = "logistic regression, solved to its optimum (Boehning 1992; Huang et al. 2024)"
    ranges: ClassVar[Mapping[str, str]] = {"penalty": "(0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"penalty": (0.01, 0.001, 0.1)}

    def logits(self, support: Tensor, targets: Tensor, query: Tensor, ways: int, known: Tensor | None = None) -> Tensor:
        gram, cross = products(support, query, known)
        member = membership(targets, ways, known).to(support.dtype)
        weights = fit_logistic(gram + 1.0, member.mT, self.penalty)
        return without_absent((cross + 1.0) @ weights.mT, member)


def fit_logistic(gram: Tensor, member: Tensor, penalty: float) -> Tensor:
    """Class-balanced multinomial logistic regression from inner products alone, many tasks at once.

    Args:
        gram: inner products of the rows ``[tasks, n, n]``.
        member: ``[tasks, ways, n]``, 1 where a row is of a class; a row of zeros is as if it were not there, a class
            without rows likewise.
        penalty: weight of ``|W|^2 / 2``, above 0.

    Returns:
        A ``[tasks, ways, n]``, with which the weights are ``W = A X``: logits of a row are A times its inner products.
    """
    present = member.sum(-1, keepdim=True) > 0
    share = (member / member.sum(-1, keepdim=True).clamp_min(1.0)).sum(1, keepdim=True)
    root = (share / share.sum(-1, keepdim=True).clamp_min(1e-12)).sqrt()
    wanted = root * member
    unrooted = root.mT * gram
    kernel = unrooted * root  # of rows times the root of their weight: in these the bound is symmetric
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel / 2 + penalty * eye))
    never = torch.where(present | ~present.any(1, keepdim=True), 0.0, float("-inf"))

    def descent(at: Tensor) -> Tensor:
        """The gradient as a combination of the rows."""
        return root * (at @ unrooted + never).softmax(1) - wanted + penalty * at

    now = ahead = torch.zeros_like(wanted)
    age = torch.ones_like(root[..., :1])
    for step in range(LIMIT):
        descended = descent(ahead) @ inverse
        following = ahead - descended
        move = following - now
        rising = (descended * move).sum((1, 2), keepdim=True) > 0
        older = (1 + (1 + 4 * age.square()).sqrt()) / 2
        ahead = following + (age - 1).div(older).masked_fill(rising, 0.0) * move
        now, age = following, older.masked_fill(rising, 1.0)
        if step % CHECKED == CHECKED - 1 and _settled(descent(now), now, kernel, penalty):
            break
    return root * now


def _settled(gradient: Tensor, at: Tensor, kernel: Tensor, penalty: float) -> bool:
    """Whether every task's ``|gradient| <= PRECISION * penalty * |W|``, which bounds the distance to the optimum."""
    steep, size = ((part * (part @ kernel)).sum((1, 2)).clamp_min(0.0) for part in (gradient, at))
    return bool((steep <= (PRECISION * penalty) ** 2 * size + ROUNDING**2).all())
