"""MCC: minimum class confusion."""

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

TINY = 1e-12
"""Probabilities below it count as it: their logarithm stays finite."""


def class_confusion(probs: Tensor, temperature: float = 2.5) -> Tensor:
    """How much the classes are confused with each other on a batch; 0 where every row is sure.

    With ``P = softmax(log probs / T)``, entropies ``H_i`` and weights ``w_i = n (1 + e^-H_i) / sum(1 + e^-H)`` (sure
    rows count more; no gradient passes them), the confusion of two classes is ``C = P' diag(w) P``. Its rows are
    normalised to sum 1, and the loss is the mean over classes of what lies off the diagonal.

    Jin et al., Minimum Class Confusion for Versatile Domain Adaptation, ECCV 2020, eq. 2 to 7.

    Args:
        probs: softmax of the head ``[n, classes]``; softening them by T is softening the logits by T.
        temperature: T.

    Returns:
        A scalar in 0..1.
    """
    soft = (probs.clamp_min(TINY).log() / temperature).softmax(dim=1)
    with torch.no_grad():
        weight = 1 + torch.special.entr(soft).sum(dim=1).neg().exp()
        weight = len(soft) * weight / weight.sum()
    confusion = (soft * weight[:, None]).T @ soft
    confusion = confusion / confusion.sum(dim=1, keepdim=True)
    return (confusion.sum() - confusion.trace()) / len(confusion)


@dataclass(frozen=True)
class MCC(Align):
    """Target answers that do not waver between two classes.

    ``L = L_task + strength * class_confusion(target)``, on softened answers, so that rows of which the model is too
    sure still teach. No domains are aligned, so class shares may differ and classes may be missing in the target.

    Helps when classes lie in clusters and the source model is right more often than not; the safest single method
    where shares differ. Hurts when the source model takes one class for another as a whole: it then grows surer of
    that; and when a batch holds few rows of each class (many classes, small batches).

    Related: BNM (confidence and variety in one number), entropy minimisation (no pairs of classes), CDAN and DANN,
    to which it adds (``dann+mcc``).

    Jin et al., Minimum Class Confusion for Versatile Domain Adaptation, ECCV 2020.

    Attributes:
        strength: weight of the confusion (paper: 1; search 0.1 to 3). 0 trains like source_only, bit for bit.
        temperature: by which answers are softened (paper: 2.5, found between 1 and 5 on Office-31; search 1 to 4).
    """

    strength: float = 1.0
    temperature: float = 2.5

    name: ClassVar[str] = "mcc"
    about: ClassVar[str] = "minimum class confusion (Jin et al. 2020)"
    ranges: ClassVar[Mapping[str, str]] = {"strength": "[0, inf)", "temperature": "(0, inf)"}
    batched: ClassVar[tuple[str, ...]] = ("strength", "temperature")
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "strength": (1.0, 0.3, 3.0, 0.1),
        "temperature": (2.5, 1.5, 4.0, 1.0),
    }
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "probabilities")

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """The confusion of each site's classes on the target."""
        return {
            f"confusion_{name}": self.strength * class_confusion(site.probs, self.temperature)
            for name, site in target.sites.items()
            if site.probs is not None
        }
