"""What the best arms of a run say together, for the method that learns from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acclimate.files import read_json
from acclimate.methods.data import Teacher
from acclimate.methods.ensemble.auto import Auto
from acclimate.methods.label_shift.pieces import correct
from acclimate.runs.evidence import arrays_of
from acclimate.runs.rating import predictions
from acclimate.runs.workshop import Workshop
from acclimate.selection.validators import average, best, score, stack

OPEN = 0.2
"""Prior weight of all arms together, where labels may speak for others than the best without labels."""
SHOWN = 0.05
"""Arms of less weight are not named among the members."""


def teacher(auto: Auto, shop: Workshop, names: Sequence[str]) -> Teacher:
    """The average answer of the best arms of a run.

    Arms are ranked by answers that fit stated class shares, and averaged as they were before: the pupil, like every
    arm, is made to fit these shares once it has learned.

    Target labels are looked at only if they were permitted: then the weights of the average are those that explain
    them best, beginning from the arms that are best without them.
    """
    arrays = {name: arrays_of(shop.arm_folder(name)) for name in names}
    arms = {name: predictions(found) for name, found in arrays.items()}
    # one arm alone has none to agree with
    rated = score(arms, [auto.validator], shop.recipe.seed)[auto.validator] or dict.fromkeys(names, 0.0)
    before = {name: np.exp(-np.array(_offsets(shop, name) or 0.0)) for name in names}
    answers = {name: correct(arm.target_probabilities, before[name]) for name, arm in arms.items()}
    chosen = best(rated, auto.top)
    labels = arrays[names[0]].get("labelled_labels")
    if labels is None:
        return Teacher(tuple(chosen), average(answers, rated, auto.top))
    rows = np.arange(len(labels))
    given = np.stack([found["labelled_probabilities"][rows, labels] for found in arrays.values()], axis=1)
    # the labels judge the answers that are deployed: those that fit stated shares
    parts = weights(chosen, names, given.astype(np.float64))
    mixed = np.tensordot(parts, np.stack([answers[name] for name in names]), 1)
    ordered = sorted(zip(parts, names, strict=True), reverse=True)
    return Teacher(tuple(name for part, name in ordered if part >= SHOWN), mixed)


def weights(chosen: Sequence[str], names: Sequence[str], given: np.ndarray) -> np.ndarray:
    """Of the average, where a few labels are known.

    Args:
        chosen: the best arms without labels.
        names: all arms.
        given: the probability that each of these gives the label of each row ``[n, arms]``.

    Returns:
        ``[arms]``, adds up to 1.
    """
    prior = np.array([(1 - OPEN) * (name in chosen) / len(chosen) + OPEN / len(names) for name in names])
    return stack(given, prior)


def _offsets(shop: Workshop, name: str) -> list[float]:
    """By which an arm's answers were made to fit stated shares; empty if none were."""
    return read_json(shop.arm_folder(name) / "arm.json")["offsets"]
