"""Site-wise standardisation: every site has its own mean and deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from acclimate.methods.harmonize.base import Harmonize


@dataclass(frozen=True)
class SiteStandardize(Harmonize):
    """Each feature of each site, every source and the target, minus that site's mean, over that site's deviation.

    **Helps** when sites differ in unit, device or light, which move means and scales of features; it costs one pass and
    has nothing to tune. Vectors that are compared by cosine (`--task verify`) gain from the mean alone. **Hurts** when
    sites differ in what their rows are: with other class shares the means differ rightly, and this takes away what
    tells the classes apart. It also needs enough rows: a mean of twenty is noise.

    Related: `combat` (the same, estimated together for all features, gentler on small sites), `adabn` (the target's
    statistics in a network's batch norms), `coral` (correlations too). The z-scores of Fortin et al., Harmonization of
    cortical thickness measurements across scanners and sites, NeuroImage 2018, are such.

    Attributes:
        deviation: also divide by the deviation; false centres only.
    """

    deviation: bool = True

    name: ClassVar[str] = "site_standardize"
    about: ClassVar[str] = "each site's own mean and deviation of every feature"

    def sites(self, values: np.ndarray, site: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and deviations; a feature that is constant at a site is only centred there."""
        count = int(site.max()) + 1
        parts = [values[site == k].astype(np.float64) for k in range(count)]
        shift = np.stack([part.mean(axis=0) for part in parts])
        if not self.deviation:
            return shift, np.ones_like(shift)
        scale = np.stack([part.std(axis=0) for part in parts])
        return shift, np.where(scale > 1e-6, scale, 1.0)
