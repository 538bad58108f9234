"""Which state of a training is kept: the last one, or the one that scored best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from acclimate.training.model import Model


@dataclass
class Watch:
    """A score of the model, higher is better, taken after each epoch; training ends after ``patience`` without gain.

    Attributes:
        score: of the model as it is.
        patience: epochs without gain after which training ends.
        looks: scores in the whole training, evenly spread, in the place of one after each epoch.
        keep: whether the state that scored best is put back at the end; if not, scores are logged alone.
    """

    score: Callable[[Model], float]
    patience: int | None = None
    looks: int | None = None
    keep: bool = True


@dataclass(frozen=True)
class Best:
    """The state that scored best, and after which step."""

    score: float
    step: int
    state: Mapping[str, Tensor]

    @classmethod
    def of(cls, before: Best | None, model: Model, score: float, step: int) -> Best:
        """What was best before, or the model as it is now if it scores higher."""
        if before is not None and score <= before.score:
            return before
        return cls(score, step, {name: value.detach().clone() for name, value in model.state_dict().items()})

    def record(self, epoch: int) -> dict[str, Any]:
        """What a run keeps of it; ``epoch`` in steps."""
        return {"best": self.score, "best_step": self.step, "best_epoch": round(self.step / epoch, 2)}
