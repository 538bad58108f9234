"""What `predict` adds of certainty: sets, whether a row is answered, whether it is in its place."""

from __future__ import annotations

from typing import Any

import numpy as np

from acclimate.domains.labels import as_json
from acclimate.errors import SettingsError
from acclimate.tasks.answers import Answers
from acclimate.training.model import Model
from acclimate.trust.certainty.certainty import STRANGE, Certainty

SOME = 0.03
"""Share of rows out of place from which they are told: of rows in their place it is 0.01."""


class Sure:
    """Columns of certainty for one `predict`; counts what was left unanswered.

    Args:
        model: that answers.
        certainty: of the model.
        sets: coverage, or None.
        abstain: error rate, or None.

    Raises:
        SettingsError: the model has no certainty, or cannot promise this.
    """

    def __init__(self, model: Model, certainty: Certainty | None, sets: float | None, abstain: float | None):
        if certainty is None:
            asked = "sets" if sets is not None else "abstain"
            raise SettingsError(
                f"{asked}: nothing is known of this model's certainty (task {model.task.name}): that needs classes or "
                "single numbers, held-out labelled rows (--validation above 0 in adapt), and training without "
                "--privacy, as it is kept beside the model in certainty.json and tells of held-out rows"
            )
        self.certainty, self.sets, self.abstain = certainty, sets, abstain
        if sets is not None:
            certainty.bounds(sets, None, 0)
        if abstain is not None:
            certainty.answered(np.empty(0), abstain)
        self.reads = certainty.knows_place or certainty.promise == "weighted"
        self.rows = self.unanswered = self.strange = 0

    def columns(self, answers: Answers, features: np.ndarray | None) -> dict[str, Any]:
        """By name; ``prediction`` again, with gaps, where some rows are left unanswered."""
        found: dict[str, Any] = {}
        if self.sets is not None and answers.probabilities is not None:
            inside = self.certainty.class_sets(answers.probabilities, self.sets, features)
            classes = np.array(answers.classes, dtype=object)
            found["set"] = [as_json(classes[row].tolist()) for row in inside]
        elif self.sets is not None:
            found["low"], found["high"] = self.certainty.intervals(answers.prediction, self.sets, features)
        self.rows += len(answers.prediction)
        if features is not None and self.certainty.knows_place:
            found["in_place"] = self.certainty.in_place(features)
            self.strange += int((found["in_place"] <= STRANGE).sum())
        if self.abstain is not None:
            assert answers.confidence is not None
            given = self.certainty.answered(answers.confidence, self.abstain, features)
            found["prediction"] = np.where(given, answers.prediction, np.array(None, dtype=object))
            self.unanswered += int((~given).sum())
        return found

    @property
    def note(self) -> str:
        """What the promise rests on, for how many rows it does not hold, and how many were left."""
        said = [f"certainty rests on: {self.certainty.why}"]
        if self.strange > SOME * self.rows:
            said.append(
                f"{self.strange} of {self.rows} rows are out of place (in_place {STRANGE:g} or less): they are like no "
                "row that the model knows, and nothing is promised for them"
            )
        if self.abstain is not None:
            said.append(f"{self.unanswered} of {self.rows} rows are left unanswered")
            if self.unanswered == self.rows and self.abstain < (least := self.certainty.least_rate):
                said.append(f"held-out rows are too few, or too often wrong, for any error rate below {least:.2g}")
        return "; ".join(said)
