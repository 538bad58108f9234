"""CORAL: correlation alignment, deep and in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from acclimate.errors import SettingsError
from acclimate.methods.base import Align
from acclimate.methods.data import Data
from acclimate.training.model import Step
from acclimate.training.stage import Convex, Pass, Stage


@dataclass(frozen=True)
class CORAL(Align):
    """Features with the same covariance in both domains.

    Closed form, for a linear head on frozen features: the source's rows are whitened with their own
    covariance and recoloured with the target's, and the head is fitted on them (`coral_map`)::

        (s - mean_s) (C_s + I)^(-1/2) (C_t + I)^(1/2) + mean_t

    Deep, where features learn: ``strength * |C_s - C_t|_F^2 / (4 d^2)`` is added to the task's loss (`coral_loss`).

    Helps when the domains differ in scale, contrast or correlations; the closed form takes seconds and has nothing to
    tune. Hurts when class shares differ, since mean and covariance then differ rightly, and with fewer target rows than
    features, where the covariance is mostly noise. A deep network can match covariances and leave everything else as
    it was, the more so the deeper it is. Both forms work for regression. A head of the closed form is for the target's
    colours: on the source it is worse.
    Related: `MMD` (all moments), subspace alignment, optimal transport (which follows rows, not moments).

    Sun, Feng, Saenko, Return of Frustratingly Easy Domain Adaptation, AAAI 2016, algorithm 1 (its features are
    centred in each domain beforehand: here the map does it); Sun & Saenko, Deep CORAL, ECCV workshops 2016, eq. 1.

    Attributes:
        strength: deep: weight of the loss, which the ``1 / (4 d^2)`` makes small. The paper sets it so that both losses
            end alike; search 10 to 1000. The default was found on digits (UCI to MNIST, d = 256) with target labels in
            sight, so it is tuned on that pair. 0 trains like source_only, bit for bit, in either form.
        form: closed, deep, or auto: closed where the head alone learns, on frozen features, and deep elsewhere.
    """

    strength: float = 100.0
    form: Literal["auto", "closed", "deep"] = "auto"

    name: ClassVar[str] = "coral"
    about: ClassVar[str] = "features of equal covariance (Sun et al. 2016)"
    ranges: ClassVar[Mapping[str, str]] = {"strength": "[0, inf)"}
    batched: ClassVar[tuple[str, ...]] = ("strength",)
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"strength": (100.0, 10.0, 1000.0, 30.0, 300.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "aligns", self.form == "deep")

    def searched(self, convex: bool) -> Mapping[str, tuple[Any, ...]]:
        """The closed form has nothing to tune."""
        return {} if self.form == "closed" or (self.form == "auto" and convex) else self.search

    @property
    def merges(self) -> bool:
        """In either form."""
        return True

    @property
    def adds(self) -> bool:
        """The closed form is no loss."""
        return self.form != "closed"

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """The closed form or a loop.

        Raises:
            SettingsError: the closed form is asked for, but more than a head learns.
        """
        if self.form == "deep" or (self.form == "auto" and not convex):
            return super().stages(data, convex)
        if not convex:
            raise SettingsError(
                "method coral: form=closed is for a head on frozen features; use --tune frozen or form=deep"
            )
        assert data.source is not None and data.target is not None
        carry = _carry if self.strength else None
        return [Convex("coral", data.source, data.source_validation, target=data.target, carry=carry)]

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """The loss of each site."""
        return {
            f"coral_{name}": self.strength * coral_loss(site.values, target.sites[name].values)
            for name, site in source.sites.items()
        }


def _carry(source: Any, labels: np.ndarray, target: Any) -> tuple[np.ndarray, None]:
    if not isinstance(source, np.ndarray):
        raise SettingsError("method coral: the closed form has no use for sparse features; set method.form=deep")
    return coral_map(source, target), None


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    """``|C_s - C_t|_F^2 / (4 d^2)``, the distance of two samples' covariances (Sun & Saenko 2016, eq. 1).

    Args:
        source: features ``[n, d]``.
        target: features ``[m, d]``.

    Returns:
        A scalar.
    """
    return (_covariance(source) - _covariance(target)).square().mean() / 4


def _covariance(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(0)
    return centred.T @ centred / max(len(rows) - 1, 1)


def coral_map(source: np.ndarray, target: np.ndarray, ridge: float = 1.0) -> np.ndarray:
    """The source's rows with (nearly) the target's mean and covariance (Sun, Feng, Saenko 2016, algorithm 1).

    Args:
        source: features ``[n, d]``, of deviation about 1.
        target: features ``[m, d]``.
        ridge: what is added to both covariances' diagonals (paper: 1); towards 0 the covariance becomes the target's.

    Returns:
        ``[n, d]``, in the source's dtype.
    """
    means, powers = [], []
    for rows, exponent in ((source, -0.5), (target, 0.5)):
        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows - mean
        spread, axes = np.linalg.eigh(centred.T @ centred / max(len(rows) - 1, 1))
        means.append(mean)
        powers.append((axes * (spread.clip(0) + ridge) ** exponent) @ axes.T)
    return ((source - means[0]) @ (powers[0] @ powers[1]) + means[1]).astype(source.dtype)
