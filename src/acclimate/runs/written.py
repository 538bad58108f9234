"""How answers are written beside the rows that they answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.domains.frames import free_name
from acclimate.domains.labels import as_json, canonical_groups
from acclimate.domains.mask_writer import MaskWriter
from acclimate.errors import DataError, SettingsError
from acclimate.runs.sure import Sure
from acclimate.tasks.answers import Answers
from acclimate.trust.fairness.thresholds import Thresholds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Written:
    """What is asked of answers; see `Predictor.predict`.

    Attributes:
        k: items of a ranking.
        masks: where masks of pixels go.
        sure: sets, and what is left unanswered.
        thresholds: of groups of people, and ``column``, which has the groups.
    """

    k: int | None = None
    masks: MaskWriter | None = None
    sure: Sure | None = None
    thresholds: Thresholds | None = None
    column: str | None = None

    def __post_init__(self) -> None:
        if self.column is None:
            return
        if self.thresholds is None:
            raise SettingsError(
                "equal_opportunity: this model has no thresholds for groups; adapt two classes with --sensitive and "
                "--validation above 0"
            )
        self.thresholds.of(self.column)

    def beside(self, frame: pd.DataFrame, answers: Answers, features: np.ndarray | None) -> pd.DataFrame:
        """The rows with their answers; ``features`` are what the head reads, where `Sure` asks for them."""
        if self.column is not None:
            answers = self._by_group(answers, frame, self.column)
        if self.masks is not None:
            for place, label in zip(frame.iloc[:, 0], answers.prediction, strict=True):
                self.masks.write(str(place), label)
        several = answers.prediction.ndim == 2  # numbers, written as their labels are
        said = [as_json(row) for row in answers.prediction] if several else answers.prediction
        added: dict[str, Any] = {"prediction": said}
        if answers.confidence is not None:
            added["confidence"] = answers.confidence
        if answers.probabilities is not None:
            added |= {f"probability_{name}": answers.probabilities[:, k] for k, name in enumerate(answers.classes)}
        if self.sure is not None:
            added |= self.sure.columns(answers, features)
        return frame.assign(**{free_name(name, frame.columns): values for name, values in added.items()})

    def _by_group(self, answers: Answers, frame: pd.DataFrame, column: str) -> Answers:
        """Answers by the thresholds of the groups in a column."""
        assert self.thresholds is not None and answers.probabilities is not None
        if column not in frame:
            raise DataError(f"no column '{column}', whose groups have thresholds of their own")
        groups = canonical_groups(frame[column])
        said = self.thresholds.answers(column, answers.probabilities, answers.classes, groups)
        of = np.where(said == answers.classes[1], answers.probabilities[:, 1], answers.probabilities[:, 0])
        return replace(answers, prediction=said, confidence=of)
