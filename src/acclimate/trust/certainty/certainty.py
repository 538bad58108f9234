"""What a model knows of its own certainty: held-out rows, how they differ from the target, and what that promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from acclimate.errors import SettingsError
from acclimate.files import read_json, write_json, writing
from acclimate.trust.certainty.abstain import confidence_bar, least_rate
from acclimate.trust.certainty.conformal import class_sets, p_values, supports, thresholds
from acclimate.trust.certainty.neighbours import distances
from acclimate.trust.certainty.overlap import Overlap, effective
from acclimate.trust.shares import clopper_pearson

Promise = Literal["exchangeable", "weighted", "untested", "refused"]
DIFFERENT = 0.05
"""p-value below which rows of the two domains are not exchangeable."""
FEWEST = 30.0
"""Held-out rows (in equally weighted ones) below which nothing is promised: coverage then varies by 5 points."""
UNBOUNDED = 0.05
"""Share of target rows that may outweigh all held-out rows together: no answer can be left out of their sets."""
LEVEL = 0.9
"""Coverage at which `UNBOUNDED` is judged."""
BALANCE = 3.0
"""Mean weight of the source's rows, which is 1 if the ratios are right, may be off by this factor."""
STRANGE = 0.01
"""p-value of a row up to which it is out of place: none of a hundred held-out rows is as far."""
MADE_ALIKE = "the method brings the two together: that shows nothing of the answers"
FILES = ("certainty.json", "certainty.npz")


@dataclass(frozen=True)
class Certainty:
    """What is kept beside a model.

    Attributes:
        promise: how sets keep their coverage on the target: its rows are "exchangeable" with the held-out ones as far
            as a test sees, or held-out rows are "weighted" towards it, or there was no target or nothing to test on,
            or features were trained to look alike ("untested"), or nothing is promised ("refused").
        why: the sentence for it.
        strangeness: ``[n]`` of the right answers of held-out rows: ``1 - p``, or the absolute error.
        confidence: ``[n]`` of the answers given; empty for numbers.
        wrong: ``[n]`` bool, of these; empty for numbers.
        weights: ``[n]`` towards the target, ones unless weighted.
        coefficients: ``[d]`` of new rows' log ratio; empty unless weighted.
        intercept: likewise.
        cap: largest weight.
        bank: ``[b, d]`` float16 features of training rows; empty where there are none.
        far: ``[n]`` distances of held-out rows to the bank.
    """

    promise: Promise
    why: str
    strangeness: np.ndarray
    confidence: np.ndarray
    wrong: np.ndarray
    weights: np.ndarray
    coefficients: np.ndarray
    intercept: float
    cap: float
    bank: np.ndarray
    far: np.ndarray

    def write(self, folder: Path) -> None:
        """Two files in a model's folder."""
        words = {"promise": self.promise, "why": self.why, "intercept": self.intercept, "cap": self.cap}
        with writing(folder / FILES[1], ".npz") as part:
            arrays: dict[str, Any] = {
                name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)
            }
            np.savez(part, **arrays)
        write_json(folder / FILES[0], words)

    @classmethod
    def load(cls, folder: Path) -> Certainty | None:
        """Of a model's folder; None where there is none."""
        if not all((folder / name).is_file() for name in FILES):
            return None
        with np.load(folder / FILES[1], allow_pickle=False) as arrays:
            return cls(**read_json(folder / FILES[0]), **{name: arrays[name] for name in arrays.files})

    def ratios(self, features: np.ndarray | None, rows: int) -> np.ndarray:
        """Weights of new rows ``[rows]``; ``features`` is what the head reads of them."""
        if self.promise != "weighted" or features is None:
            return np.ones(rows)
        log_ratio = features.astype(np.float64) @ self.coefficients + self.intercept
        return np.exp(np.minimum(log_ratio, np.log(self.cap)))

    def bounds(self, level: float, features: np.ndarray | None, rows: int) -> np.ndarray:
        """The strangeness up to which answers belong to the sets of new rows ``[rows]``.

        Raises:
            SettingsError: no such level, or nothing is promised.
        """
        if not 0 < level < 1:
            raise SettingsError(f"sets: a coverage lies between 0 and 1, such as 0.9; found {level:g}")
        if self.promise == "refused":
            raise SettingsError(f"no sets: {self.why}. Label some rows of the target and give --target-label")
        if not supports(len(self.strangeness), 1 - level):
            needed = int(np.ceil(1 / (1 - level) - 1e-9)) - 1
            raise SettingsError(
                f"sets of coverage {level:g} need {needed} held-out labelled rows, and there are "
                f"{len(self.strangeness)}; take a lower coverage, or set --validation higher"
            )
        return thresholds(self.strangeness, level, self.weights, self.ratios(features, rows))

    def class_sets(self, probabilities: np.ndarray, level: float, features: np.ndarray | None = None) -> np.ndarray:
        """Which classes belong to the set of each row ``[n, classes]`` bool."""
        return class_sets(probabilities, self.bounds(level, features, len(probabilities)))

    def intervals(
        self, prediction: np.ndarray, level: float, features: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends ``[n]`` of each row's interval, in the unit of the labels."""
        reach = self.bounds(level, features, len(prediction))
        return prediction - reach, prediction + reach

    def in_place(self, features: np.ndarray) -> np.ndarray:
        """p-values ``[n]`` of rows belonging where the model was trained: the share of held-out rows as far, about."""
        return p_values(-self.far, -distances(self.bank, features))

    @property
    def knows_place(self) -> bool:
        """Whether `in_place` can be asked."""
        return len(self.bank) > 0 and len(self.far) > 0

    def answered(self, confidence: np.ndarray, rate: float, features: np.ndarray | None = None) -> np.ndarray:
        """Which rows ``[n]`` bool are answered so that at most a share ``rate`` of the answers is wrong.

        Rows that are out of place are not: of these nothing is known.

        Raises:
            SettingsError: no such rate, no classes, or nothing is promised.
        """
        if not 0 < rate < 1:
            raise SettingsError(f"abstain: an error rate lies between 0 and 1, such as 0.05; found {rate:g}")
        if not len(self.confidence):
            raise SettingsError("abstain: an error rate is one of classes; ask for intervals of numbers with --sets")
        if self.promise == "refused":
            raise SettingsError(f"cannot abstain: {self.why}. Label some rows of the target and give --target-label")
        bar = confidence_bar(self.confidence, self.wrong, rate, self.weights)
        if bar is None:
            return np.zeros(len(confidence), dtype=bool)
        sure = confidence >= bar
        return sure & (self.in_place(features) > STRANGE) if features is not None and self.knows_place else sure

    @property
    def least_rate(self) -> float:
        """The error rate below which no row can be answered."""
        return least_rate(self.confidence, self.wrong, self.weights)


def judge(
    *,
    strangeness: np.ndarray,
    confidence: np.ndarray | None,
    wrong: np.ndarray | None,
    overlap: Overlap | None,
    target_rows: int,
    own_labels: bool,
    merged: bool,
    bank: np.ndarray | None,
    held: np.ndarray | None,
) -> Certainty:
    """The certainty of a model from its held-out rows.

    Args:
        strangeness: ``[n]`` of the right answers of held-out rows.
        confidence: ``[n]`` of the answers, None for numbers.
        wrong: ``[n]`` bool, None for numbers.
        overlap: of these rows and the target's, None where it is not known.
        target_rows: how many rows the target has; 0 for no target.
        own_labels: whether the held-out rows are the target's.
        merged: whether the method makes the features of source and target look alike.
        bank: features of training rows, None where there are none.
        held: ``[n, d]`` features of the held-out rows.
    """
    promise, why = _promise(strangeness, overlap, target_rows, own_labels, merged)
    weighted = promise == "weighted" and overlap is not None
    known = bank is not None and held is not None
    return Certainty(
        promise,
        why,
        strangeness,
        np.empty(0) if confidence is None else confidence,
        np.empty(0, dtype=bool) if wrong is None else wrong,
        overlap.weights() if weighted and overlap is not None else np.ones(len(strangeness)),
        overlap.coefficients if weighted and overlap is not None else np.empty(0),
        overlap.intercept if weighted and overlap is not None else 0.0,
        float(np.sqrt(max(len(strangeness), 1))),
        bank.astype(np.float16) if known and bank is not None else np.empty((0, 0), dtype=np.float16),
        distances(bank.astype(np.float16), held) if known and bank is not None and held is not None else np.empty(0),
    )


def _promise(
    strangeness: np.ndarray, overlap: Overlap | None, target_rows: int, own_labels: bool, merged: bool
) -> tuple[Promise, str]:
    rows = len(strangeness)
    if rows < FEWEST:
        return "refused", f"{rows} held-out labelled rows are too few, {FEWEST:.0f} are needed"
    if own_labels:
        return "exchangeable", f"{rows} held-out labelled rows of the target itself"
    if not target_rows:
        return "untested", "there is no target to test against: holds for rows like the source's"
    if overlap is None:
        return "untested", "the target's rows could not be compared with the source's"
    if overlap.p_value >= DIFFERENT:
        alike = f"no classifier tells the target from held-out source rows (p {overlap.p_value:.2g})"
        return ("untested", f"{alike}, but {MADE_ALIKE}") if merged else ("exchangeable", alike)
    weights = overlap.weights()
    worth, mean = effective(weights), float(weights.mean())
    told = f"source and target differ (AUC {overlap.auc:.2f}, p {overlap.p_value:.1g})"
    if worth < FEWEST:
        return "refused", f"{told}: weighted towards the target, {rows} held-out rows are worth {worth:.0f}"
    if not 1 / BALANCE < mean < BALANCE:
        return "refused", f"{told} and hardly overlap: held-out rows weigh {mean:.2g} on average, in the place of 1"
    own = np.exp(np.minimum(overlap.target, np.log(np.sqrt(rows))))
    lost = float(np.isinf(thresholds(strangeness, LEVEL, weights, own)).mean())
    if lost > UNBOUNDED:
        return "refused", f"{told}: {lost:.0%} of the target's rows are like no held-out row"
    if merged:
        return "untested", f"{told}, and {MADE_ALIKE}"
    return "weighted", f"{told}; {rows} held-out rows, weighted towards the target, are worth {worth:.0f}"


def summary(certainty: Certainty, overlap: Overlap | None) -> dict[str, Any]:
    """The part of `result.json` that is known while the seal is closed."""
    return {
        "promise": certainty.promise,
        "why": certainty.why,
        "rows": len(certainty.strangeness),
        "test": None if overlap is None else {"auc": overlap.auc, "p_value": overlap.p_value},
        "effective_rows": effective(certainty.weights) if certainty.promise == "weighted" else None,
    }


def coverage(inside: np.ndarray, size: np.ndarray | None) -> Mapping[str, Any]:
    """Realised coverage of sets, with its 95 % Clopper-Pearson interval, and their mean size."""
    n, hits = len(inside), int(inside.sum())
    return {
        "coverage": hits / n,
        "interval": list(clopper_pearson(hits, n)),
        "size": None if size is None or not np.isfinite(size).all() else float(size.mean()),
    }
