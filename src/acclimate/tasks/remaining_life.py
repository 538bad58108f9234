"""Remaining life: how many more steps a machine will run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.labels import as_numbers
from acclimate.errors import DataError, SettingsError
from acclimate.settings import build
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.regress import Regress

CAP = 125.0
"""Cycles beyond which turbofan studies tell no lives apart."""
EARLY, LATE = 13.0, 10.0
"""Errors of so many steps, too early and too late, cost e - 1 in the NASA score."""


@dataclass(frozen=True)
class Head:
    """Settings of the task: ``cap``, the longest life that is told apart, in steps."""

    cap: float = CAP

    def __post_init__(self) -> None:
        if not self.cap > 0:
            raise SettingsError(f"head.cap is the longest life that is told apart: above 0, found {self.cap:g}")


@dataclass(frozen=True)
class RemainingLife(Regress):
    """A regression of what is left of a life, told apart up to a cap: a machine that is new shows nothing of its end.

    Labels and answers are cut at the cap, in training and in metrics alike (Heimes, PHM 2008, proposed it; most work on
    C-MAPSS caps at 125 and does so on test engines too). The target's labels are usually those of the last window of
    each machine: ``?take=last``.

    **Helps** with machines that ran until they failed: the label ``steps_left`` counts back from the end of each.
    **Hurts** where recordings end for another reason than failure: their last window is no end of a life.

    Attributes:
        cap: longest life that is told apart, in steps.
    """

    cap: float = CAP

    name: ClassVar[str] = "remaining_life"
    primary: ClassVar[Metric] = Metric("rmse", higher_is_better=False)
    settings: ClassVar[type | None] = Head

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """Mean and deviation of the lives of a labelled domain, capped as usual.

        Raises:
            DataError: labels that are no numbers, below zero, or all the same once they are capped.
        """
        return cls().learned_from(domain)

    def given(self, settings: Mapping[str, Any]) -> Self:
        """With this cap."""
        return replace(self, cap=build(Head, settings, "head").cap)

    def learned_from(self, domain: Domain) -> Self:
        """With mean and deviation of the capped lives of these rows; see `from_domain`."""
        if domain.labels is None:
            raise DataError(
                f"{domain.name}: no lives; name their column with --label, or take --label steps_left where each "
                "recording ran until it failed"
            )
        lives = np.minimum(_lives(domain.labels, domain.name), self.cap)
        if lives.std() == 0:
            raise DataError(f"{domain.name}: every life is {lives[0]:g} or more; there is nothing to learn")
        return replace(self, mean=float(lives.mean()), scale=float(lives.std()))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(*(float(config[name]) for name in ("mean", "scale", "cap")))

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Standardised capped lives ``[n]`` float32."""
        return super().encode(np.minimum(_lives(labels), self.cap))

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """Steps left, from 0 to the cap."""
        return Answers(np.clip(super().decode(outputs).prediction, 0.0, self.cap))

    def metrics(self, answers: Answers, labels: np.ndarray) -> dict[str, float]:
        """rmse, mae, r2 and nasa_score of capped lives."""
        return self.weighted_metrics(answers, labels)(None)

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """`metrics` as a function of the rows' weights; the score is a sum over rows (`nasa_costs`)."""
        lives = np.minimum(_lives(labels), self.cap)
        plain = super().weighted_metrics(answers, lives)
        costs = nasa_costs(answers.prediction, lives)

        def metrics(weight: np.ndarray | None) -> dict[str, float]:
            total = costs.sum() if weight is None else np.asarray(weight) @ costs
            return {**plain(weight), "nasa_score": float(total)}

        return metrics

    def baselines(self, rows: Rows) -> dict[str, Answers]:
        """The mean life of the source for every row."""
        return {"mean life": Answers(np.full(len(rows), self.mean))}

    def config(self) -> dict[str, Any]:
        """As of a regression, and the cap."""
        return {**super().config(), "cap": self.cap}


def nasa_costs(prediction: np.ndarray, lives: np.ndarray) -> np.ndarray:
    """What each error costs ``[n]``: ``exp(-d / 13) - 1`` too early, ``exp(d / 10) - 1`` too late, ``d`` the error.

    Saxena, Goebel, Simon, Eklund, Damage propagation modeling for aircraft engine run-to-failure simulation, PHM 2008,
    eq. 12. The score of a test set is their sum.
    """
    error = np.asarray(prediction, dtype=np.float64) - lives
    return np.expm1(np.where(error < 0, -error / EARLY, error / LATE))


def _lives(labels: np.ndarray, where: str = "labels") -> np.ndarray:
    values = as_numbers(labels, where)
    if (values < 0).any():
        first = int(np.flatnonzero(values < 0)[0])
        raise DataError(f"{where}: row {first + 1} has {values[first]:g} steps left; a life is not below 0")
    return values
