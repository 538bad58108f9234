"""Explanations of the answers of a model to the rows of a domain, and how faithful they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from acclimate.backbones.parts import Parts
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain, Rows
from acclimate.training.device import Place
from acclimate.training.model import Model
from acclimate.training.stream import move
from acclimate.trust.explain.attribute import How, Score, attribute, method_of, scored
from acclimate.trust.explain.faithful import ALIKE, FEWEST, Curves, curves, likeness, mean_interval, shuffled

POINTS = np.linspace(0.0, 1.0, 11)
"""Shares of the parts at which mean curves are told."""
Tell = Callable[[int, int], None]
"""Called with rows done, and rows in all."""


@dataclass(frozen=True)
class Explanation:
    """Of one row.

    Attributes:
        answer: what is explained: the model's answer, or the name that was asked for.
        how: integrated gradients or occlusion.
        parts: of the row.
        scores: of each part ``[parts]``.
        whole: the score of the row.
        blank: the score without any of its parts.
        curves: of deletion and insertion; None of a row of fewer than two parts.
        head: rank correlation with the explanation of the model with a random head; None where there is none.
        backbone: likewise, with a random backbone.
    """

    answer: Any
    how: How
    parts: Parts
    scores: np.ndarray
    whole: float
    blank: float
    curves: Curves | None = None
    head: float | None = None
    backbone: float | None = None


def explain(
    model: Model,
    domain: Domain,
    answers: Sequence[Any],
    place: Place,
    *,
    judged: int | None = None,
    seed: int = 0,
    tell: Tell | None = None,
) -> list[Explanation]:
    """Explain an answer to each row, and hold the explanation against random ones.

    It **helps** whoever wants to know what a model goes by. It **hurts** where a reader takes the scores for causes in
    the world: they tell of the model alone, and only as far as `faithfulness` says.

    Args:
        model: in any mode, which is as before afterwards; a method that adapts at test time is not asked.
        domain: the rows.
        answers: to each row: the model's own, or a name of `Task.explainable`.
        place: the device.
        judged: how many of the first rows are held against random orders and weights; None: all.
        seed: of random orders and random weights.
        tell: told the progress.

    Raises:
        SettingsError: the backbone knows no parts.
    """
    alone = [domain.select(np.array([k])).rows for k in range(len(domain))]
    rows = [each.take(np.zeros(1, dtype=np.int64)) for each in alone]
    count = len(rows) if judged is None else min(judged, len(rows))
    say, total = tell or (lambda done, of: None), len(rows) + 2 * count
    found: list[Explanation] = []
    with ready(model, place):
        scores = [scorer(model, *each, place) for each in zip(answers, alone, strict=True)]
        for k, (raw, score, answer) in enumerate(zip(rows, scores, answers, strict=True)):
            found.append(_one(score, model.backbone.parts(raw), answer, seed + k if k < count else None))
            say(k + 1, total)
        for k, score in enumerate(scores[:count]):
            with shuffled(model.head, seed + k, buffers=True) as changed:
                found[k] = replace(found[k], head=_likeness(score, found[k], changed))
            say(len(rows) + k + 1, total)
        with shuffled(model.backbone, seed) as changed:
            for k, score in enumerate(scores[:count]):
                parts = model.backbone.parts(rows[k]) if changed else found[k].parts  # embeddings are weights too
                found[k] = replace(found[k], backbone=_likeness(score, found[k], changed, parts))
                say(len(rows) + count + k + 1, total)
    return found


@contextmanager
def ready(model: Model, place: Place) -> Any:
    """Inside the block the model is in eval mode, on the device, without gradients of its weights."""
    modes = {module: module.training for module in model.modules()}
    learn = {parameter: parameter.requires_grad for parameter in model.parameters()}
    model.eval().to(place.device).requires_grad_(False)
    try:
        yield model
    finally:
        for parameter, wanted in learn.items():
            parameter.requires_grad_(wanted)
        for module, mode in modes.items():
            module.training = mode


def scorer(model: Model, answer: Any, rows: Rows, place: Place) -> Score:
    """The score of an answer to one row as a function of collated inputs.

    Args:
        model: in eval mode.
        answer: to the row.
        rows: the row alone.
        place: the device.
    """
    task, one = model.task, np.zeros(1, dtype=np.int64)
    goal = task.goal(answer, rows, model.backbone.collate(rows.take(one)))

    def score(inputs: Any) -> Tensor:
        batch = move(Batch(inputs), place.device)
        target = goal.to(place.device).expand(len(batch), *goal.shape[1:]) if isinstance(goal, Tensor) else goal
        features = model.features(batch.inputs)
        if task.writes and isinstance(target, Tensor):  # a text that was written, which is read along
            features = replace(features, targets=target)
        return task.score(task.outputs(model.head, features), target)

    return score


def _one(score: Score, parts: Parts, answer: Any, seed: int | None) -> Explanation:
    how = method_of(score, parts)
    whole, blank = scored(score, parts, np.array([[True], [False]]).repeat(len(parts), axis=1))
    values = attribute(score, parts, how)
    drawn = None if seed is None else curves(score, parts, values, seed)
    return Explanation(answer, how, parts, values, float(whole), float(blank), drawn)


def _likeness(score: Score, own: Explanation, changed: bool, parts: Parts | None = None) -> float | None:
    if not changed:
        return None
    return likeness(own.scores, attribute(score, parts or own.parts, own.how))


def faithfulness(found: Sequence[Explanation], seed: int = 0) -> dict[str, Any]:
    """What deletion, insertion and random weights say of explanations, as JSON values (docs/result.md)."""
    drawn = [each.curves for each in found if each.curves is not None]
    gains = [each.gains for each in drawn]
    measured: dict[str, Any] = {
        name: mean_interval([gain[k] for gain in gains], seed) for k, name in enumerate(("deletion", "insertion"))
    }
    for name in ("head", "backbone"):
        known = [value for each in found if (value := getattr(each, name)) is not None]
        measured[f"random_{name}"] = {**mean_interval(known, seed), "rows": len(known)}
    names = ("deletion", "insertion", "random_deletion", "random_insertion")
    means = {name: _mean_curve([(each.share, getattr(each, name)) for each in drawn]) for name in names}
    return {
        "rows": len(drawn),
        **measured,
        "curves": {"share": POINTS.round(2).tolist(), **means} if drawn else None,
        "better_than_random": _better(measured),
        "follows_weights": _follows(measured),
    }


def _mean_curve(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    if not pairs:
        return []
    return np.mean([np.interp(POINTS, share, values) for share, values in pairs], axis=0).round(4).tolist()


def _better(measured: dict[str, Any]) -> str:
    """yes: both curves are better than in random order; partly: one is; no; unknown: too few rows."""
    lows = [measured[name]["low"] for name in ("deletion", "insertion")]
    if any(low is None for low in lows):
        return "unknown"
    return {2: "yes", 1: "partly", 0: "no"}[sum(low > 0 for low in lows)]


def _follows(measured: dict[str, Any]) -> str:
    """no: with random weights, of head or backbone, the explanation is much the same."""
    known = [each["value"] for name in ("random_head", "random_backbone") if (each := measured[name])["rows"] >= FEWEST]
    if not known:
        return "unknown"
    return "no" if max(known) >= ALIKE else "yes"
