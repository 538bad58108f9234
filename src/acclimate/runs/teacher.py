"""What the best arms of a run say together, for the method that learns from it."""

from __future__ import annotations

from collections.abc import Sequence

from acclimate.methods.base import Teacher
from acclimate.methods.ensemble.auto import Auto
from acclimate.runs.evidence import arrays_of
from acclimate.runs.rating import predictions
from acclimate.runs.workshop import Workshop
from acclimate.selection.validators import average, best, score


def teacher(auto: Auto, shop: Workshop, names: Sequence[str]) -> Teacher:
    """The average answer of the best arms of a run; no target labels are looked at."""
    arms = {name: predictions(arrays_of(shop.arm_folder(name))) for name in names}
    rated = score(arms, [auto.validator], shop.recipe.seed)[auto.validator]
    answers = {name: arm.target_probabilities for name, arm in arms.items()}
    return Teacher(tuple(best(rated, auto.top)), average(answers, rated, auto.top))
