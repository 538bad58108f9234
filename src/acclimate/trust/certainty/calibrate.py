"""Temperature scaling: one number that makes an arm's confidence fit, on the source or, without its labels, the target.

Three ways to the number: held-out source rows as they are (`temperature`), weighted towards the target (the same with
weights), and the target's own confidences held against its estimated accuracy (`transcal`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acclimate.trust.certainty.overlap import effective

LOWEST, HIGHEST = 0.05, 20.0
PRIOR = 0.5


def temperature(
    logits: np.ndarray, targets: np.ndarray, prior: float = PRIOR, weights: np.ndarray | None = None
) -> float:
    """The T in ``softmax(logits / T)`` with the best likelihood; 1 if there are no rows.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2, with a normal prior on
    log T (mean 0, deviation 0.5). The prior weighs as much as a dozen rows, so it matters only where the
    likelihood says little: few rows, or rows that are all right (T would run to 0).

    With weights ``p_target(x) / p_source(x)`` it is the target's likelihood that is best, under covariate shift: Park,
    Bastani, Weimer & Lee, Calibrated Prediction with Covariate Shift via Unsupervised Domain Adaptation, AISTATS 2020,
    eq. 5. Rows then count as many as their weights are worth. Hurts where the domains hardly overlap.

    Args:
        logits: ``[n, classes]``; rows that are not finite are left out.
        targets: ``[n]`` class indices.
        prior: deviation of log T; larger where the scale of the logits means nothing by itself.
        weights: ``[n]``, None for ones.

    Returns:
        T between 0.05 and 20.
    """
    from scipy.optimize import minimize_scalar

    logits = np.asarray(logits, dtype=float)
    usable = np.isfinite(logits).all(axis=1)
    logits, targets = logits[usable], np.asarray(targets)[usable]
    if len(logits) == 0:
        return 1.0
    weights = np.ones(len(logits)) if weights is None else weights[usable]
    weights = weights * effective(weights) / weights.sum()
    margins = logits - logits[np.arange(len(targets)), targets][:, None]

    def objective(log_temperature: float) -> float:
        scaled = margins / np.exp(log_temperature)
        top = scaled.max(axis=1)
        loss = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float(weights @ loss + (log_temperature / prior) ** 2 / 2)

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    found = minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.clip(np.exp(found.x), LOWEST, HIGHEST))


def transcal(target_logits: np.ndarray, weights: np.ndarray, wrong: np.ndarray, source_confidence: float) -> float:
    """The T with which the target's mean confidence is its estimated accuracy: TransCal.

    The accuracy is estimated from source rows weighted by ``w^lambda`` (less variance, more bias), with two control
    variates in a row: the mean of the weights, which is 1, and the source's accuracy, which is its confidence once
    calibrated. T and lambda are found together, from T = 2 and lambda = 0.5, with T at least 1 and lambda in [0, 1], as
    in the authors' program; many pairs fit equally well, so the start decides among them.

    Helps where a model is overconfident on the target and weights are not degenerate. Hurts where the target is easier
    than the source (T cannot fall below 1).

    Wang, Long, Wang & Jordan, Transferable Calibration with Lower Bias and Variance in Domain Adaptation, NeurIPS 2020,
    section 3, eq. 5 to 9.

    Args:
        target_logits: ``[m, classes]``.
        weights: ``[n]`` of held-out source rows, ``p_target(x) / p_source(x)``.
        wrong: ``[n]`` whether the answers on these are wrong.
        source_confidence: their mean confidence after calibration on the source.

    Returns:
        T between 1 and 20.
    """
    from scipy.optimize import minimize

    logits, wrong = np.asarray(target_logits, dtype=float), np.asarray(wrong, dtype=float)

    def gap(values: np.ndarray) -> float:
        confidence = softmax(logits / values[0]).max(axis=1).mean()
        return float(abs(confidence - (1 - _target_error(weights ** values[1], wrong, source_confidence))))

    found = minimize(gap, np.array([2.0, 0.5]), method="SLSQP", bounds=((1.0, HIGHEST), (0.0, 1.0)))
    return float(np.clip(found.x[0], 1.0, HIGHEST))


def _target_error(weights: np.ndarray, wrong: np.ndarray, source_confidence: float) -> float:
    """The weighted error with serial control variates (TransCal, eq. 8)."""
    weighted, right = weights * wrong, 1 - wrong
    first = -_slope(weighted, weights)
    second = -_slope(weighted + first * (weights - 1), right)
    return float(weighted.mean() + first * (weights.mean() - 1) + second * (right.mean() - source_confidence))


def _slope(values: np.ndarray, of: np.ndarray) -> float:
    """Covariance over variance; 0 where nothing varies."""
    spread = ((of - of.mean()) ** 2).mean()
    return float(((values - values.mean()) * (of - of.mean())).mean() / spread) if spread > 0 else 0.0


def softmax(logits: np.ndarray) -> np.ndarray:
    """``[n, classes]`` probabilities, float64."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Bin:
    """Rows whose confidence is in one interval.

    Attributes:
        low: of the interval, exclusive.
        high: inclusive.
        rows: how many.
        confidence: their mean.
        accuracy: of their answers.
    """

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> tuple[float, tuple[Bin, ...]]:
    """The expected calibration error, and the bins of a reliability diagram that have rows.

    ``sum_b n_b / n |accuracy_b - confidence_b|`` over bins of equal width: Guo et al. 2017, eq. 3. It is biased upwards
    with few rows in a bin.

    Args:
        confidence: ``[n]`` in 0 to 1.
        right: ``[n]`` bool.
        bins: how many.
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for k in np.unique(place):
        here = place == k
        found.append(
            Bin(k / bins, (k + 1) / bins, int(here.sum()), float(confidence[here].mean()), float(right[here].mean()))
        )
    return sum(b.rows * abs(b.accuracy - b.confidence) for b in found) / max(len(confidence), 1), tuple(found)
