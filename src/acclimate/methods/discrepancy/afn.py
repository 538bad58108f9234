"""AFN: adaptive feature norm, stepwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from acclimate.methods.base import Align
from acclimate.training.model import Step
from acclimate.training.stage import Pass


def norm_growth(features: Tensor, delta: float = 1.0) -> Tensor:
    """``mean (||f|| + delta - ||f||)^2`` where no gradient passes the first norm: a step of each norm by ``delta``.

    Its value is always ``delta^2``; what it does is in the gradient, ``-2 delta / n`` along each row's direction.
    Xu et al., Larger Norm More Transferable, ICCV 2019, eq. 7.

    Args:
        features: ``[n, d]``; rows of zeros have no direction and do not move.
        delta: how far the norm shall grow in one step.
    """
    norms = features.norm(dim=1)
    return (norms.detach() + delta - norms).square().mean()


@dataclass(frozen=True)
class AFN(Align):
    """Features of larger norm, in both domains, one step at a time (SAFN).

    ``L = L_task + strength * (norm_growth(source) + norm_growth(target))``. The paper's finding: target features that
    transfer badly are those of small norm, since they lie near every class boundary; growing them separates them.

    Helps when the target looks like a weaker source (less contrast, fewer known words), and with partial targets: no
    distributions are matched, so class shares and missing classes do not matter; works for regression too. Hurts
    when small norms are right (rows of no class), and calibration always: answers grow surer.

    Related: BNM and MCC (surer answers rather than larger features).

    Xu et al., Larger Norm More Transferable: An Adaptive Feature Norm Approach, ICCV 2019.

    Attributes:
        strength: weight of the growth (paper: 0.05; search 0.01 to 0.1: more outgrows the task). 0 trains like
            source_only, bit for bit.
        delta: growth a step (paper: 1; search 0.3 to 1; the gradient is their product, so search one of them).
    """

    strength: float = 0.05
    delta: float = 1.0

    name: ClassVar[str] = "afn"
    about: ClassVar[str] = "adaptive feature norm, stepwise (Xu et al. 2019)"
    ranges: ClassVar[Mapping[str, str]] = {"strength": "[0, inf)", "delta": "(0, inf)"}
    batched: ClassVar[tuple[str, ...]] = ("strength", "delta")
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"strength": (0.05, 0.02, 0.1, 0.01)}

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """The growth of each site's norms, in both domains."""
        return {
            f"norm_{domain}_{name}": self.strength * norm_growth(site.values, self.delta)
            for domain, seen in (("source", source), ("target", target))
            for name, site in seen.sites.items()
        }
