"""GroupDRO: several sources, or groups of people, trained for the worst of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.domains.batch import Batch
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.methods.fair.groups import codes
from acclimate.tasks.sites import Width
from acclimate.training.stage import Loop, Pass, Stage, Update


def group_losses(losses: Tensor, group: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The mean loss of each group, 0 where it has no row.

    Args:
        losses: ``[n]``.
        group: ``[n]`` int64, the group of each row.
        count: number of groups.

    Returns:
        Mean losses ``[count]``, and which groups have rows ``[count]`` bool.
    """
    rows = torch.bincount(group, minlength=count)
    total = torch.zeros(count, device=losses.device, dtype=losses.dtype).index_add(0, group, losses)
    return total / rows.clamp_min(1), rows > 0


def group_weights_step(weights: Tensor, losses: Tensor, rate: float) -> Tensor:
    """Exponentiated gradient ascent: ``q_g exp(rate loss_g)``, normalised.

    In one's own loop, each step::

        means, present = group_losses(losses, group, len(q))
        q = group_weights_step(q, means.detach(), rate=0.01)
        (q * means).sum().backward()

    Args:
        weights: ``[groups]``, of the sum 1.
        losses: ``[groups]``; 0 for a group without rows.
        rate: how fast weight moves to the worst group.

    Returns:
        ``[groups]``, of the sum 1.
    """
    logs = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()  # a weight that reached 0 would stay there
    return torch.softmax(logs + rate * losses, dim=0)


class GroupWeights(nn.Module):
    """How much each source counts, with what is added to its loss before it is judged; no parameters.

    Args:
        sizes: rows of each source.
        adjustment: ``C`` of the addition ``C / sqrt(rows)``.
    """

    weights: Tensor
    margin: Tensor

    def __init__(self, sizes: Sequence[int], adjustment: float = 0.0):
        super().__init__()
        rows = torch.tensor(sizes, dtype=torch.float32)
        self.register_buffer("weights", torch.full((len(rows),), 1 / len(rows)))
        self.register_buffer("margin", adjustment / rows.clamp_min(1).sqrt())


@dataclass(frozen=True)
class GroupDRO(Method):
    """Small loss on the worst source, not on the mean: ``min over theta of max over q of sum_g q_g loss_g(theta)``.

    ``q``, one weight a source, moves to the sources of large loss (``q_g exp(rate loss_g)``, normalised), and the
    model takes a gradient step on the losses weighted by it. Which unknown domain is to come is not known: what is
    right in the worst of those seen relies less on what only some of them share. No target is needed.

    Helps when a clue holds in most rows and fails in one source. Hurts when that source is merely noisy or
    mislabelled: it keeps all the weight for nothing. Does nothing for a network that fits every training row, as all
    losses are then 0: it needs strong penalties or early stopping (the paper's main finding). Sources of few rows
    overfit; see ``adjustment``. In fair comparisons it is near plain training (Gulrajani & Lopez-Paz, DomainBed, ICLR
    2021). A source without rows in a batch keeps its weight but for the normalisation.

    Sagawa, Koh, Hashimoto & Liang, Distributionally Robust Neural Networks, ICLR 2020, algorithm 1. Related:
    source_only (the mean over rows), importance_weighting (weights by row, towards a target).

    Attributes:
        groups: what is weighed against each other: several "sources", or the "sensitive" groups of people by label (the
            paper's groups), whatever source they are of.
        rate: how fast weight moves (paper: 0.01; DomainBed searches 0.001 to 0.1). 0 gives each source equal weight.
        adjustment: ``C``; a source of n rows is judged by its loss plus ``C / sqrt(n)``, since few rows are fitted
            soonest (paper, section 3.3: searched 0 to 5).
    """

    rate: float = 0.01
    adjustment: float = 0.0
    groups: Literal["sources", "sensitive"] = "sources"

    name: ClassVar[str] = "groupdro"
    about: ClassVar[str] = "several sources, trained for the worst of them; no target (Sagawa et al. 2020)"
    ranges: ClassVar[Mapping[str, str]] = {"rate": "[0, inf)", "adjustment": "[0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"rate": (0.01, 0.1, 0.001), "adjustment": (0.0, 1.0, 3.0, 5.0)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels",)

    def misses(self, data: Data) -> str:
        """Several sources must be there."""
        source = data.source
        if self.groups == "sensitive":
            told = "; name their columns with --sensitive"
            lacking = f"method 'groupdro' with groups=sensitive needs groups of people in the source{told}"
            return super().misses(data) if data.has["sensitive"] else lacking
        if source is not None and (source.origin is None or len(np.unique(source.origin)) < 2):
            return (
                f"method 'groupdro' weighs several sources against each other, and there is one ({source.name}); "
                "repeat --source, or weigh groups of people with --sensitive COLUMN --set method.groups=sensitive"
            )
        return super().misses(data)

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One loop over the sources together; the weights change with each step, so that there is no convex form."""
        source = data.source
        assert source is not None
        if self.groups == "sensitive":
            source = replace(source, origin=codes(source, by_label=data.task.kind == "class"))
        assert source.origin is not None
        sizes = tuple(int(count) for count in np.bincount(source.origin))
        return [Loop(self.name, {"source": source}, _Weighing(self, sizes), validation=data.source_validation)]


@dataclass(frozen=True)
class _Weighing:
    """The loop's side of the method, which knows the sources' sizes."""

    method: GroupDRO
    sizes: tuple[int, ...]

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The sources' weights."""
        return {"groups": GroupWeights(self.sizes, self.method.adjustment)}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The weights' step, then the model's on the weighted losses."""
        batch = batches["source"]
        loss, groups = step.run(batch).loss, step.parts["groups"]
        assert loss is not None and batch.origin is not None and isinstance(groups, GroupWeights)
        means, present = group_losses(loss, batch.origin, len(groups.weights))
        judged = torch.where(present, means.detach() + groups.margin, 0.0)
        if judged.isfinite().all():  # what is not is refused with the loss, and must leave no mark here
            groups.weights.copy_(group_weights_step(groups.weights, judged, self.method.rate * step.share))
        yield Update({"task": (groups.weights * means).sum()})
