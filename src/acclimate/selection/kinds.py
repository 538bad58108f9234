"""Which kind of shift it is: the simplest change that explains the gap between two domains.

Explanations are tried from the simplest on, and the first one that accounts for the gap is taken:

1. *none*: a classifier cannot tell the domains apart, and class shares are not known to have moved;
2. *label*: it cannot once the source's rows are weighted to the target's estimated class shares;
3. *new_classes*: some target rows are further from the source than its own rows are from each other, and nearer to each
   other than to the source; and without such rows (with shares estimated on the rest) it cannot;
4. *covariate*: the looks changed.

How sure: the share of bootstrap replicates in which the rule says the same, with rows and thresholds drawn anew (a
threshold up to a factor of two either way: where to draw the line is a matter of taste). It does not cover shifts
that the features cannot show. Concept shift, the same rows with other labels, leaves no trace in inputs at all: it
is looked for only among target rows whose labels were permitted, and comes first there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from acclimate.methods.label_shift.pieces import calibrate, mlls, soften, weights
from acclimate.seeds import generator
from acclimate.trust.certainty.logistic import logistic
from acclimate.trust.certainty.overlap import PENALTY

Name = Literal["none", "label", "new_classes", "covariate", "concept"]
NAMES: tuple[Name, ...] = ("none", "label", "new_classes", "covariate", "concept")
FOLDS = 5
REPLICATES = 400
SEEN = 0.05
"""AUC above 0.5 by more than this is a gap."""
MOVED = 0.1
"""Total variation of class shares that label shift begins with where the gap is too small to be seen."""
LEFT = 0.25
"""An explanation may leave this part of the gap."""
USUAL = 0.9
"""Quantile of source rows' distances beyond which a row is far."""
FAR = 0.05
"""Share of far rows, beyond what is usual, that new classes begin with."""
MOST = 0.6
"""With more far rows than that it is the looks that changed."""
WRONG = 0.08
"""Additional error, where both domains have rows, that concept shift begins with."""
NEIGHBOURS = 5


@dataclass(frozen=True)
class Kind:
    """The kind of a shift, and the evidence.

    Attributes:
        name: see the module.
        confidence: how often the rule says so, 0 to 1.
        probabilities: the same for every kind.
        auc: of a domain classifier, out of fold; 0.5 is chance.
        auc_same_shares: the same with the source weighted to the target's estimated class shares; None for numbers.
        auc_without_far: the same without the far rows; None for numbers.
        far: share of target rows beyond the source's usual distances, in excess of what is usual; None for numbers.
        excess_error: error on permitted target rows minus that on source rows like them; None while sealed.
    """

    name: Name
    confidence: float
    probabilities: Mapping[Name, float]
    auc: float
    auc_same_shares: float | None = None
    auc_without_far: float | None = None
    far: float | None = None
    excess_error: float | None = None


@dataclass(frozen=True)
class Rows:
    """What the kind is told from; features have columns of like scale (`probe.reduced`).

    Attributes:
        source: ``[n, d]``.
        target: ``[m, d]``.
        targets: ``[n]`` class indices of the source; None for numbers, as are the next three.
        held: ``[n]`` bool, the rows of the source that the answers' classifier has not seen.
        source_answers: its probabilities on those, ``[held, classes]``.
        target_answers: and on the target ``[m, classes]``.
        permitted: ``[m]`` class indices of target rows whose labels the user permitted, -1 for others; None if sealed.
        content: ``[n + m]`` hashes of the rows' contents; without them all count as different.
    """

    source: np.ndarray
    target: np.ndarray
    targets: np.ndarray | None = None
    held: np.ndarray | None = None
    source_answers: np.ndarray | None = None
    target_answers: np.ndarray | None = None
    permitted: np.ndarray | None = None
    content: np.ndarray | None = None


@dataclass(frozen=True)
class Seen:
    """Out-of-fold scores of a domain classifier on weighted rows: source first, a weight of 0 leaves a row out."""

    score: np.ndarray
    is_target: np.ndarray
    weight: np.ndarray
    order: np.ndarray

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """By score: which rows are the target's, their weights, and a number for each different score."""
        score = self.score[self.order]
        return self.is_target[self.order], self.weight[self.order], np.cumsum(np.diff(score, prepend=score[0]) != 0)

    def auc(self, times: np.ndarray | None = None) -> float:
        """How often a target row scores above a source row, half for a tie; rows count ``times`` their weight."""
        target, weight, tied = self._sorted
        if times is not None:
            weight = weight * times[self.order]
        ours = weight[target]
        source = np.bincount(tied, weight * ~target)
        below = np.cumsum(source) - source / 2
        return float((ours * below[tied[target]]).sum() / max(source.sum() * ours.sum(), 1e-12))


def kind(rows: Rows, seed: int = 0, moved: float = 0.0) -> Kind:
    """The kind of shift by the rule above.

    Args:
        rows: of both domains.
        seed: of the folds and replicates.
        moved: how far the estimated class shares are from the source's (total variation) where a test has shown that
            the domains differ at all, else 0: of classes that look alike other shares move the looks but little.
    """
    rng = generator(seed, "kind")
    n, m = len(rows.source), len(rows.target)
    is_target = np.repeat([False, True], [n, m])
    features = _curved(np.concatenate([rows.source, rows.target]))
    owner = np.unique(np.arange(n + m) if rows.content is None else rows.content, return_inverse=True)[1]
    fold = rng.permutation(owner.max() + 1)[owner] % FOLDS  # or a row would be known by its copy
    whole = _seen(features, is_target, np.ones(n + m), fold)
    found: dict[str, Seen] = {"whole": whole}
    strange = novel = mates = None
    if rows.targets is not None:
        novel, mates = far(rows)
        assert rows.held is not None
        same = np.concatenate([_share_weights(rows, np.ones(m, dtype=bool)), np.ones(m)])
        found["same"] = _seen(features, is_target, same, fold)
        near = np.concatenate([_share_weights(rows, ~novel[n:]), np.ones(m)]) * ~novel
        found["near"] = _seen(features, is_target, near, fold)
        strange = _strange(rows, features, is_target, fold)
    drawn = [_rule(*_redrawn(rng, found, novel, mates, strange, n, m), moved) for _ in range(REPLICATES)]
    said = {name: drawn.count(name) / REPLICATES for name in NAMES}
    name = max(NAMES, key=lambda one: said[one])
    excess = None if novel is None else _excess(float(novel[:n].mean()), float(novel[n:].mean()))
    return Kind(
        name=name,
        confidence=said[name],
        probabilities=said,
        auc=whole.auc(),
        auc_same_shares=found["same"].auc() if "same" in found else None,
        auc_without_far=found["near"].auc() if "near" in found else None,
        far=excess,
        excess_error=None if strange is None else strange.excess(),
    )


def far(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Which rows, source and then target, are further from the source than is usual ``[n + m]`` bool.

    The distance is to the fifth nearest other row of the source: Sun et al., Out-of-Distribution Detection with Deep
    Nearest Neighbors, ICML 2022. Beyond the 90 % quantile of the source's own distances it is unusual. And which rows
    of the target ``[m]`` are so and nearer to others that are so than to the source: noise moves rows away from
    everything, a new class from the source alone.
    """
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBOURS, len(rows.source) - 1)
    search = NearestNeighbors(n_neighbors=count + 1).fit(rows.source)
    own = search.kneighbors(rows.source)[0][:, count]  # the nearest one is the row itself
    others = search.kneighbors(rows.target)[0][:, count - 1]
    novel = np.concatenate([own, others]) > np.quantile(own, USUAL)
    gone = np.flatnonzero(novel[len(own) :])
    mates = np.zeros(len(others), dtype=bool)
    if len(gone) > NEIGHBOURS:
        among = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(rows.target[gone])
        mates[gone] = among.kneighbors(rows.target[gone])[0][:, NEIGHBOURS] < others[gone]
    return novel, mates


def _share_weights(rows: Rows, kept: np.ndarray) -> np.ndarray:
    """Weights of the source's rows ``[n]`` that give it the class shares estimated on the ``kept`` target rows."""
    assert rows.targets is not None and rows.held is not None
    assert rows.source_answers is not None and rows.target_answers is not None
    if kept.sum() < NEIGHBOURS:
        return np.ones(len(rows.targets))
    logs = [np.log(np.maximum(side, 1e-12)) for side in (rows.source_answers, rows.target_answers[kept])]
    heat, bias = calibrate(logs[0], rows.targets[rows.held])
    old, new = (soften(side, heat, bias) for side in logs)
    prior = np.bincount(rows.targets, minlength=old.shape[1]) / len(rows.targets)
    return weights(mlls(new, old.mean(axis=0), 1e-6), prior)[rows.targets]


def _curved(values: np.ndarray) -> np.ndarray:
    """Values and their squares: a change of spread moves no mean."""
    return np.concatenate([values, np.clip(np.square(values), 0, 9)], axis=1)


def _seen(features: np.ndarray, is_target: np.ndarray, weight: np.ndarray, fold: np.ndarray) -> Seen:
    """A logistic regression on weighted rows, out of fold; both sides weigh the same."""
    weight = np.where(is_target, weight / max(weight[is_target].sum(), 1e-12), weight / weight[~is_target].sum())
    weight = weight * len(weight) / 2
    score = np.zeros(len(is_target))
    for held in np.unique(fold):
        train = (fold != held) & (weight > 0)
        if len(set(is_target[train])) < 2:
            continue
        slope, odds = logistic(features[train], is_target[train], PENALTY, weight[train])
        score[fold == held] = features[fold == held] @ slope + odds
    return Seen(score, is_target, weight, np.argsort(score, kind="stable"))


@dataclass(frozen=True)
class Strange:
    """Errors of the source's classifier where both domains have rows.

    Under a covariate shift its error is the same on source and target rows that are weighted to look alike, here by
    overlap weights: Li, Morgan & Zaslavsky, Balancing Covariates via Propensity Score Weighting, JASA 2018.
    """

    wrong: np.ndarray
    is_target: np.ndarray
    weight: np.ndarray
    rows: np.ndarray

    def excess(self, times: np.ndarray | None = None) -> float:
        """Weighted error on the target minus that on the source."""
        weight = self.weight if times is None else self.weight * times[self.rows]
        errors = [
            float((self.wrong * weight)[side].sum() / max(weight[side].sum(), 1e-12))
            for side in (self.is_target, ~self.is_target)
        ]
        return errors[0] - errors[1]


def _strange(rows: Rows, features: np.ndarray, is_target: np.ndarray, fold: np.ndarray) -> Strange | None:
    """The errors on permitted target rows and on held-out source rows, or None while labels are sealed."""
    if rows.permitted is None or rows.targets is None or rows.held is None:
        return None
    assert rows.source_answers is not None and rows.target_answers is not None
    known = rows.permitted >= 0
    classes = rows.source_answers.shape[1]
    prior = np.bincount(rows.targets, minlength=classes) / len(rows.targets)
    there = (np.bincount(rows.permitted[known], minlength=classes) + prior) / (known.sum() + 1)
    shares = weights(there, prior)[rows.targets]
    seen = _seen(features, is_target, np.concatenate([shares, np.ones(len(known))]), fold)
    like_target = 1 / (1 + np.exp(-np.clip(seen.score, -30, 30)))
    n = len(rows.source)
    used = np.concatenate([np.flatnonzero(rows.held), n + np.flatnonzero(known)])
    wrong = [rows.source_answers.argmax(axis=1) != rows.targets[rows.held]]
    wrong.append(rows.target_answers[known].argmax(axis=1) != rows.permitted[known])
    weight = np.concatenate([(like_target[:n] * shares)[rows.held], (1 - like_target[n:])[known]])
    return Strange(np.concatenate(wrong), is_target[used], weight, used)


def _redrawn(
    rng: np.random.Generator,
    found: Mapping[str, Seen],
    novel: np.ndarray | None,
    mates: np.ndarray | None,
    strange: Strange | None,
    n: int,
    m: int,
) -> tuple[Mapping[str, float], float, float, float]:
    """AUCs, share of far rows, excess error and the factor of thresholds of one replicate."""
    times = np.concatenate([np.bincount(rng.integers(k, size=k), minlength=k) for k in (n, m)]).astype(float)
    aucs = {name: seen.auc(times) for name, seen in found.items()}
    excess, error = 0.0, 0.0
    if novel is not None and mates is not None:
        excess = _excess(float(novel[:n] @ times[:n] / n), float(novel[n:] @ times[n:] / m))
        excess *= float(mates @ times[n:]) > float((novel[n:] & ~mates) @ times[n:])
    if strange is not None:
        error = strange.excess(times)
    return aucs, excess, error, float(2 ** rng.uniform(-1, 1))


def _excess(usual: float, here: float) -> float:
    """The share of rows that are far for another reason than chance."""
    return max(0.0, (here - usual) / max(1 - usual, 1e-12))


def _rule(aucs: Mapping[str, float], excess: float, error: float, factor: float, moved: float) -> Name:
    """The first explanation that accounts for the gap."""
    gap = aucs["whole"] - 0.5
    allowed = factor * max(SEEN, LEFT * gap)
    if error > factor * WRONG:
        return "concept"
    if gap <= factor * SEEN and moved <= factor * MOVED:
        return "none"
    if "same" not in aucs:
        return "covariate"
    if aucs["same"] - 0.5 <= allowed:
        return "label"
    if factor * FAR < excess < MOST and aucs["near"] - 0.5 <= max(allowed, factor * gap / 2):
        return "new_classes"
    return "covariate"
