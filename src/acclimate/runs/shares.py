"""The target's class shares in a run: what answers say of them, whether that fits what was stated, what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from acclimate.methods.data import Data
from acclimate.methods.label_shift.pieces import correct
from acclimate.selection.decision import Decision
from acclimate.selection.gap import SMALLEST
from acclimate.selection.kinds import Rows, kind
from acclimate.selection.probe import reduced
from acclimate.selection.shares import Shares, distance, estimate, hinge, plausible
from acclimate.tasks.base import Task

REPLICATES = 50
LOOKED_AT = 500
"""Rows of a side by which the kind of shift is told."""
AGAINST = 0.05
"""How far outside of an interval a stated share has to be before it is remarked: it need be rough only."""
FAR = 0.35
"""Distance at which stated shares and answers that nothing speaks against cannot both be nearly right; chosen on
development cells of the atlas."""


def judge(
    task: Task,
    data: Data,
    arrays: Mapping[str, np.ndarray],
    offsets: Sequence[float],
    stated: np.ndarray | None,
    seed: int,
) -> dict[str, Any] | None:
    """What one arm's answers say of the target's class shares, as JSON values.

    Args:
        task: of the arm.
        data: for the labels of the held-out source rows; no target label is looked at.
        arrays: the arm's evidence.
        offsets: that its answers on the target have been given.
        stated: shares that the recipe states.
        seed: of the bootstrap.

    Returns:
        See `told`, and ``stated``; None for numbers, or where no arm's answers on held-out source rows are known.
    """
    validation = data.source_validation
    if task.kind != "class" or validation is None or validation.labels is None:
        return None
    if not {"source_probabilities", "target_probabilities"} <= set(arrays):
        return None
    answers = arrays["target_probabilities"].astype(np.float64)
    if len(offsets):
        answers = correct(answers, np.exp(-np.asarray(offsets)))
    classes = task.config()["classes"]
    targets = task.encode(validation.labels).numpy()
    found = estimate(arrays["source_probabilities"].astype(np.float64), targets, answers, REPLICATES, seed)
    return {"stated": None if stated is None else named(classes, stated), **told(classes, found, answers)}


def doubted(shares: dict[str, Any] | None, shift: str | None) -> dict[str, Any] | None:
    """The shares, with a doubt if the kind of shift (`selection.kinds`) is another than one of class shares."""
    if shares is not None and shift not in (None, "none", "label"):
        shares["doubts"].append(f"the shift looks like {shift}: estimates are of shares under label shift alone")
    return shares


def shift_seen(
    features: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray], data: Data, seed: int
) -> str | None:
    """The kind of shift between held-out source rows and the target, as the features that a head reads show it.

    Args:
        features: ``source`` and ``target`` ``[rows, size]``, of the first rows of each.
        arrays: the arm's evidence.
        data: whose held-out source rows and target rows they are of.
        seed: of the folds and replicates.

    Returns:
        None for numbers, or where either is not known or too few.
    """
    if not {"source", "target"} <= set(features) or "source_labels" not in arrays:
        return None
    assert data.source_validation is not None and data.target is not None
    n, m = (min(LOOKED_AT, len(features[side])) for side in ("source", "target"))
    targets = arrays["source_labels"][:n]
    if min(n, m) < SMALLEST or len(np.unique(targets)) < 2:
        return None
    sides = reduced(features["source"][:n], features["target"][:m], seed)
    answers = arrays["source_probabilities"][:n], arrays["target_probabilities"][:m]
    content = np.concatenate([data.source_validation.ids[:n], data.target.ids[:m]])
    return kind(Rows(*sides, targets, np.ones(n, dtype=bool), *answers, content=content), seed).name


def told(classes: Sequence[str], found: Shares, answers: np.ndarray) -> dict[str, Any]:
    """The estimate, class by class, and the share of answers that hinge on it, as JSON values.

    ``hinge`` is the share of ``answers`` ``[n, classes]`` that differ between the lowest and highest plausible shares.
    """
    intervals = None
    if found.low is not None and found.high is not None:
        intervals = {
            name: [float(low), float(high)] for name, low, high in zip(classes, found.low, found.high, strict=True)
        }
    return {
        "source": named(classes, found.source),
        "estimated": named(classes, found.mlls),
        "bbse": named(classes, found.bbse),
        "intervals": intervals,
        "doubts": list(found.doubts),
        "hinge": hinge(answers, plausible(found)),
    }


def named(classes: Sequence[str], shares: np.ndarray) -> dict[str, float]:
    """Class to share."""
    return {name: float(share) for name, share in zip(classes, shares, strict=True)}


def contradiction(shares: Mapping[str, Any] | None) -> tuple[str, ...]:
    """A remark where stated shares are outside of what the answers say, and nothing speaks against those."""
    if shares is None or shares["stated"] is None or shares["intervals"] is None or shares["doubts"]:
        return ()
    stated, intervals = shares["stated"], shares["intervals"]
    outside = [
        f"{name} {stated[name]:.2f}, which the answers put between {low:.2f} and {high:.2f}"
        for name, (low, high) in intervals.items()
        if stated[name] < low - AGAINST or stated[name] > high + AGAINST
    ]
    if not outside:
        return ()
    return (f"target_shares contradict the evidence (distance {_apart(shares):.2f}): {'; '.join(outside)}",)


def gate(decision: Decision, shares: Mapping[str, Any] | None) -> Decision:
    """*Do not deploy* where stated shares contradict the evidence by far: either they or the answers are wrong."""
    remark = contradiction(shares)
    if shares is None or not remark or _apart(shares) <= FAR:
        return decision
    advice = "either these or the model's answers are wrong: check the shares, leave them out, or label some rows"
    return replace(decision, choice="do_not_deploy", reasons=(*remark, advice, *decision.reasons))


def _apart(shares: Mapping[str, Any]) -> float:
    return distance(*(np.array(list(shares[key].values())) for key in ("stated", "estimated")))
