"""BNM: batch nuclear-norm maximisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from acclimate.methods.base import Align
from acclimate.methods.data import Need
from acclimate.training.model import Step
from acclimate.training.stage import Pass


def nuclear_norm(probs: Tensor) -> Tensor:
    """Sum of the singular values of a batch of answers, over its rows: ``||P||_* / n``.

    It is largest where every row is sure (the Frobenius norm) and the answers are varied (the rank). Its gradient
    is ``U V' / n`` of the singular value decomposition ``P = U S V'``.

    Cui et al., Towards Discriminability and Diversity: Batch Nuclear-norm Maximization, CVPR 2020, eq. 9 and 10.

    Args:
        probs: ``[n, classes]``.

    Returns:
        A scalar of at most ``sqrt(min(n, classes) / n)``.
    """
    values = torch.linalg.svdvals(probs.nan_to_num())  # what is not finite is refused with the loss, not here
    return values.sum() / len(probs)


@dataclass(frozen=True)
class BNM(Align):
    """Target answers that are sure and varied: ``L = L_task - strength * nuclear_norm(target)``.

    Entropy minimisation alone calls everything by the largest class; the nuclear norm rewards variety too, and
    keeps rare classes alive without being told their shares.

    Helps when classes lie in clusters, also where they are unbalanced within a batch. Hurts when target rows come
    from few of the classes (variety is then wrong), when a batch is smaller than the number of classes, or when the
    source model is mostly wrong.

    Related: MCC (pairs of classes), SHOT's information maximisation (variety through the mean answer).

    Cui et al., Towards Discriminability and Diversity: Batch Nuclear-norm Maximization, CVPR 2020.

    Attributes:
        strength: weight of the norm (paper: 1; search 0.3 to 10: with few classes the norm moves little). 0 trains
            like source_only, bit for bit.
    """

    strength: float = 1.0

    name: ClassVar[str] = "bnm"
    about: ClassVar[str] = "batch nuclear-norm maximisation (Cui et al. 2020)"
    ranges: ClassVar[Mapping[str, str]] = {"strength": "[0, inf)"}
    batched: ClassVar[tuple[str, ...]] = ("strength",)
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"strength": (1.0, 3.0, 0.3, 10.0)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "probabilities")

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """Minus the norm of each site's answers on the target."""
        return {
            f"nuclear_norm_{name}": -self.strength * nuclear_norm(site.probs)
            for name, site in target.sites.items()
            if site.probs is not None
        }
