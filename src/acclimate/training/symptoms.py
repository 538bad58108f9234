"""What can be wrong with a training, from what is seen of it; each thing is said once, with what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LASTS = 3
"""Looks in a row that show a symptom before it is told."""
SURE, SURE_LASTS, SURE_FROM = 0.99, 5, 0.3
"""A discriminator that is always right: from which accuracy, for how many looks, from which share of the steps on.
Early on all are: what it teaches the features has yet to grow."""
COIN, APART = 0.6, 0.75
"""A discriminator that never learned: accuracy at most, where a fresh linear one reaches at least so much."""
AWAY, GROWN = 0.2, 0.15
"""Distance (total variation) of the answers' class shares from what is expected, beside chance, and its growth."""
EARLY = 0.25
"""Share of the steps during which the target's class shares are estimated anew; the last estimate counts."""
FORGOTTEN, FORGOTTEN_LASTS = 0.05, 2
"""Least loss of accuracy on held-out source rows, beside chance; those looks are few."""

Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Answers on the target ``[n, classes]`` and the source's class shares to the target's."""


@dataclass(frozen=True)
class Look:
    """What is seen of a training at one step; what is None is not there.

    Attributes:
        step: steps done.
        total: steps planned.
        features: of the last rows of source and target, ``[n, d]`` each.
        domain: the discriminator's logits that these rows are of the target, ``[n]`` each.
        answers: probabilities ``[n, classes]`` on the last target rows.
        learned: accuracy on the last training rows of the source.
        validated: accuracy on held-out source rows.
    """

    step: int
    total: int
    features: tuple[np.ndarray, np.ndarray] | None = None
    domain: tuple[np.ndarray, np.ndarray] | None = None
    answers: np.ndarray | None = None
    learned: float | None = None
    validated: float | None = None


class Symptoms:
    """Judges the looks at one arm's training.

    Args:
        classes: names of the columns of the answers; empty for numbers.
        shares: of the source's labels, ``[classes]``.
        estimate: of the target's class shares.
        stated: the target's class shares, if they are known.
        rows: held-out source rows behind ``Look.validated``.
    """

    MEMORY = ("told", "best", "since", "highest", "varied", "expected", "nearest")

    def __init__(
        self,
        classes: Sequence[str] = (),
        shares: np.ndarray | None = None,
        estimate: Estimate | None = None,
        stated: np.ndarray | None = None,
        rows: int = 1,
    ):
        self.classes, self.shares, self.estimate, self.rows = tuple(classes), shares, estimate, rows
        self.stated = stated
        self.told: dict[str, str] = {}
        self.best: list[float] = []
        self.begin()

    def begin(self, method: Any = None) -> None:
        """A loop of this method begins: what was told and the source's best accuracy stay."""
        strong = hasattr(method, "strength")
        self.knobs = "method.strength or training.learning_rate" if strong else "training.learning_rate"
        alternates = getattr(method, "form", "") == "reversal"
        self.remedy = f"{'method.form=alternating or ' if alternates else ''}another method.strength"
        self.varied = False
        self.since: dict[str, list[int]] = {}
        self.highest = 0.0
        self.expected: list[float] = [] if self.stated is None else [float(share) for share in self.stated]
        self.nearest = 1.0

    @property
    def warnings(self) -> list[str]:
        """Everything that was told, in order."""
        return list(self.told.values())

    def judge(self, look: Look) -> tuple[dict[str, float], list[str]]:
        """What was measured, and the sentences that are new."""
        measured: dict[str, float] = {}
        new: list[str] = []
        for check in (self._domain, self._collapse, self._shares, self._source):
            values, sentence = check(look)
            measured |= {name: round(value, 4) for name, value in values.items()}
            name = check.__name__
            if sentence and name not in self.told:
                self.told[name] = sentence
                new.append(sentence)
        return measured, new

    def _lasts(self, name: str, shows: bool, step: int, looks: int = LASTS) -> int | None:
        """The step at which a symptom appeared, once it has lasted."""
        steps = [*self.since.get(name, []), step] if shows else []
        self.since[name] = steps[:1] + steps[1:][-looks:]
        return steps[0] if len(steps) >= looks else None

    def _domain(self, look: Look) -> tuple[dict[str, float], str]:
        if look.domain is None or look.features is None:
            return {}, ""
        source, target = look.domain
        right = float(((source < 0).mean() + (target > 0).mean()) / 2)
        self.highest = max(self.highest, right)
        sure = right >= SURE and look.step > SURE_FROM * look.total
        if (since := self._lasts("sure", sure, look.step, SURE_LASTS)) is not None:
            return {"domain_accuracy": right}, (
                f"the discriminator is always right ({right:.2f}, since step {since}): its gradient vanishes and "
                f"nothing is aligned; try {self.remedy}"
            )
        apart = separable(*look.features) if self.highest <= COIN else 0.0
        since = self._lasts("coin", apart >= APART, look.step)
        return {"domain_accuracy": right}, "" if since is None else (
            f"the discriminator guesses ({right:.2f}, since step {since}), though a fresh linear one tells the same "
            f"features apart ({apart:.2f}): it does not learn, and nothing is aligned; try a larger "
            "training.learning_rate or training.head_factor, or more steps"
        )

    def _whose(self, otherwise: str) -> str:
        return otherwise if self.stated is None else "what was stated"

    def _collapse(self, look: Look) -> tuple[dict[str, float], str]:
        if look.answers is None or self.shares is None:
            return {}, ""
        answered = _shares(look.answers)
        expected = self.shares if self.stated is None else self.stated
        flat = _entropy(answered) < _entropy(expected) / 2
        self.varied = self.varied or not flat
        since = self._lasts("collapse", flat and (self.varied or look.step > look.total / 2), look.step)
        top = int(answered.argmax())
        return {"largest_share": float(answered.max())}, "" if since is None else (
            f"the answers on the target have collapsed: '{self.classes[top]}' is {answered[top]:.0%} of them, since "
            f"step {since}, and {expected[top]:.0%} of {self._whose('the source')}; try a smaller {self.knobs}, or say "
            "with --target-shares if the target is like that"
        )

    def _shares(self, look: Look) -> tuple[dict[str, float], str]:
        if look.answers is None or self.shares is None:
            return {}, ""
        answered = _shares(look.answers)
        early = self.stated is None and look.step <= EARLY * look.total
        if (early or not self.expected) and self.estimate is not None and self._knows(look):
            self.expected = [float(share) for share in self.estimate(look.answers, self.shares)]
        if not self.expected:
            return {}, ""
        expected = np.array(self.expected)
        distance = _distance(answered, expected)
        self.nearest = min(self.nearest, distance)
        least = AWAY + 0.8 * np.sqrt(len(answered) / len(look.answers))  # twice the distance that chance alone makes
        unlike = distance if self.stated is not None else min(distance, _distance(answered, self.shares))
        away = unlike >= least and distance >= self.nearest + GROWN
        since = self._lasts("shares", away, look.step)
        top = int((answered - expected).argmax())
        return {"shares_distance": distance}, "" if since is None else (
            f"the class shares of the answers on the target run away: '{self.classes[top]}' is {answered[top]:.0%} of "
            f"them and {expected[top]:.0%} of {self._whose('an early estimate')} ({self.shares[top]:.0%} of the "
            f"source), since step {since}; try a smaller {self.knobs}, or --method mlls, which moves the shares alone"
        )

    def _knows(self, look: Look) -> bool:
        """Whether the model has learned enough of the source for its answers to be an estimate."""
        assert self.shares is not None
        return look.learned is None or look.learned >= (1 + self.shares.max()) / 2

    def _source(self, look: Look) -> tuple[dict[str, float], str]:
        if look.validated is None:
            return {}, ""
        now = look.validated
        if not self.best or now > self.best[0]:
            self.best = [now, look.step]
        best, at = self.best
        chance = 2 * np.sqrt(max(best * (1 - best), 1 / self.rows) / self.rows)
        since = self._lasts("source", best - now >= FORGOTTEN + chance, look.step, FORGOTTEN_LASTS)
        return {"source_accuracy": now}, "" if since is None else (
            f"the source is being forgotten: {now:.2f} of held-out source rows are right, {best:.2f} were at step "
            f"{int(at)}; try a smaller {self.knobs}, or training.keep=source"
        )

    def state(self) -> dict[str, Any]:
        """What the next judgement depends on, as JSON values."""
        return {"memory": [getattr(self, name) for name in self.MEMORY]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        if "memory" in state:
            for name, value in zip(self.MEMORY, state["memory"], strict=True):
                setattr(self, name, value)


def separable(source: np.ndarray, target: np.ndarray) -> float:
    """Accuracy of a fresh linear domain classifier on rows that it has not seen, mean of both domains.

    Least squares with a ridge on every other row, judged on the rest: seconds do not matter, milliseconds do.

    Args:
        source: features ``[n, d]``.
        target: features ``[m, d]``.
    """
    known = np.concatenate([source[::2], target[::2]]).astype(np.float64)
    sides = np.repeat([-1.0, 1.0], [len(source[::2]), len(target[::2])])
    mean, scale = known.mean(axis=0), known.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0)
    rows = (known - mean) / scale
    gram = rows @ rows.T  # fewer rows than columns, mostly
    gram[np.diag_indices(len(gram))] += 0.1 * np.trace(gram) / len(gram) + 1e-9
    weight = rows.T @ np.linalg.solve(gram, sides - sides.mean())
    said = [(side[1::2] - mean) / scale @ weight + sides.mean() for side in (source, target)]
    return float(((said[0] < 0).mean() + (said[1] > 0).mean()) / 2)


def _shares(answers: np.ndarray) -> np.ndarray:
    return np.bincount(answers.argmax(axis=1), minlength=answers.shape[1]) / len(answers)


def _entropy(shares: np.ndarray) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).sum() / 2)
