"""What a learner makes of episodes: one figure of each metric for each, and their mean with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.domains.episodes import Episodes
from acclimate.methods.meta.base import Learner
from acclimate.tasks.regress import Regress
from acclimate.training.device import Place, out_of_memory
from acclimate.training.episodes import EpisodeStream
from acclimate.training.model import Model
from acclimate.training.stream import move

Sheet = Mapping[str, np.ndarray]
"""Each metric's value in every episode."""
TOGETHER = 16
"""Episodes that are answered together; fewer when memory runs out."""
QUANTILE = 1.959964
"""Of the standard normal distribution, for intervals of 95 %."""


def assess(
    learner: Learner, model: Model, parts: Mapping[str, nn.Module], episodes: Episodes, count: int, place: Place
) -> dict[str, np.ndarray]:
    """Metrics of the query rows of episodes 0 to ``count`` - 1, each ``[count]``.

    accuracy and log_loss (nats) of classes; mae and mse of numbers, in the labels' unit. Query labels are compared with
    the answers, and go nowhere else. The mode of every module is as before afterwards.
    """
    modes = {module: module.training for network in (model, *parts.values()) for module in network.modules()}
    for network in (model, *parts.values()):
        network.eval().to(place.device)
    try:
        return _assessed(learner, model, parts, episodes, count, place)
    finally:
        for module, mode in modes.items():
            module.training = mode


def _assessed(
    learner: Learner, model: Model, parts: Mapping[str, nn.Module], episodes: Episodes, count: int, place: Place
) -> dict[str, np.ndarray]:
    found: dict[str, list[np.ndarray]] = {}
    together = 1 if episodes.varies else min(TOGETHER, count)  # what is drawn must not depend on memory
    done = 0
    while done < count:
        stream = EpisodeStream("evaluation", episodes, model.backbone, model.task, size=together, seed=episodes.seed)
        try:
            for step in range(done // together, -(-count // together)):
                tasks = move(stream.batch(step), place.device)
                query = tasks.views["query"]
                assert query.targets is not None
                logits = learner.answers(model, parts, Batch(tasks.inputs, tasks.targets), query.inputs)
                for name, values in _metrics(logits.float(), query.targets, model).items():
                    found.setdefault(name, []).append(values.cpu().numpy())
                done += together
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or together == 1:
                raise
            together, done, found = together // 2, 0, {}
    return {name: np.concatenate(values)[:count] for name, values in found.items()}


def _metrics(said: Tensor, targets: Tensor, model: Model) -> dict[str, Tensor]:
    if isinstance(model.task, Regress):
        error = (said - targets) * model.task.scale
        return {"mae": error.abs().mean(1), "mse": error.square().mean(1)}
    hits = (said.argmax(-1) == targets).float().mean(1)
    losses = F.cross_entropy(said.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    return {"accuracy": hits, "log_loss": losses.mean(1)}


def summed(sheet: Sheet) -> dict[str, dict[str, float]]:
    """Mean, its 95 % interval (normal), and number of episodes of each metric."""
    return {name: mean(values) for name, values in sheet.items()}


def mean(values: np.ndarray) -> dict[str, float]:
    """Mean of independent values ``[n]``, and its 95 % interval by the normal distribution."""
    middle, n = float(values.mean(dtype=np.float64)), len(values)
    half = QUANTILE * float(values.std(ddof=1, dtype=np.float64)) / math.sqrt(n) if n > 1 else 0.0
    return {"mean": round(middle, 6), "low": round(middle - half, 6), "high": round(middle + half, 6), "episodes": n}
