"""Outputs of a model on a whole domain, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.training.device import Place
from acclimate.training.model import Model, Step
from acclimate.training.stream import move

Want = Callable[[Step], Mapping[str, Tensor]]


def outputs(step: Step) -> Mapping[str, Tensor]:
    """What the head says."""
    return step.outputs


def features(step: Step) -> Mapping[str, Tensor]:
    """What the head reads: the values of the task's main site."""
    return {"features": next(iter(step.sites.values())).values}


def infer(
    model: Model, domain: Domain, place: Place, batch_size: int = 256, *, want: Want = outputs
) -> dict[str, np.ndarray]:
    """The task's outputs (or what ``want`` takes of a forward pass) for every row, float32, in the domain's order.

    Rows of like length are batched together; the mode of every module is as before afterwards.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval().to(place.device)
    lengths = model.backbone.lengths(domain.rows)
    order = np.arange(len(domain)) if lengths is None else np.argsort(lengths, kind="stable")
    parts: dict[str, list[np.ndarray]] = {}
    with torch.inference_mode():  # not around the move to the device, which may make new parameters
        for start in range(0, len(order), batch_size):
            inputs = model.backbone.collate(domain.rows.take(order[start : start + batch_size]))
            step = model(move(Batch(inputs), place.device), place.autocast())
            for name, value in want(step).items():
                parts.setdefault(name, []).append(value.float().cpu().numpy())
    for module, mode in modes.items():
        module.training = mode
    inverse = np.argsort(order, kind="stable")
    return {name: np.concatenate(values)[inverse] for name, values in parts.items()}
