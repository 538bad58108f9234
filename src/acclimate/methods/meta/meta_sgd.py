"""Meta-SGD: MAML that also learns how fast each weight learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from acclimate.methods.meta.maml import MAML, learning
from acclimate.training.model import Model


@dataclass(frozen=True)
class MetaSGD(MAML):
    """``w - a * grad S(w)`` with a rate ``a`` for every single weight, learned beside the weights.

    Helps where one step must do. **Hurts** where tasks are few: it doubles what is learned; and a rate that becomes
    negative climbs. Settings as in `MAML`; ``rate`` is where all rates begin (the paper draws them from 0.005 to 0.1).

    Li, Zhou, Chen and Li, Meta-SGD: Learning to Learn Quickly for Few-Shot Learning, 2017, eq. 2 and algorithm 1.
    """

    rate: float = 0.1

    name: ClassVar[str] = "meta_sgd"
    about: ClassVar[str] = "MAML that learns a rate for every weight (Li et al. 2017)"

    def parts(self, model: Model, classes: int) -> dict[str, nn.Module]:
        """The rates, each of its weight's shape."""
        made = {
            rate_key(name): nn.Parameter(torch.full_like(value, self.rate)) for name, value in learning(model).items()
        }
        return {"rates": nn.ParameterDict(made)}

    def rates(self, weights: Mapping[str, Tensor], parts: Mapping[str, nn.Module], steps: int) -> list[Any]:
        """The learned ones, the same in every step."""
        learned = dict(parts["rates"].named_parameters())
        return [{name: learned[rate_key(name)] for name in weights if rate_key(name) in learned}] * steps


def rate_key(name: str) -> str:
    """A weight's name as that of its rate: a parameter's own name has no dots."""
    return name.replace(".", "/")
