"""A few-shot classifier fitted on features: the level that held-out support rows choose, calibrated, and what it knows.

Query rows play no part in any choice. Only a transductive level reads them, without labels, and only to answer them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate.errors import DataError, SettingsError
from acclimate.methods.few_shot.adapter import LinearAdapter
from acclimate.methods.few_shot.base import Level
from acclimate.methods.few_shot.registry import LEVELS, create_level, find_level
from acclimate.runs.few_shot.held_out import COARSE, FEW, HeldOut, fold_of, hold_out, hold_out_among
from acclimate.runs.few_shot.novelty import Novelty, measure

AUTO = "auto"
CHOSEN_FROM = ("prototypes", "adapter", "probe")
"""The levels of auto, the simplest first; prototypes are the adapter of rate 0, whose work grows with rows cubed."""
DOUBT = 1.0
"""Standard errors by which a level must be better than the simplest one to be taken in its place."""
SHOWN = 5
"""Classes that a warning names."""
TOGETHER = 20_000
"""Rows at most that a transductive level answers: the work grows with their square."""


@dataclass(frozen=True)
class Said:
    """What a classifier says of some rows.

    Attributes:
        probabilities: ``[n, ways]`` float32, of a row that belongs to one of the classes.
        p_values: ``[n]`` of `Novelty`, None without ``abstain``.
        refused: ``[n]`` bool, which rows belong to none of the classes; None without ``abstain``.
        held_out: how rows were held out for this answer, of a transductive level; else None.
    """

    probabilities: np.ndarray
    p_values: np.ndarray | None = None
    refused: np.ndarray | None = None
    held_out: Mapping[str, Any] | None = None

    def part(self, rows: slice) -> Said:
        """What is said of some of the rows."""
        p_values, refused = (None if each is None else each[rows] for each in (self.p_values, self.refused))
        return Said(self.probabilities[rows], p_values, refused, self.held_out)


@dataclass(frozen=True)
class FewShotClassifier:
    """A level with its support.

    Attributes:
        support: features ``[n, d]``.
        targets: ``[n]`` int64, places in ``classes``.
        classes: names.
        level: that answers.
        temperature: by which its logits are divided; None: found anew with the rows that are asked (transductive).
        novelty: refuses rows of none of the classes, or None.
        seed: of the parts in which rows are held out.
        report: what was chosen and why, as plain values.
    """

    support: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    level: Level
    temperature: float | None
    novelty: Novelty | None
    seed: int
    report: Mapping[str, Any]

    def say(self, query: Tensor) -> Said:
        """Answers for features ``[m, d]``; of a transductive level they depend on each other.

        Raises:
            DataError: features that are not numbers, or of another width.
        """
        _check(query, "query rows")
        if query.shape[1] != self.support.shape[1]:
            raise DataError(f"query rows have {query.shape[1]} features, and the support has {self.support.shape[1]}")
        ways, held = len(self.classes), None
        if self.level.transductive and len(query) > TOGETHER:
            raise SettingsError(
                f"level {self.level.name} answers all rows together, at most {TOGETHER:,}; found {len(query):,}"
            )
        temperature = self.temperature
        if temperature is None:
            fold = fold_of(self.targets.numpy(), self.seed, COARSE)
            held = hold_out_among(self.level, self.support, self.targets, query, ways, fold)
            temperature = held.temperature
        logits = self.level.logits(self.support[None], self.targets[None], query[None], ways)[0]
        probabilities = (logits / temperature).softmax(1).cpu().numpy()
        told = None if held is None else {**told_of(held), "temperature": temperature}
        if self.novelty is None:
            return Said(probabilities, held_out=told)
        values = self.novelty.p_values(self.support, self.targets, query, ways)
        return Said(probabilities, values, self.novelty.refused(values), told)


def fit(
    support: Tensor,
    targets: Tensor,
    classes: Sequence[str],
    *,
    level: str | Mapping[str, Any] | Level = AUTO,
    abstain: float | None = None,
    seed: int = 0,
) -> FewShotClassifier:
    """Choose a level on held-out support rows, calibrate it, and measure what it can refuse.

    Of several candidates the one of the lowest calibrated log-loss on held-out rows answers, unless the simplest is
    within a standard error of it. The held-out figures of the chosen one are a little too good: it was chosen by
    them.

    Args:
        support: features ``[n, d]``, in an order that depends on content alone.
        targets: ``[n]`` int64, places in ``classes``.
        classes: names.
        level: "auto", a level's name, a mapping with ``name`` and settings (what is set is not searched), or a level.
        abstain: the share of rows of the known classes that may be answered "none of these", or None.
        seed: of the parts in which rows are held out.

    Raises:
        DataError: fewer than two classes, or features that are not numbers.
        SettingsError: an unknown level, or a rate that so few rows cannot support.
    """
    _check(support, "support rows")
    ways = len(classes)
    if ways < 2:
        raise DataError(f"only one class ('{classes[0]}') in the support: a classifier tells at least two apart")
    levels = candidates(level, len(targets))
    fold = fold_of(targets.numpy(), seed)
    held: list[HeldOut] = []
    if not levels[0].transductive and fold.max() >= 0:
        held = [hold_out(candidate, support, targets, ways, fold) for candidate in levels]
    chosen = levels[choose(held)]
    novelty = None if abstain is None else measure(support, targets, ways, abstain, seed)
    tried = [(candidate.recipe(), found) for candidate, found in zip(levels, held, strict=False)]
    asked = level.recipe() if isinstance(level, Level) else level
    return assembled(support, targets, classes, chosen, chosen.recipe(), tried, novelty, asked, seed)


def assembled(
    support: Tensor,
    targets: Tensor,
    classes: Sequence[str],
    level: Level,
    told: Mapping[str, Any],
    tried: Sequence[tuple[Mapping[str, Any], HeldOut]],
    novelty: Novelty | None,
    asked: str | Mapping[str, Any],
    seed: int,
) -> FewShotClassifier:
    """A classifier whose level was chosen, with the report.

    Args:
        support: features ``[n, d]``.
        targets: ``[n]`` int64, places in ``classes``.
        classes: names.
        level: that answers.
        told: what the report calls it, one of those ``tried``.
        tried: each candidate and what it said of held-out rows.
        novelty: refuses rows of none of the classes, or None.
        asked: for which level.
        seed: of the parts in which rows are held out.
    """
    counts = np.bincount(targets.numpy(), minlength=len(classes))
    held = next((found for name, found in tried if name == told), None)
    temperature = None if level.transductive and counts.max() > 1 else 1.0
    report: dict[str, Any] = {
        "asked": {"name": asked} if isinstance(asked, str) else dict(asked),
        "level": dict(told),
        "rows": len(targets),
        "classes": {name: int(count) for name, count in zip(classes, counts, strict=True)},
        "candidates": [
            {"level": dict(name), **told_of(found), "temperature": found.temperature} for name, found in tried
        ],
        "held_out": None if held is None else told_of(held),
        "temperature": temperature if held is None else held.temperature,
        "abstain": None if novelty is None else told_of_novelty(novelty),
    }
    report["warnings"] = _warnings(report["classes"], report["held_out"], level, novelty)
    return FewShotClassifier(support, targets, tuple(classes), level, report["temperature"], novelty, seed, report)


def candidates(level: str | Mapping[str, Any] | Level, rows: int = 0) -> list[Level]:
    """The levels among which held-out rows choose, the simplest first; of many rows auto leaves the adapter out.

    Raises:
        SettingsError: an unknown level or setting.
    """
    if isinstance(level, Level):
        return [level]
    asked = {"name": level} if isinstance(level, str) else dict(level)
    name = str(asked.pop("name", AUTO))
    if name == AUTO:
        if asked:
            raise SettingsError(f"level.{next(iter(asked))}: auto has no settings; name a level: {', '.join(LEVELS)}")
        found = [candidate for each in CHOSEN_FROM for candidate in _searched(each, {})]
        return [c for c in found if not isinstance(c, LinearAdapter) or (c.rate and rows <= FEW)]
    return _searched(name, asked)


def _searched(name: str, settings: Mapping[str, Any]) -> list[Level]:
    """A level with each value of the settings that are searched and not given."""
    found = [create_level(name, settings)]
    for key, values in find_level(name).search.items():
        if key not in settings:
            found = [replace(level, **{key: value}) for level in found for value in values]  # type: ignore[type-var]
    return found


def choose(held: Sequence[HeldOut]) -> int:
    """Which candidate answers: the one of the lowest mean log-loss, or the first where that is not clearly better.

    Also the first where nothing was held out.

    The one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3): with few
    rows the lowest of many losses is partly luck. Half an error gains 0.3 points of accuracy with seven classes of five
    pictures, and loses 0.01 of log-loss with two classes of five reviews.
    """
    if not held:
        return 0
    best = int(np.argmin([found.losses.mean() for found in held]))
    gain = held[0].losses - held[best].losses
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
    return best if gain.mean() > DOUBT * error else 0


def told_of(held: HeldOut) -> dict[str, Any]:
    """Held-out figures as plain values."""
    if not len(held.targets):
        return {"rows": 0, "accuracy": None, "interval": None, "log_loss": None}
    return {
        "rows": len(held.targets),
        "accuracy": float(held.right.mean()),
        "interval": list(held.interval),
        "log_loss": float(held.losses.mean()),
    }


def told_of_novelty(novelty: Novelty) -> dict[str, Any]:
    """What is known of the refusing, as plain values."""
    rows = len(novelty.held_out)
    return {
        "rate": novelty.rate,
        "rows": rows,
        "least_rate": 1 / (rows + 1),
        "recognised": novelty.recognised,
    }


def _warnings(
    classes: Mapping[str, int], held: Mapping[str, Any] | None, level: Level, novelty: Novelty | None
) -> list[str]:
    alone = [name for name, count in classes.items() if count == 1]
    said = []
    if len(alone) == len(classes):
        said.append(
            f"one row a class: nothing can be held out, so {level.name} answers with its default settings and "
            "probabilities are not calibrated on these data"
        )
    elif alone:
        told = ", ".join(alone[:SHOWN]) + (", ..." if len(alone) > SHOWN else "")
        said.append(f"only one row of {told}: held-out figures know nothing of such classes")
    chance = max(classes.values()) / sum(classes.values())
    if held is not None and held["interval"][0] <= chance:
        said.append(f"held-out rows do not show that answers are better than always the same one ({chance:.2f})")
    if level.transductive:
        said.append(f"{level.name} answers all rows together: an answer depends on the others that are asked with it")
    if novelty is not None and novelty.recognised is None:
        said.append("too few rows to leave whole classes out: how many rows of unknown classes are found is not known")
    return said


def _check(features: Tensor, what: str) -> None:
    bad = ~torch.isfinite(features).all(1)
    if bad.any():
        first = int(bad.nonzero()[0]) + 1
        raise DataError(
            f"{int(bad.sum())} of {len(bad)} {what} have features that are not numbers (the first is {first})"
        )
