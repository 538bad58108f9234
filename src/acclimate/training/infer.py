"""Outputs of a model on a whole domain, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from acclimate import memory
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.training.device import Place, out_of_memory
from acclimate.training.model import Model, Step
from acclimate.training.stream import move

IMAGES = 8
"""Images at a time where maps are read: their features are many."""
Want = Callable[[Step], Mapping[str, Tensor]]


def outputs(step: Step) -> Mapping[str, Tensor]:
    """What the head says."""
    return step.outputs


def features(step: Step) -> Mapping[str, Tensor]:
    """What the head reads: the values of the task's main site."""
    return {"features": next(iter(step.sites.values())).values}


def outputs_and_features(step: Step) -> Mapping[str, Tensor]:
    """Both."""
    return {**outputs(step), **features(step)}


def infer(
    model: Model, domain: Domain, place: Place, batch_size: int = 256, *, want: Want = outputs
) -> dict[str, np.ndarray]:
    """The task's outputs (or what ``want`` takes of a forward pass) for every row, in the domain's order, as float32;
    bytes stay bytes.

    A task that asks how likely the right answers are is shown them. Rows of like length are batched together, fewer at
    a time when memory runs out, and one at a time by a model that adapts at test time. The mode of every module is as
    before afterwards.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval().to(place.device)
    lengths = model.backbone.lengths(domain.rows)
    order = np.arange(len(domain)) if lengths is None else np.argsort(lengths, kind="stable")
    parts: dict[str, list[np.ndarray]] = {}
    start = 0
    if model.task.reads == "maps":
        batch_size = min(batch_size, IMAGES)
    several = len(order) > batch_size
    say: Callable[..., Step] = model
    if model.at_test is not None:
        batch_size, say = 1, partial(model.at_test.answer, model)
    right = model.task.encode(domain.labels, domain.rows) if model.task.likely and domain.labels is not None else None
    # Not around the move to the device, which may make new parameters.
    with memory.kept() if several else nullcontext(), torch.inference_mode():
        while start < len(order):
            index = order[start : start + batch_size]
            try:
                inputs = model.backbone.collate(domain.rows.take(index))
                targets = None if right is None else right[torch.from_numpy(index)]
                step = say(move(Batch(inputs, targets), place.device), place.autocast())
                step = replace(step, outputs=model.task.brief(step.outputs))
                found = {name: _numbers(value).cpu().numpy() for name, value in want(step).items()}
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or len(index) == 1:
                    raise
                batch_size = len(index) // 2
                continue
            for name, value in found.items():
                parts.setdefault(name, []).append(value)
            start += len(index)
    for module, mode in modes.items():
        module.training = mode
    inverse = np.argsort(order, kind="stable")
    return {name: together(values)[inverse] for name, values in parts.items()}


def _numbers(value: Tensor) -> Tensor:
    return value if value.dtype == torch.uint8 else value.float()


def together(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Outputs of several batches as one array; where rows have units, all are padded with zeros to the longest."""
    if parts[0].ndim < 2 or len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    longest = np.max([part.shape[1:] for part in parts], axis=0)
    whole = np.zeros((sum(map(len, parts)), *longest), dtype=parts[0].dtype)
    start = 0
    for part in parts:
        whole[(slice(start, start + len(part)), *map(slice, part.shape[1:]))] = part
        start += len(part)
    return whole
