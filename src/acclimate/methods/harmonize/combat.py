"""ComBat: empirical-Bayes harmonisation of sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from acclimate.errors import DataError
from acclimate.methods.harmonize.base import Harmonize

ROUNDS = 500
TOLERANCE = 1e-6
CONSTANT = 1e-12
"""Variance, in squares of the pooled deviation, below which a feature is constant at a site."""


@dataclass(frozen=True)
class ComBat(Harmonize):
    """Location and scale of each site and feature, each shrunk to what the site's other features show.

    The model is ``x = alpha + sigma * (gamma_site + delta_site * noise)`` for each feature. What a site does to all its
    features has a distribution, a normal one for gamma and an inverse gamma one for delta squared, so that a site of
    few rows is not believed about one feature alone.

    **Helps** where `site_standardize` does (devices, laboratories, scanners, units) with small sites and many features:
    it was made for 25 rows a batch. **Hurts** as it does when sites differ in what their rows are: other class shares
    look like an effect of the site and are taken away. With few features there is little to shrink to, and it is
    site-wise standardisation. Features must be of like kind; `columns` standardises them first.

    Johnson, Li & Rabinovic, Adjusting batch effects in microarray expression data using empirical Bayes methods,
    Biostatistics 2007, sections 3.1 to 3.3 (parametric). The target's labels, which would be a covariate there, are
    sealed: the method keeps no covariate. `combat` is the plain function, and takes some.

    Attributes:
        deviation: also the scale; false moves means only.
    """

    deviation: bool = True

    name: ClassVar[str] = "combat"
    about: ClassVar[str] = "empirical-Bayes location and scale of each site (Johnson et al. 2007)"

    def sites(self, values: np.ndarray, site: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of ``(x - alpha - sigma gamma) / delta + alpha``."""
        grand, spread, gamma, delta = _fitted(values.astype(np.float64), site, None, self.deviation)[:4]
        return grand + spread * gamma - grand * delta, delta


def combat(
    values: np.ndarray, site: np.ndarray, covariates: np.ndarray | None = None, deviation: bool = True
) -> np.ndarray:
    """Features without the effect of their site, with what covariates explain kept (Johnson et al. 2007).

    Args:
        values: features ``[n, d]``.
        site: ``[n]`` int64, 0 to the number of sites - 1.
        covariates: ``[n, c]`` numbers whose effect is to stay, such as age, or None.
        deviation: also harmonise the scale.

    Returns:
        ``[n, d]`` float64.

    Raises:
        DataError: a site of fewer than two rows, or covariates that tell the site.
    """
    values = np.asarray(values, dtype=np.float64)
    grand, spread, gamma, delta, kept = _fitted(values, np.asarray(site), covariates, deviation)
    rest = (values - grand - kept) / spread
    return spread * (rest - gamma[site]) / delta[site] + grand + kept


def _fitted(
    values: np.ndarray, site: np.ndarray, covariates: np.ndarray | None, deviation: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Alpha and sigma ``[d]``, gamma and delta ``[sites, d]``, and what covariates explain ``[n, d]`` (or 0)."""
    counts = np.bincount(site)
    if counts.min() < 2:
        raise DataError(f"combat: site {int(counts.argmin())} has {counts.min()} rows; at least two are needed")
    dummies = np.eye(len(counts))[site]
    design = dummies if covariates is None else np.hstack([dummies, np.asarray(covariates, dtype=np.float64)])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise DataError("combat: the covariates tell the site, or each other: their effect and the site's are one")
    found = np.linalg.lstsq(design, values, rcond=None)[0]
    grand = counts / counts.sum() @ found[: len(counts)]
    kept = np.zeros((1, values.shape[1])) if covariates is None else design[:, len(counts) :] @ found[len(counts) :]
    spread = np.sqrt(np.mean((values - design @ found) ** 2, axis=0))
    spread = np.where(spread > 1e-6, spread, 1.0)
    rest = (values - grand - kept) / spread
    sides = [_posterior(rest[site == k], deviation) for k in range(len(counts))]
    return grand, spread, np.stack([side[0] for side in sides]), np.stack([side[1] for side in sides]), kept


def _posterior(rows: np.ndarray, deviation: bool) -> tuple[np.ndarray, np.ndarray]:
    """The site's gamma and delta ``[d]`` from standardised rows ``[n, d]``: the fixed point of eq. 3.1 in section 3.2.

    A feature that is constant at the site says nothing of scales: its mean moves and nothing else.
    """
    n = len(rows)
    gamma, square = rows.mean(axis=0), rows.var(axis=0, ddof=1)
    moves = square > CONSTANT
    if moves.sum() < 2:
        return gamma, np.where(moves & deviation, np.sqrt(np.maximum(square, CONSTANT)), 1.0)
    seen, means, squares = rows[:, moves], gamma[moves], square[moves]
    centre, width = means.mean(), means.var(ddof=1)
    middle, wide = squares.mean(), max(squares.var(ddof=1), 1e-12 * squares.mean() ** 2)
    shape, rate = (middle**2 + 2 * wide) / wide, (middle**3 + middle * wide) / wide
    shrunk, variance = means, squares
    for _ in range(ROUNDS):
        before = shrunk, variance
        shrunk = (n * width * means + variance * centre) / (n * width + variance)
        if deviation:
            variance = (rate + ((seen - shrunk) ** 2).sum(axis=0) / 2) / (n / 2 + shape - 1)
        change = max(np.abs(new - old).max() for new, old in zip((shrunk, variance), before, strict=True))
        if change < TOLERANCE:
            break
    delta = np.ones_like(gamma)
    gamma = gamma.copy()
    gamma[moves] = shrunk
    if deviation:
        delta[moves] = np.sqrt(variance)
    return gamma, delta
