"""The optimizer of all players, and the schedule of its rates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from acclimate.training.settings import Training
from acclimate.training.tune import Group


def optimizer(groups: Sequence[Group], training: Training) -> torch.optim.Optimizer:
    """An optimizer whose groups remember their base rate; vectors (biases, norms) are not decayed.

    Parameters of equal rate and decay share a group: each group costs a call at every step.
    """
    split: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in groups:
        for p in group.parameters:
            decay = training.weight_decay if p.ndim > 1 and group.decays else 0.0
            split.setdefault((group.rate, decay), []).append(p)
    made = [
        {"params": parameters, "lr": rate, "base": rate, "weight_decay": decay}
        for (rate, decay), parameters in split.items()
    ]
    if training.optimizer == "sgd":
        return torch.optim.SGD(made, momentum=0.9, fused=True)
    kind = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    return kind(made, fused=True)


def factor(training: Training, progress: float) -> float:
    """What the base rate is multiplied by at a share ``progress`` of the steps."""
    warm = training.warmup
    if training.schedule != "dann" and progress < warm:
        return progress / warm
    left = (1 - progress) / (1 - warm)
    if training.schedule == "linear":
        return left
    if training.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (1 - left)))
    if training.schedule == "dann":
        return (1 + 10 * progress) ** -0.75
    return 1.0


def set_rates(optimizer: torch.optim.Optimizer, scale: float) -> None:
    """Every group's rate is its base rate times ``scale``."""
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * scale
