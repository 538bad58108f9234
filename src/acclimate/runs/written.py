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
        bars = None if self.column is None else self._bars(frame, self.column)
        if bars is not None:
            answers = _by_bar(answers, bars)
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
        if bars is not None:
            added["threshold"] = bars
        if self.sure is not None:
            added |= self.sure.columns(answers, features)
        return frame.assign(**{free_name(name, frame.columns): values for name, values in added.items()})

    def _bars(self, frame: pd.DataFrame, column: str) -> np.ndarray:
        """The threshold of each row's group."""
        assert self.thresholds is not None
        if column not in frame:
            raise DataError(f"no column '{column}', whose groups have thresholds of their own")
        return self.thresholds.bars(column, canonical_groups(frame[column]))

    @property
    def notes(self) -> tuple[str, ...]:
        """What thresholds of groups rest on."""
        if self.column is None or self.thresholds is None:
            return ()
        told = ", ".join(f"{group} {bar:.3f}" for group, bar in self.thresholds.of(self.column).items())
        return (
            f"'{self.thresholds.positive}' from the probability of the group in '{self.column}' on, by "
            f"{self.thresholds.rows} held-out source rows: {told}",
        )


def _by_bar(answers: Answers, bars: np.ndarray) -> Answers:
    """Answers of two classes, the second from these probabilities on."""
    assert answers.probabilities is not None
    second = answers.probabilities[:, 1] >= bars
    names = np.array(answers.classes, dtype=object)
    of = np.where(second, answers.probabilities[:, 1], answers.probabilities[:, 0])
    return replace(answers, prediction=names[second.astype(int)], confidence=of)
