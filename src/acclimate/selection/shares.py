"""The target's class shares: estimated from answers, stated by a person, and what stating them changes.

Answers are calibrated probabilities ``[n, classes]``; those of the source are on held-out labelled rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acclimate.errors import SettingsError, unknown
from acclimate.methods.label_shift.pieces import bbse, calibrate, correct, mlls, soften, weights
from acclimate.seeds import generator
from acclimate.selection.bootstrap import fewest_units

FLOOR = 1e-4
"""Least share that answers are matched to: a class that is said to be absent may still come."""
SLACK = 0.3
"""By what part of itself a share that a person states may be wrong; chosen on development cells of the atlas."""
TINY = 1e-12
ROUGH = 0.1
"""How far from 1 stated shares may add up."""
AGREED = 0.05
"""Total variation up to which two estimates are the same for every purpose."""
WIDEST = 0.4
"""An interval of a share wider than this says nothing of use."""
AT_ONCE = 30_000
"""Answers times classes of the replicates that are estimated together: few rows cost no more than calls."""
MISFIT = 0.01
"""How often answers that are a mixture of the source's may be found to be none."""


@dataclass(frozen=True)
class Shares:
    """Estimated class shares of the target; each array is ``[classes]``.

    Attributes:
        source: of the held-out source rows.
        mlls: by maximum likelihood.
        bbse: by the confusion matrix.
        low: of both estimators' 95 % intervals the lower bound; None with fewer than 6 rows.
        high: likewise the upper one.
        doubts: why these are not to be relied upon, sentences; empty if nothing speaks against them.
    """

    source: np.ndarray
    mlls: np.ndarray
    bbse: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    doubts: tuple[str, ...]


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Total variation of two lists of shares: 0 (equal) to 1 (no class in common)."""
    return float(np.abs(one - other).sum() / 2)


def stated(shares: Mapping[str, float], classes: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Stated shares in the order of the classes, summing to 1, and a remark if they did not: percents, or rounded.

    Raises:
        SettingsError: an unknown class, a class without a share, or shares that cannot be.
    """
    for name in shares:
        if name not in classes:
            raise SettingsError(f"target_shares: {unknown('class', name, classes)}")
    missing = [name for name in classes if name not in shares]
    if missing:
        raise SettingsError(f"target_shares: no share for {', '.join(missing)}; every class needs one, 0 if it is rare")
    values = np.array([shares[name] for name in classes], dtype=float)
    total = float(values.sum())
    if not (np.isfinite(values).all() and (values >= 0).all() and total > 0):
        raise SettingsError(f"target_shares: shares are numbers of at least 0, some above; found {dict(shares)}")
    if abs(total - 1) <= 1e-6:
        return values / total, ()
    if values.max() <= 1 and abs(total - 1) > ROUGH:
        raise SettingsError(f"target_shares sum to {total:.4g}, not to 1; found {dict(shares)}")
    told = ", ".join(f"{name} {share:.3f}" for name, share in zip(classes, values / total, strict=True))
    return values / total, (f"target_shares sum to {total:.4g}, not to 1; taken as {told}",)


def match(probabilities: np.ndarray, shares: np.ndarray, slack: float = 0.0) -> np.ndarray:
    """Offsets ``b`` under which the mean answer is nearly the shares: mean of ``softmax(log p + b)`` within
    ``shares * (1 +- slack)``.

    ``min_b mean_i logsumexp_k(log p_ik + b_k) - sum_k q_k b_k + slack * sum_k q_k |b_k|``, convex; the dual of the
    answers nearest to ``p`` in Kullback-Leibler divergence whose mean lies in that box. Under pure label shift, with
    calibrated answers and without slack ``b`` is ``log(q / s)``, the correction of Saerens et al. 2002; unlike that one
    it does not rest on the source's prior, and also undoes a bias towards a class that the change of domain brought.
    Liusie et al., Mitigating Word Bias in Zero-shot Prompt-based Classifiers, AACL 2023, call it prior matching. The
    slack is for shares that are known roughly: answers that fit them well enough stay as they are.

    Args:
        probabilities: calibrated answers on the target ``[n, classes]``.
        shares: ``q`` ``[classes]``, sums to 1.
        slack: by what part of itself each share may be wrong.

    Returns:
        ``b`` ``[classes]``, mean 0, between -9.2 and 9.2.
    """
    from scipy.optimize import minimize

    wanted = np.maximum(shares, FLOOR) / np.maximum(shares, FLOOR).sum()
    logs = np.log(np.maximum(probabilities, TINY))

    def objective(halves: np.ndarray) -> tuple[float, np.ndarray]:
        up, down = np.split(halves, 2)
        raised = logs + up - down
        top = raised.max(axis=1, keepdims=True)
        powers = np.exp(raised - top)
        sums = powers.sum(axis=1, keepdims=True)
        loss = float((top + np.log(sums)).mean() - wanted @ (up - down) + slack * (wanted @ (up + down)))
        excess = (powers / sums).mean(axis=0) - wanted
        return loss, np.concatenate([excess, -excess]) + slack * np.tile(wanted, 2)

    bounds = [(0.0, -np.log(FLOOR))] * (2 * len(wanted))
    options = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 500}
    start = np.zeros(2 * len(wanted))
    up, down = np.split(minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x, 2)
    found = up - down
    return np.clip(found - found.mean(), np.log(FLOOR), -np.log(FLOOR))


def fit(probabilities: np.ndarray, shares: np.ndarray) -> float:
    """How well answers fit stated shares: 1 minus the distance of the answered classes' shares from them.

    Of answers that were `match`-ed the mean fits; their likeliest classes do if the model tells classes apart.
    """
    said = np.bincount(probabilities.argmax(axis=1), minlength=len(shares)) / len(probabilities)
    return 1.0 - distance(said, shares)


def estimate(
    source: np.ndarray, targets: np.ndarray, target: np.ndarray, replicates: int = 100, seed: int = 0
) -> Shares:
    """The target's class shares by two estimators, with intervals and with what speaks against them.

    Answers are first calibrated with a bias for each class on the source (Alexandari et al. 2020). The intervals are
    those of the rows' sampling (percentile bootstrap of both sides) *if only class shares changed*. If the looks
    changed too, the estimates can be wrong by far more, and no interval tells that; three things are looked at that
    may: estimators that differ, intervals of no use, and answers whose distribution is no mixture of those that the
    source's classes get (Kolmogorov-Smirnov, each class's probability).

    Args:
        source: answers ``[n, classes]`` on held-out source rows.
        targets: ``[n]`` their class indices.
        target: answers ``[m, classes]``.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    logs = [np.log(np.maximum(np.asarray(side, dtype=float), TINY)) for side in (source, target)]

    def both(here: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        heat, bias = calibrate(logs[0][here], targets[here])
        old, new = soften(logs[0][here], heat, bias), soften(logs[1][there], heat, bias)
        confused = np.stack([bbse(*one) for one in zip(old, targets[here], new, strict=True)])
        return mlls(new, old.mean(axis=-2), 1e-5, 300), confused, old, new

    n, m, classes = len(source), len(target), source.shape[1]
    likely, confused, old, new = (one[0] for one in both(np.arange(n)[None], np.arange(m)[None]))
    prior = np.bincount(targets, minlength=classes) / n
    if min(n, m) < fewest_units():
        return Shares(prior, likely, confused, None, None, (f"too few rows: {n} of the source, {m} of the target",))
    rng = generator(seed, "shares")
    drawn = [(rng.integers(n, size=n), rng.integers(m, size=m)) for _ in range(replicates)]
    at_once = max(1, AT_ONCE // (max(n, m) * classes))
    parts = [drawn[k : k + at_once] for k in range(0, replicates, at_once)]
    each = [both(*(np.stack(side) for side in zip(*part, strict=True)))[:2] for part in parts]
    draws = np.concatenate([np.stack(two, axis=1) for two in each])
    low, high = (np.quantile(draws, q, axis=0) for q in (0.025, 0.975))
    low, high = low.min(axis=0), high.max(axis=0)
    gaps = draws[:, 0] - draws[:, 1]
    noise = float(np.quantile(np.abs(gaps - (likely - confused)).sum(axis=1) / 2, 0.99))
    doubts = []
    if distance(likely, confused) > max(noise, AGREED):
        doubts.append(
            f"the two estimates differ by {distance(likely, confused):.2f}, more than chance does ({noise:.2f})"
        )
    if float((high - low).max()) > WIDEST:
        doubts.append(f"an interval is {float((high - low).max()):.2f} wide")
    if _strange(old, new, weights(likely, prior)[targets]):
        doubts.append("the answers are no mixture of those that the source's classes get: more than shares changed")
    return Shares(prior, likely, confused, low, high, tuple(doubts))


def plausible(shares: Shares) -> list[np.ndarray]:
    """Shares between which the estimates cannot tell: each class lowest and highest, the others in proportion.

    Where there are doubts the bounds also take in the two estimates and the source's own shares.
    """
    known = [shares.mlls, shares.bbse] + ([shares.source] if shares.doubts else [])
    bounds = [np.min([*known, *([] if shares.low is None else [shares.low])], axis=0)]
    bounds.append(np.max([*known, *([] if shares.high is None else [shares.high])], axis=0))
    found = []
    for k in range(len(shares.mlls)):
        for bound in bounds:
            others = np.maximum(np.delete(shares.mlls, k), FLOOR)
            found.append(np.insert(others / others.sum() * (1 - bound[k]), k, bound[k]))
    return found


def hinge(probabilities: np.ndarray, shares: Sequence[np.ndarray]) -> float:
    """The share of rows whose likeliest class is not the same under all of these shares: what knowing them is worth."""
    said = [correct(probabilities, np.exp(match(probabilities, one))).argmax(axis=1) for one in shares]
    return float((np.array(said) != said[0]).any(axis=0).mean())


def _strange(source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> bool:
    """Whether a class's probability on the target is distributed unlike on the weighted source rows."""
    rows = 1 / (np.square(weight).sum() / weight.sum() ** 2 + 1 / len(target))
    allowed = np.sqrt(-np.log(MISFIT / source.shape[1] / 2) / 2 / rows)
    return any(_apart(old, new, weight) > allowed for old, new in zip(source.T, target.T, strict=True))


def _apart(old: np.ndarray, new: np.ndarray, weight: np.ndarray) -> float:
    """The Kolmogorov-Smirnov distance of two samples, the first one weighted."""
    at = np.sort(np.concatenate([old, new]))
    order = np.argsort(old)
    sums = np.concatenate([[0.0], np.cumsum(weight[order])]) / weight.sum()
    below = np.searchsorted(np.sort(new), at, side="right") / len(new)
    return float(np.abs(sums[np.searchsorted(old[order], at, side="right")] - below).max())
