"""Which rows to label next, and what labels buy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acclimate.seeds import generator
from acclimate.selection.validators.certainty import row_entropy

SIZES = (10, 20, 50, 100, 200, 500, 1000)
"""Numbers of labels at which a learning curve is measured."""
REPEATS = 10
"""Draws of labelled rows for each."""
REPLICATES = 200
"""Curves of the bootstrap."""
MOST = 100_000
"""More labels than that are beyond any curve."""


def disagreement(arms: Mapping[str, np.ndarray]) -> np.ndarray:
    """How little the arms agree on each row, ``[n]``; 0 where they say the same.

    For probabilities ``[n, classes]`` it is the mutual information of answer and arm, ``H(mean_a p_a) - mean_a H(p_a)``
    in nats: high where arms are sure of different answers, low where all of them are unsure, as labels cannot mend
    that. Houlsby et al., Bayesian Active Learning for Classification and Preference Learning (BALD), 2011, with arms in
    the place of draws from a posterior; the soft form of query by committee (Seung et al., COLT 1992). For numbers
    ``[n]``, the variance over arms. A single arm disagrees with nobody: then it is its own entropy, or 1 for numbers.

    Args:
        arms: calibrated probabilities or numbers on the same rows.
    """
    answers = np.stack([np.asarray(values, dtype=np.float64) for values in arms.values()])
    if answers.ndim == 2:
        return answers.var(axis=0) if len(answers) > 1 else np.ones(answers.shape[1])
    if len(answers) == 1:
        return row_entropy(answers[0])
    return np.maximum(row_entropy(answers.mean(axis=0)) - row_entropy(answers).mean(axis=0), 0.0)


def informative(weights: np.ndarray, features: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """The ``n`` rows that teach most: disputed ones, far from each other; ``[n]`` indices, the first ones first.

    k-means++ seeding: the most disputed row first, then rows drawn with a probability that grows with their weight and
    with the squared distance of their feature's direction to the nearest one that is taken. Rows that nobody disputes,
    and those like a taken one, are hardly drawn. After Ash et al., Deep Batch Active Learning by Diverse, Uncertain
    Gradient Lower Bounds (BADGE), ICLR 2020, where the length of a gradient stands for the weight.

    Args:
        weights: ``[m]``, 0 or more.
        features: ``[m, d]``.
        n: how many; all rows if there are fewer.
        seed: of the draws.
    """
    n = min(n, len(weights))
    rows = np.asarray(features, dtype=np.float64) - np.mean(features, axis=0)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths > 0, lengths, 1.0)
    random = generator(seed, "informative")
    taken = [int(np.argmax(weights))]
    nearest = np.full(len(rows), np.inf)
    while len(taken) < n:
        nearest = np.minimum(nearest, np.square(rows - rows[taken[-1]]).sum(axis=1))
        nearest[taken] = 0.0
        chances = weights * np.where(nearest > 1e-12, nearest, 0.0)
        if not chances.any():  # nothing new is left: take what is disputed most
            chances = np.where(np.isin(np.arange(len(rows)), taken), 0.0, weights + 1e-12)
        taken.append(int(random.choice(len(rows), p=chances / chances.sum())))
    return np.array(taken)


@dataclass(frozen=True)
class Curve:
    """Error against number of labels, and the power laws ``a + b n^-c`` fitted to it.

    Attributes:
        sizes: numbers of labels.
        errors: mean error at each.
        laws: a, b, c of the fit to the means, then of the bootstrap over draws, ``[1 + replicates, 3]``.
    """

    sizes: tuple[int, ...]
    errors: tuple[float, ...]
    laws: np.ndarray

    def labels(self, error: float) -> np.ndarray:
        """How many labels each law needs for this error, ``[1 + replicates]``; infinite where it never gets there."""
        a, b, c = self.laws.T
        reachable = a < error
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            found = (b / np.where(reachable, error - a, np.nan)) ** (1 / c)
        return np.where(reachable & (found < MOST), np.maximum(found, 1.0), np.inf)


def learning_curve(
    fit: Callable[[np.ndarray], float], labels: np.ndarray, seed: int = 0, sizes: Sequence[int] = SIZES
) -> Curve | None:
    """The error of a model that learns from n labelled rows, for growing n.

    Draws are without replacement and hold at least two classes. The law is that of Hestness et al., Deep Learning
    Scaling is Predictable, Empirically, 2017; the interval is a bootstrap over draws, which does not know that the rows
    that errors are counted on are few.

    Args:
        fit: training rows (indices) to the error on rows that are held out.
        labels: ``[m]`` of the training rows.
        seed: of the draws.
        sizes: numbers of labels; those beyond m are left out.

    Returns:
        None where fewer than three sizes fit.
    """
    kept = [size for size in sizes if size <= len(labels)]
    if len(kept) < 3 or len(np.unique(labels)) < 2:
        return None
    random = generator(seed, "learning curve")
    errors = np.array([[fit(_draw(labels, size, random)) for _ in range(REPEATS)] for size in kept])
    laws = [_law(kept, errors.mean(axis=1))]
    for _ in range(REPLICATES):
        drawn = random.integers(REPEATS, size=errors.shape)
        laws.append(_law(kept, np.take_along_axis(errors, drawn, axis=1).mean(axis=1)))
    return Curve(tuple(kept), tuple(float(error) for error in errors.mean(axis=1)), np.array(laws))


def _draw(labels: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Rows of two classes at least: one row is exchanged where all are of one."""
    rows = random.permutation(len(labels))
    taken = rows[:size]
    if len(np.unique(labels[taken])) < 2:
        other = next(row for row in rows if labels[row] != labels[taken[0]])
        taken = np.append(taken[:-1], other)
    return taken


def _law(sizes: Sequence[int], errors: np.ndarray) -> tuple[float, float, float]:
    """Least squares over a grid of c; a and b are not negative."""
    from scipy.optimize import nnls

    best: tuple[float, tuple[float, float, float]] | None = None
    for c in np.linspace(0.1, 1.5, 29):
        design = np.stack([np.ones(len(sizes)), np.asarray(sizes, dtype=float) ** -c], axis=1)
        (a, b), miss = nnls(design, np.asarray(errors, dtype=float))
        if best is None or miss < best[0]:
            best = float(miss), (float(a), float(b), float(c))
    assert best is not None
    return best[1]


def worth(curve: Curve, error: tuple[float, float, float]) -> tuple[float, float, float]:
    """How many labels reach an error: the best guess, and the lower and upper end of an interval.

    Args:
        curve: of errors.
        error: best guess, lowest and highest plausible one.

    Returns:
        Numbers of labels; infinite where the curve never gets there.
    """
    middle, low, high = error
    few, many = curve.labels(high)[1:], curve.labels(low)[1:]
    return (
        float(curve.labels(middle)[0]),
        float(np.quantile(few, 0.05, method="lower")),
        float(np.quantile(many, 0.95, method="higher")),
    )
