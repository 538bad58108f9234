"""The pieces of adversarial alignment, for anybody's own loop.

One step of DANN in plain PyTorch::

    logits = head(f_source := features(x_source))
    loss = cross_entropy(logits, y_source)
    strength = ganin_schedule(step / steps)
    loss = loss + domain_loss(domain_classifier, reverse(f_source, strength), reverse(features(x_target), strength))
    loss.backward()
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(values: Tensor, strength: float | Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def setup_context(context: Any, inputs: tuple[Tensor, float | Tensor], output: Tensor) -> None:
        context.strength = inputs[1]

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * -context.strength, None

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, int | None], values: Tensor, strength: Any) -> tuple[Tensor, int]:
        values = values.expand(info.batch_size, *values.shape) if dims[0] is None else values.movedim(dims[0], 0)
        if dims[1] is not None:
            strength = strength.reshape(-1, *[1] * (values.ndim - 1))
        return _Reverse.apply(values, strength), 0


def reverse(values: Tensor, strength: float | Tensor = 1.0) -> Tensor:
    """The gradient reversal layer: identity forward, gradient times ``-strength`` backward.

    What comes after it (the domain classifier) still receives its own gradient at full strength.
    Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016, eq. 17 and 18.
    """
    return _Reverse.apply(values, strength)


def ganin_schedule(progress: float, gamma: float = 10.0) -> float:
    """``2 / (1 + exp(-gamma p)) - 1``: from 0 to 1 as progress ``p`` goes from 0 to 1 (JMLR 2016, 5.2.2)."""
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0


def discriminator(size: int, hidden: int = 1024) -> nn.Sequential:
    """A domain classifier ``[n, size] -> [n, 1]`` logits: two hidden ReLU layers, or linear for ``hidden=0``."""
    if hidden == 0:
        return nn.Sequential(nn.Linear(size, 1))
    return nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def domain_loss(
    classifier: nn.Module, source: Tensor, target: Tensor, weights: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Binary cross-entropy of telling source (label 0) from target (label 1).

    Args:
        classifier: ``[n, d] -> [n, 1]`` logits.
        source: features ``[n, d]``.
        target: features ``[m, d]``.
        weights: of each domain's rows, ``[n]`` and ``[m]``; only their ratio within a domain matters. None: all alike.

    Returns:
        A scalar, the mean of both domains' mean losses, so that neither outweighs the other.
    """
    logits_source, logits_target = classifier(source), classifier(target)
    share_source, share_target = (None, None) if weights is None else ((w / w.mean())[:, None] for w in weights)
    return 0.5 * (
        F.binary_cross_entropy_with_logits(logits_source, torch.zeros_like(logits_source), share_source)
        + F.binary_cross_entropy_with_logits(logits_target, torch.ones_like(logits_target), share_target)
    )
