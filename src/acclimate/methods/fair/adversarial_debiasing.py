"""Adversarial debiasing: features from which nobody can tell the group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.methods.adversarial.pieces import ganin_schedule, reverse
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.methods.fair.groups import codes
from acclimate.tasks.sites import Site, Width
from acclimate.training.stage import Loop, Pass, Stage, Update


def group_loss(logits: Tensor, group: Tensor) -> Tensor:
    """Cross-entropy of telling groups apart, a scalar; each group of the batch weighs the same.

    Args:
        logits: ``[n, groups]``.
        group: ``[n]`` int64.
    """
    rows = torch.bincount(group, minlength=logits.shape[1]).clamp_min(1)
    weight = 1 / rows[group].to(logits)
    return (weight * F.cross_entropy(logits, group, reduction="none")).sum() / weight.sum()


@dataclass(frozen=True)
class AdversarialDebiasing(Method):
    """DANN whose domain is the group of people: an adversary guesses it, features learn to leave it nothing to go by.

    The adversary minimises its loss at full strength; features receive its gradient reversed, times ``strength``. With
    ``odds`` it is told the label too, so that only what tells groups apart *among rows of one label* has to go
    (equalised odds); without, selection rates come together (demographic parity). No target is needed.

    Helps where inputs tell the group and the label should not depend on it. Costs accuracy where they are related in
    truth. Unstable like every adversary; a stronger adversary, trained afterwards, may still tell (Elazar & Goldberg,
    EMNLP 2018), so look at the table of groups and not at its loss.

    Zhang, Lemoine & Mitchell, Mitigating Unwanted Biases with Adversarial Learning, AIES 2018, section 3, with the
    gradient reversal of Ganin et al. (JMLR 2016) on features in the place of their projected gradient on outputs.

    Attributes:
        strength: largest factor of the reversed gradient; 0 trains like source_only, bit for bit.
        odds: whether the adversary is told the label.
        hidden: width of the adversary's hidden layer.
        gamma: steepness of the strength's schedule, as in DANN.
    """

    strength: float = 1.0
    odds: bool = False
    hidden: int = 64
    gamma: float = 10.0

    name: ClassVar[str] = "adversarial_debiasing"
    about: ClassVar[str] = "features that do not tell the group of people (Zhang et al. 2018)"
    aligns: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, str]] = {"strength": "[0, inf)", "hidden": "[1, inf)", "gamma": "(0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"strength": (1.0, 0.3, 3.0), "odds": (False, True)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "classes", "sensitive")

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One loop over the source; a row's origin is its group."""
        assert data.source is not None
        group = codes(data.source)
        classes = len(data.source_task.config()["classes"])
        inner = _Adversary(self, int(group.max()) + 1, classes if self.odds else 0)
        return [Loop(self.name, {"source": replace(data.source, origin=group)}, inner, None, data.source_validation)]


@dataclass(frozen=True)
class _Adversary:
    """The loop's side of the method, which knows the number of groups."""

    method: AdversarialDebiasing
    groups: int
    classes: int

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The adversary, on the main site and, if it is told, the label."""
        size = next(iter(sites.values())).values + self.classes
        hidden = self.method.hidden
        return {"adversary": nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, self.groups))}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The task's loss, and the adversary's on reversed features."""
        batch = batches["source"]
        found = step.run(batch)
        assert found.loss is not None and batch.origin is not None
        site: Site = next(iter(found.sites.values()))
        seen = reverse(site.values, self.method.strength * ganin_schedule(step.progress, self.method.gamma))
        if self.classes:
            assert batch.targets is not None
            seen = torch.cat([seen, F.one_hot(batch.targets, self.classes)[site.owner].to(seen)], dim=1)
        told = group_loss(step.parts["adversary"](seen), batch.origin[site.owner])
        yield Update({"task": found.loss.mean(), "group": told}, ("model", "adversary"))
