"""R2-D2: ridge regression on the support rows, solved in closed form and learned through."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from acclimate.methods.meta.on_features import NONE, OnFeatures, members
from acclimate.training.model import Model


def ridge(support: Tensor, values: Tensor, query: Tensor, penalty: Tensor | float) -> Tensor:
    """What ridge regression without an intercept, fitted to the support rows, says of the query rows.

    ``query X^T (X X^T + penalty I)^-1 Y``: by Woodbury's identity the system is as large as the support set, however
    wide the features. Differentiable in everything. Bertinetto et al., ICLR 2019, section 3.

    Args:
        support: X, ``[tasks, n, d]``.
        values: Y, ``[tasks, n, k]``.
        query: ``[tasks, q, d]``.
        penalty: of the weights' squares, above 0.

    Returns:
        ``[tasks, q, k]``.
    """
    kernel = support @ support.mT
    shifted = kernel + penalty * torch.eye(kernel.shape[-1], dtype=kernel.dtype, device=kernel.device)
    return query @ (support.mT @ torch.linalg.solve(shifted, values))


class Calibration(nn.Module):
    """The learned numbers: ``scale * values + bias``, and the penalty, whose logarithm is learned."""

    def __init__(self, scale: float, penalty: float):
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.tensor(scale)), nn.Parameter(torch.tensor(0.0))
        self.log_penalty = nn.Parameter(torch.tensor(math.log(penalty)))

    def forward(self, values: Tensor) -> Tensor:
        return self.scale * values + self.bias


@dataclass(frozen=True)
class R2D2(OnFeatures):
    """Features on which a ridge regression from few rows generalises; the gradient goes through its solution.

    A task's head is ``W = X^T (X X^T + penalty I)^-1 Y`` with support features X and one-hot labels (or values) Y;
    logits are ``scale * f(x) W + bias``. Scale, bias and penalty are learned.

    Helps where a mean is too little, shots are several and ways few: what gradient steps approach, it solves; and
    where numbers are asked. **Hurts** at one shot, where it is close to a prototype.

    Bertinetto, Henriques, Torr and Vedaldi, Meta-learning with Differentiable Closed-form Solvers, ICLR 2019, section
    3.

    Attributes:
        scale: where the scale of the logits begins; that of numbers begins at 1.
        penalty: where the penalty begins.
    """

    scale: float = 10.0
    penalty: float = 1.0

    name: ClassVar[str] = "r2d2"
    about: ClassVar[str] = "ridge regression on learned features, solved and learned through (Bertinetto et al. 2019)"
    regresses: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, str]] = {"scale": "(0, inf)", "penalty": "(0, inf)"}

    def parts(self, model: Model, classes: int) -> dict[str, nn.Module]:
        """Scale, bias and penalty."""
        asks_classes = next(iter(model.sites.values())).probs
        return {"calibration": Calibration(self.scale if asks_classes else 1.0, self.penalty)}

    def logits(self, support: Tensor, targets: Tensor, query: Tensor, parts: Mapping[str, nn.Module] = NONE) -> Tensor:
        """The ridge regression's values, scaled and moved."""
        numbers = targets.is_floating_point()
        values = targets.unsqueeze(-1) if numbers else members(targets, support)
        calibration = parts["calibration"]
        assert isinstance(calibration, Calibration)
        found = calibration(ridge(support, values, query, calibration.log_penalty.exp()))
        return found.squeeze(-1) if numbers else found
