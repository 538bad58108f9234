"""The guard of an arm: what it compares a training with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.methods.label_shift.pieces import mlls
from acclimate.runs.prepare import Prepared
from acclimate.tasks.answers import Answers
from acclimate.training.guard import Guard
from acclimate.training.model import Model
from acclimate.training.symptoms import Symptoms

ROWS = 128
"""Held-out source rows at most whose accuracy is looked at; rows are in an order that depends on content alone."""


def guard(prepared: Prepared, answers: Callable[[Domain], Answers]) -> Guard:
    """A guard for one arm.

    Args:
        prepared: the data; no target label is looked at.
        answers: of the arm's model as it is, on these rows.
    """
    data = prepared.data
    source, held = data.source, data.source_validation
    if source is None or source.labels is None or not data.same_task or not data.has["classes"]:
        return Guard(Symptoms())
    task, classes = data.source_task, data.source_task.config()["classes"]
    estimate = partial(mlls, tolerance=1e-3, most=200)  # a hundredth is near enough, and milliseconds count
    shares = np.array([(source.labels == name).mean() for name in classes])
    if held is None or held.labels is None or not len(held):
        return Guard(Symptoms(classes, shares, estimate, prepared.shares))
    part = held.select(np.arange(min(ROWS, len(held))))

    def validate(model: Model) -> float | None:
        return float((answers(part).prediction == part.labels).mean()) if model.task == task else None

    return Guard(Symptoms(classes, shares, estimate, prepared.shares, len(part)), validate, len(part))
