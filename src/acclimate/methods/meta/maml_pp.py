"""MAML++: MAML that trains steadily and learns its own rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from acclimate.methods.meta.maml import MAML, learning
from acclimate.methods.meta.meta_sgd import rate_key
from acclimate.training.model import Model

FLOOR = 0.03
"""Below which share of the equal weight no earlier step falls before all of them end (the authors' program)."""


@dataclass(frozen=True)
class MAMLPP(MAML):
    """MAML with a loss after every inner step, learned rates, and second derivatives only once training is under way.

    - Multi-step loss: the outer loss is that of the query rows after each step, weighted; over the first share
      ``loss_annealing`` of the training the weights move from equal ones to the last step alone, but for a floor.
    - Learned rates: one for every weight tensor (the paper's layer) and every step. Steps beyond those of the training
      take the last step's.
    - Derivative order: first-order gradients over the first share ``order_annealing`` of the training.

    Helps where MAML with several steps is unsteady: gradients that vanish or explode through the steps, rates that
    suit no layer. **Hurts** by its price where one step is enough. Of the paper's six parts, the batch norm's scale and
    shift for each step are left out: they would make the inner loss another function at every step. Its statistics are
    those of the batch at hand, as in MAML; the cosine schedule is ``training.schedule``.

    Antoniou, Edwards and Storkey, How to Train Your MAML, ICLR 2019, section 4.

    Attributes:
        rate: where all rates begin.
        loss_annealing: share of the training in which earlier steps count in the outer loss.
        order_annealing: share of the training without second derivatives (the paper: the first 50 epochs).
    """

    steps: int = 5
    rate: float = 0.1
    loss_annealing: float = 0.15
    order_annealing: float = 0.3

    name: ClassVar[str] = "maml++"
    about: ClassVar[str] = "MAML with a loss after each step and learned rates (Antoniou et al. 2019)"
    ranges: ClassVar[Mapping[str, str]] = {**MAML.ranges, "loss_annealing": "[0, 1]", "order_annealing": "[0, 1]"}

    def parts(self, model: Model, classes: int) -> dict[str, nn.Module]:
        """The rates of each weight tensor, ``[steps]``."""
        made = {rate_key(name): nn.Parameter(torch.full((self.steps,), self.rate)) for name in learning(model)}
        return {"rates": nn.ParameterDict(made)}

    def rates(self, weights: Mapping[str, Tensor], parts: Mapping[str, nn.Module], steps: int) -> list[Any]:
        """The learned ones."""
        learned = dict(parts["rates"].named_parameters())
        known = {name: learned[rate_key(name)] for name in weights if rate_key(name) in learned}
        return [{name: value[min(k, self.steps - 1)] for name, value in known.items()} for k in range(steps)]

    def form(self, progress: float) -> dict[str, Any]:
        """First order in the beginning, and the weights of the steps' losses."""
        return {"first_order": progress < self.order_annealing, "shares": self.shares(progress)}

    def shares(self, progress: float) -> list[float]:
        """The weight of the query loss after each step; they sum to 1."""
        earlier = self.steps - 1
        if progress >= self.loss_annealing or not earlier:
            return [0.0] * earlier + [1.0]
        each = max(1 - progress / self.loss_annealing, FLOOR) / self.steps
        return [each] * earlier + [1 - earlier * each]
