"""The pieces of label shift: class shares of unlabelled rows, and answers corrected for them.

Under label shift ``p(x | y)`` is the same everywhere and only the shares ``p(y)`` differ. Then::

    heat, bias = calibrate(logits_validation, targets_validation)
    source, target = soften(logits_validation, heat, bias), soften(logits_target, heat, bias)
    shares = mlls(target, source.mean(axis=0))
    answers = correct(target, weights(shares, source.mean(axis=0)))

`soften`, `calibrate` and `mlls` also take many replicates at once, in leading axes ``...``.
"""

from __future__ import annotations

import numpy as np

LOWEST, HIGHEST = 0.05, 20.0
PRIOR = 0.5
"""Deviation of the normal prior on log T and on each bias: a dozen rows outweigh it."""
FLOOR = 1e-4
"""Least weight of a class: one that seems absent may still come."""


def soften(logits: np.ndarray, heat: float | np.ndarray, bias: np.ndarray | float = 0.0) -> np.ndarray:
    """``softmax(logits / T + b)``, ``[..., n, classes]`` float64."""
    heat, bias = np.asarray(heat, dtype=np.float64), np.atleast_1d(bias)
    answers = np.asarray(logits, dtype=np.float64) / heat[..., None, None]
    answers += bias[..., None, :]
    answers -= answers.max(axis=-1, keepdims=True)
    np.exp(answers, out=answers)
    answers /= answers.sum(axis=-1, keepdims=True)
    return answers


def calibrate(logits: np.ndarray, targets: np.ndarray, *, bias: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The T and b of ``softmax(logits / T + b)`` with the best likelihood: bias-corrected temperature scaling.

    Without the biases the mean answer is not the classes' shares, and `mlls` takes the difference for a shift.
    Alexandari et al., Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation,
    ICML 2020, section 2.1; with a normal prior on log T and b, for few rows.

    Args:
        logits: ``[..., n, classes]`` of held-out labelled rows.
        targets: ``[..., n]`` class indices.
        bias: False leaves b at 0 (plain temperature scaling).

    Returns:
        T ``[...]`` between 0.05 and 20, and b ``[..., classes]``.
    """
    from scipy.optimize import minimize

    logits = np.asarray(logits, dtype=np.float64)
    *lead, _, classes = logits.shape
    right = np.asarray(targets)[..., None]
    free = classes if bias else 0

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        values = flat.reshape(*lead, 1 + free)
        heat = np.exp(values[..., 0])
        answers = soften(logits, heat, values[..., 1:] if bias else 0.0)
        likely = np.take_along_axis(answers, right, axis=-1)
        loss = -np.log(np.maximum(likely, np.finfo(float).tiny)).sum()
        np.put_along_axis(answers, right, likely - 1, axis=-1)
        slope = [-((answers * logits).sum(axis=(-2, -1)) / heat)[..., None], *([answers.sum(axis=-2)] if bias else [])]
        return float(loss + (flat**2).sum() / (2 * PRIOR**2)), np.concatenate(slope, axis=-1).ravel() + flat / PRIOR**2

    bounds = [(np.log(LOWEST), np.log(HIGHEST)), *[(None, None)] * free] * int(np.prod(lead))
    start = np.zeros(len(bounds))  # replicates share no parameter: the best sum is each one's best
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x.reshape(*lead, 1 + free)
    return np.exp(found[..., 0]), found[..., 1:] if bias else np.zeros((*lead, classes))


def mlls(probabilities: np.ndarray, source_shares: np.ndarray, tolerance: float = 1e-8, most: int = 2000) -> np.ndarray:
    """The class shares under which the answers on the target are likeliest, by expectation maximisation.

    ``q <- mean_i (p_i q / s) / sum_k(p_ik q_k / s_k)`` from ``q = s``: each step corrects the answers for the shares
    found so far and takes their mean; the likelihood is concave, so there is one maximum.
    Saerens et al., Adjusting the Outputs of a Classifier to New a Priori Probabilities, 2002, eq. 2.9.

    Args:
        probabilities: calibrated answers on the target ``[..., m, classes]``.
        source_shares: ``s`` ``[..., classes]``, the mean calibrated answer on the source's held-out rows.
        tolerance: largest change of a share at which it ends.
        most: steps at most.

    Returns:
        ``q`` ``[..., classes]``, sums to 1.
    """
    shares = np.asarray(source_shares, dtype=np.float64)
    known = shares > 0
    prior, rows = np.where(known, shares, 1.0), probabilities.shape[-2]
    for _ in range(most):
        ratio = np.where(known, shares / prior, 1.0)
        said = 1 / (probabilities @ ratio[..., None])
        found = ratio * (said.swapaxes(-2, -1) @ probabilities)[..., 0, :] / rows  # the mean of `correct`
        moved = np.abs(found - shares).max()
        shares = found
        if moved < tolerance:
            break
    return shares


def bbse(source_probabilities: np.ndarray, source_targets: np.ndarray, target_probabilities: np.ndarray) -> np.ndarray:
    """The class shares that explain the mean answer on the target through the source's confusion matrix.

    ``C w = mu`` with ``C_ij`` the mean of answer i over held-out source rows of class j (times their share) and
    ``mu_i`` the mean answer i on the target. Solved as ``min ||C w - mu||^2 + r ||w - 1||^2`` with ``w >= 0``: where
    the matrix tells classes apart badly or rows are few, the weights stay near 1 and never explode.
    ``r = (1/n + 1/m) / classes`` is the answers' sampling variance, against a prior deviation of 1 for the weights.

    Lipton et al., Detecting and Correcting for Label Shift with Black Box Predictors, ICML 2018 (soft answers);
    regularised as in Azizzadenesheli et al. (RLLS), ICLR 2019.

    Args:
        source_probabilities: ``[n, classes]`` on held-out source rows.
        source_targets: ``[n]`` their class indices.
        target_probabilities: ``[m, classes]``.

    Returns:
        Shares ``[classes]``, sum to 1; 0 for a class without held-out rows.
    """
    from scipy.optimize import nnls

    n, classes = source_probabilities.shape
    of = np.eye(classes)[source_targets]
    confusion = source_probabilities.T @ of / n
    pull = np.sqrt((1 / n + 1 / len(target_probabilities)) / classes)
    left = np.vstack([confusion, pull * np.eye(classes)])
    right = np.concatenate([target_probabilities.mean(axis=0), np.full(classes, pull)])
    found = nnls(left, right)[0] * of.mean(axis=0)
    return found / found.sum()


def weights(shares: np.ndarray, source_shares: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """``shares / source_shares`` ``[classes]``, at least ``floor``; 1 for a class that the source has no rows of."""
    known = source_shares > 0
    return np.where(known, np.maximum(shares / np.where(known, source_shares, 1.0), floor), 1.0)


def correct(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Answers under other class shares, ``p w / sum(p w)``, ``[n, classes]`` (Saerens et al. 2002, eq. 2.4)."""
    scaled = probabilities * weights
    return scaled / scaled.sum(axis=1, keepdims=True)
