"""DeepJDOT: joint distribution optimal transport, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from acclimate.errors import SettingsError
from acclimate.methods.base import Align
from acclimate.methods.data import Data
from acclimate.methods.discrepancy.transport import sinkhorn_plan
from acclimate.tasks.sites import Site
from acclimate.training.model import Step
from acclimate.training.stage import Pass

ENTROPY = 0.1
"""Blur of the unbalanced plan, in units of the mean cost (JUMBOT: 0.01 to 0.1 in units of the loss)."""


def jdot_coupling(cost: Tensor, marginal: float | None = None) -> Tensor:
    """Who is coupled with whom: the optimal transport plan of a batch, no gradient.

    In one's own loop::

        cost = alpha * torch.cdist(f_source, f_target) ** 2 + weight * pair_losses(cross_entropy, logits_t, y_s)
        loss = loss + (jdot_coupling(cost) * cost).sum()

    Args:
        cost: ``[n, m]`` of each pair of a source and a target row.
        marginal: None: every row is coupled, exactly. Else the price of leaving one out, in units of the mean cost
            (unbalanced optimal transport with entropy; Fatras et al., JUMBOT, ICML 2021).

    Returns:
        ``[n, m]`` of the sum 1, or less if rows were left out; on the device of ``cost``.
    """
    values = cost.detach().double().nan_to_num().cpu()  # what is not finite is refused with the loss, not here
    if marginal is None:
        import ot

        plan = ot.emd([], [], values.numpy(), numItermax=1_000_000)
    else:
        plan, _ = sinkhorn_plan((values / values.mean().clamp_min(1e-12)).numpy(), ENTROPY, marginal)
    return torch.from_numpy(plan).to(cost)


def pair_losses(
    criterion: Callable[[Mapping[str, Tensor], Tensor], Tensor], outputs: Mapping[str, Tensor], targets: Tensor
) -> Tensor:
    """What it would cost if each of m target rows had each of n source rows' target.

    Args:
        criterion: outputs of rows and their targets to the loss per row.
        outputs: of the target rows, each ``[m, ...]``.
        targets: of the source rows ``[n]``.

    Returns:
        ``[n, m]``.
    """
    n, m = len(targets), len(next(iter(outputs.values())))
    every = {name: value.repeat(n, *[1] * (value.ndim - 1)) for name, value in outputs.items()}
    return criterion(every, targets.repeat_interleave(m, dim=0)).reshape(n, m)


@dataclass(frozen=True)
class DeepJDOT(Align):
    """Source rows are coupled with target rows that look like them and are answered like them; pairs are drawn near.

    For each batch the plan ``G = argmin <G, C>`` of ``C_ij = alpha ||f_i - f_j||^2 + label L(y_i, h(f_j))`` is
    found, then ``strength <G, C>`` is minimised over features and head with ``G`` held fixed: features of coupled
    rows approach each other, and the head learns to answer target row j as source row i is labelled. ``L`` is the
    task's own loss, so that it works for classes and for numbers.

    Helps when the domains differ by a smooth change of the features and the classes keep their neighbourhoods; the
    labels in the cost keep classes apart where DANN and MMD see features alone. Hurts when class shares differ, as
    every row of a batch must find a partner, of another class if need be: set ``marginal``. Hurts too with small
    batches and many classes (a batch then lacks most classes of the other), and with a head that is wrong on the
    target from the start, whose errors the coupling confirms.

    Damodaran et al., DeepJDOT, ECCV 2018; with ``marginal``: Fatras et al., JUMBOT, ICML 2021.
    Related: ot_mapping (the same on frozen features, in closed form), mmd, coral, dann.

    Attributes:
        strength: weight of the coupled losses; 0 trains like source_only, bit for bit. Search 0.1 to 1.
        alpha: weight of the features' squared distance (DeepJDOT 0.001 for digits, JUMBOT 0.1 for digits and 0.01 for
            Office-Home). The distance grows with the width of the features: search 0.001 to 0.1.
        label: weight of the label's loss (DeepJDOT 0.0001, JUMBOT 0.1 for digits and 0.5 for Office-Home). Search 0.1
            to 1.
        marginal: None: all rows are coupled (DeepJDOT). Else the price of leaving a row without a partner, in units
            of the batch's mean cost, for other class shares. Search 0.1 to 1 (JUMBOT 0.3 to 1, in units of the loss).
    """

    strength: float = 1.0
    alpha: float = 0.01
    label: float = 0.5
    marginal: float | None = None

    name: ClassVar[str] = "deepjdot"
    about: ClassVar[str] = "features and answers coupled by optimal transport (Damodaran et al. 2018)"
    ranges: ClassVar[Mapping[str, str]] = {
        "strength": "[0, inf)",
        "alpha": "[0, inf)",
        "label": "[0, inf)",
        "marginal": "(0, inf)",
    }
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "strength": (1.0, 0.3, 0.1),
        "alpha": (0.01, 0.001, 0.1),
        "label": (0.5, 0.1, 1.0),
        "marginal": (None, 0.3, 1.0, 0.1),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha == self.label == 0:
            raise SettingsError("alpha and label are both 0, so that nothing is coupled")

    def misses(self, data: Data) -> str:
        """Answers that can be held against other rows' labels."""
        if data.task.writes:
            return (
                f"method '{self.name}' holds answers for target rows against labels of source rows, and the backbone's "
                "own head has a loss of its own labels alone"
            )
        return super().misses(data)

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """The coupled distance and the coupled label loss of each site."""
        assert target.criterion is not None and source.batch.targets is not None
        answers = pair_losses(target.criterion, target.outputs, source.batch.targets)
        found = {}
        for name, site in source.sites.items():
            distance, label = self._costs(site, target.sites[name], answers)
            plan = jdot_coupling(distance + label, self.marginal)
            found[f"distance_{name}"] = self.strength * (plan * distance).sum()
            found[f"label_{name}"] = self.strength * (plan * label).sum()
        return found

    def _costs(self, source: Site, target: Site, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Of every pair ``[n, m]``: the weighted squared distance, and the weighted loss of the rows they are of."""
        square = source.values.square().sum(1, keepdim=True) + target.values.square().sum(1)
        distance = (square - 2 * source.values @ target.values.T).clamp_min(0.0)
        return self.alpha * distance, self.label * answers[source.owner][:, target.owner]
