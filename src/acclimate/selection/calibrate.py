"""Temperature scaling: one number that makes an arm's confidence fit the source's validation rows."""

from __future__ import annotations

import numpy as np

LOWEST, HIGHEST = 0.05, 20.0
PRIOR = 0.5


def temperature(logits: np.ndarray, targets: np.ndarray, prior: float = PRIOR) -> float:
    """The T in ``softmax(logits / T)`` with the best likelihood; 1 if there are no rows.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2, with a normal prior on
    log T (mean 0, deviation 0.5). The prior weighs as much as a dozen rows, so it matters only where the
    likelihood says little: few rows, or rows that are all right (T would run to 0).

    Args:
        logits: ``[n, classes]``; rows that are not finite are left out.
        targets: ``[n]`` class indices.
        prior: deviation of log T; larger where the scale of the logits means nothing by itself.

    Returns:
        T between 0.05 and 20.
    """
    from scipy.optimize import minimize_scalar

    logits = np.asarray(logits, dtype=float)
    usable = np.isfinite(logits).all(axis=1)
    logits, targets = logits[usable], np.asarray(targets)[usable]
    if len(logits) == 0:
        return 1.0
    margins = logits - logits[np.arange(len(targets)), targets][:, None]

    def objective(log_temperature: float) -> float:
        scaled = margins / np.exp(log_temperature)
        top = scaled.max(axis=1)
        loss = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float(loss.sum() + (log_temperature / prior) ** 2 / 2)

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    found = minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.clip(np.exp(found.x), LOWEST, HIGHEST))
