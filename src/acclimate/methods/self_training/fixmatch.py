"""FixMatch: confident answers on plain inputs teach strongly augmented ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from acclimate.domains.augment import View
from acclimate.methods.base import Align
from acclimate.methods.data import Need
from acclimate.tasks.sites import Width
from acclimate.training.model import Step
from acclimate.training.stage import Pass

TINY = torch.finfo(torch.float32).tiny
MEMORY = 0.99
"""How much of the mean answer stays from step to step (ReMixMatch averages over the last 128 batches)."""


def consistency(plain: Tensor, strong: Tensor, threshold: float = 0.95) -> Tensor:
    """``1/n sum_i [max p_i >= threshold] * -log q_i[argmax p_i]``: cross-entropy against confident pseudo-labels.

    No gradient passes the pseudo-labels. Sohn et al., FixMatch, NeurIPS 2020, eq. 4.

    Args:
        plain: answers ``p`` on the plain view ``[n, classes]``.
        strong: answers ``q`` on the strong view of the same rows ``[n, classes]``.
        threshold: from which confidence on a row teaches.
    """
    confidence, label = plain.detach().max(dim=1)
    told = strong.gather(1, label[:, None]).squeeze(1).clamp_min(TINY).log()
    return -(told * (confidence >= threshold)).mean()


class Shares(nn.Module):
    """The mean answer on each domain, remembered over steps."""

    source: Tensor
    target: Tensor

    def __init__(self, classes: int):
        super().__init__()
        for name in ("source", "target"):
            self.register_buffer(name, torch.full((classes,), 1 / classes))

    @torch.no_grad()
    def align(self, source: Tensor, target: Tensor, share: float = 1.0) -> Tensor:
        """Take in the answers of a batch, or of a ``share`` of it; returns the target's ``[n, classes]``, scaled to the
        source's shares.
        """
        self.source.lerp_(source.mean(dim=0), 1 - MEMORY**share)
        self.target.lerp_(target.mean(dim=0), 1 - MEMORY**share)
        scaled = target * (self.source / self.target)
        return scaled / scaled.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class FixMatch(Align):
    """Where the model is sure of a target row, the row's strong view shall get the same answer.

    ``L = L_task + strength * consistency``; the strong view is `acclimate.domains.augment.strong`: RandAugment and
    Cutout on images, dropped and swapped words, numbers of other rows in arrays and tables.

    Helps when augmentations keep the class and cross what differs between the domains (style, noise, wording), and
    the source model is right where it is sure. Hurts when it is sure and wrong (calibration breaks under shift: wrong
    labels are learned by heart), or when augmentation changes the class.

    Related: MCC and BNM (no augmentation), AdaMatch (Berthelot et al., ICLR 2022: FixMatch for domain shift, with a
    threshold relative to the source's confidence).

    Sohn et al., FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence, NeurIPS 2020.

    Attributes:
        strength: weight of the consistency (paper: 1; search 0.3 to 3). 0 trains like source_only, bit for bit.
        threshold: confidence from which on a row teaches (paper: 0.95). A shifted model is less sure, so lower ones
            are used for domain shift (AdaMatch: 0.9 of the source's mean confidence); search 0.7 to 0.95.
        align_shares: scale the target's answers to the source's class shares before they become labels
            (distribution alignment; ReMixMatch, Berthelot et al., ICLR 2020). Keeps classes from dying out; wrong
            where the target has other shares.
    """

    strength: float = 1.0
    threshold: float = 0.95
    align_shares: bool = False

    name: ClassVar[str] = "fixmatch"
    about: ClassVar[str] = "confident pseudo-labels teach strong augmentations (Sohn et al. 2020)"
    ranges: ClassVar[Mapping[str, str]] = {"strength": "[0, inf)", "threshold": "[0, 1)"}
    batched: ClassVar[tuple[str, ...]] = ("strength", "threshold")
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "strength": (1.0, 0.3, 3.0),
        "threshold": (0.95, 0.9, 0.8, 0.7),
        "align_shares": (False, True),
    }
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "probabilities", "still_views")
    views: ClassVar[tuple[View, ...]] = ("strong",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.align_shares:  # torch knows no batched form of the memory's update
            object.__setattr__(self, "batched", ())

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The remembered shares of each site, where they are aligned."""
        if not self.align_shares:
            return {}
        return {f"shares_{name}": Shares(width.probs) for name, width in sites.items() if width.probs}

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """The consistency of each site's answers on the target's two views."""
        strong = step.run(target.batch.views["strong"])
        losses = {}
        for name, site in target.sites.items():
            told, plain = strong.sites[name].probs, site.probs
            if plain is None or told is None:
                continue
            if self.align_shares and (known := source.sites[name].probs) is not None:
                shares = step.parts[f"shares_{name}"]
                assert isinstance(shares, Shares)
                plain = shares.align(known, plain, step.share)
            losses[f"consistency_{name}"] = self.strength * consistency(plain, told, self.threshold)
        return losses
