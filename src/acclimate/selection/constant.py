"""The best constant answer: what any model has to beat."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from acclimate.tasks.answers import Answers
    from acclimate.tasks.base import Task


def constant_answer(task: Task, answers: Answers, labels: np.ndarray) -> float:
    """The primary metric of the best constant answer on these rows.

    That is the commonest label, the median or the mean of numbers (of each, where a label has several), whichever is
    better, the commonest category for every pixel, the empty text, or no vector.

    Args:
        task: names the metric.
        answers: any arm's answers on the rows, for their form.
        labels: ``[n]`` canonical labels.
    """
    if task.kind == "labels" and answers.probabilities is not None:  # judged by how rows are ordered
        alike = replace(answers, probabilities=np.zeros_like(answers.probabilities))
        return task.metrics(alike, labels)[task.primary.name]
    constants: list[np.ndarray]
    if answers.classes:
        names, counts = np.unique(labels.astype(str), return_counts=True)
        constants = [np.full(len(labels), names[counts.argmax()], dtype=object)]
    elif task.kind not in ("number", "numbers"):
        constants = [task.constant(labels)]
    else:
        numbers = task.values(labels)
        constants = [np.broadcast_to(middle(numbers, axis=0), numbers.shape) for middle in (np.median, np.mean)]
    scores = [
        task.metrics(replace(answers, prediction=constant, vectors=None, likelihood=None), labels)
        for constant in constants
    ]
    best = max if task.primary.higher_is_better else min
    return best(score[task.primary.name] for score in scores)
