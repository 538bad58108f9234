"""Several settings of one method, trained in one loop.

On frozen features a step is small, and much of it is overhead. Here the models of all settings have their parameters
stacked, ``[settings, ...]``; one batch goes through all of them at once (`torch.func.vmap`), and each has its own
losses, gradients, clipping and optimizer state. Each ends where it would have ended alone but for rounding, as sums are
taken in another order: 1e-7 of a weight or so, and more only where a ReLU happens to be at its kink. Batch norm has no
place in it, as its statistics would be taken once for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from acclimate.domains.batch import Batch
from acclimate.tasks.sites import Site
from acclimate.training import checkpoint
from acclimate.training.guard import Guard
from acclimate.training.keep import Best, Watch
from acclimate.training.loop import Counters, Report, Trainer, diverged
from acclimate.training.model import Model, Step
from acclimate.training.stage import Loop
from acclimate.training.step import Losses
from acclimate.training.together import Given, Seen, Together


@dataclass(frozen=True)
class Member:
    """One of a fleet.

    Attributes:
        model: its own, but for the backbone; all begin alike, on dense frozen features.
        report: where it tells what it does; the first one's progress stands for all.
        guard: watches it.
        watch: which state of it is kept; the last one if None.
    """

    model: Model
    report: Report = field(default_factory=Report)
    guard: Guard | None = None
    watch: Watch | None = None


class Fleet(Trainer):
    """One `Loop` for several members; `train` leaves each one's model trained, in evaluation mode.

    Args:
        members: what is trained.
        stage: the loop; its method says what the members have in common.
        given: the method for given settings.
        settings: by name, the values in which the members differ, one each.
        **options: the other arguments of `Trainer`.

    Attributes:
        lost: by number, why a member is of no use; the others go on.
    """

    def __init__(
        self,
        members: Sequence[Member],
        stage: Loop,
        given: Given,
        settings: Mapping[str, Sequence[float]],
        **options: Any,
    ):
        super().__init__(members[0].model, stage, report=members[0].report, **options)
        self.members = members
        self.together = Together(self.stepper, given, settings)
        self.lost: dict[int, str] = {}
        self.bests: dict[int, Best] = {}
        for member in members:
            if member.guard is not None:
                member.guard.begin(stage.method)

    def train(self) -> Counters:
        """As `Trainer.train`; members are lost one by one, which is no error."""
        done = super().train()
        for number, member in enumerate(self.members):
            self._fill(number)
            if number in self.bests:
                member.model.load_state_dict(self.bests[number].state)
            member.model.eval()
        return done

    def _fill(self, number: int) -> None:
        """Put a member's values into its model, and into the parts that all share."""
        self.members[number].model.load_state_dict(self.together.values(number, "model."), strict=False)
        for name, part in self.parts.items():
            part.load_state_dict(self.together.values(number, f"parts.{name}."))

    def record_of(self, number: int) -> dict[str, Any]:
        """What a run keeps of the loop for a member: its share of the seconds, and how many shared them."""
        count = len(self.members)
        found = {**super().record(), "seconds": round(self.counters.seconds / count, 3), "together": count}
        return found | self.bests[number].record(self.epoch) if number in self.bests else found

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        guards = {str(k): member.guard.state() for k, member in enumerate(self.members) if member.guard is not None}
        return {
            "together": {**self.together.parameters, **self.together.buffers},
            "optimizer": checkpoint.optimizer_state(self.together.optimizer),
            "counters": vars(self.counters),
            "lost": {str(number): why for number, why in self.lost.items()},
            "best": {str(number): vars(best) for number, best in self.bests.items()},
            "guards": guards,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        with torch.no_grad():
            for name, value in {**self.together.parameters, **self.together.buffers}.items():
                value.copy_(state["together"][name])
        checkpoint.restore_optimizer(self.together.optimizer, state.get("optimizer", {}))
        self.counters = Counters(**state["counters"])
        self.lost = {int(number): why for number, why in state.get("lost", {}).items()}
        self.bests = {int(number): Best(**best) for number, best in state.get("best", {}).items()}
        for number, member in enumerate(self.members):
            if member.guard is not None:
                member.guard.load(state.get("guards", {}).get(str(number), {}))

    def _update(self, batches: Mapping[str, Batch]) -> Losses:
        done = self.counters
        losses, failed, seen = self.together.step(batches, done.step, done.step / done.total)
        for number, what in failed.items():
            self.lost.setdefault(number, str(diverged(self.stage.name, what, done.step)))
        for number, guard in self._guards():
            if guard.opens(done.step, done.total, self.training.batch_size):
                for step in _steps(seen, number):
                    guard.see(step)
        return losses

    def _guards(self) -> list[tuple[int, Guard]]:
        """Those of members that go on."""
        pairs = ((number, member.guard) for number, member in enumerate(self.members) if number not in self.lost)
        return [(number, guard) for number, guard in pairs if guard is not None]

    def _look(self) -> None:
        for number, guard in self._guards():
            if guard.due(self.counters.step, self.counters.total):
                self._fill(number)
                self._ask(guard, self.members[number].model, self.members[number].report)

    def _judge(self) -> None:
        """Each member by itself."""
        done = self.counters
        if done.step % self.epoch and done.step != done.total:
            return
        for number, member in enumerate(self.members):
            if member.watch is None or number in self.lost:
                continue
            self._fill(number)
            self.bests[number] = self._scored(member.watch, member.model, member.report, self.bests.get(number))

    def _enough(self) -> bool:
        return len(self.lost) == len(self.members)

    def _log(self, losses: Mapping[str, Tensor]) -> None:
        table = {name: value.tolist() for name, value in losses.items()}
        shown: dict[str, float] = {}
        for number, member in reversed(list(enumerate(self.members))):
            if number not in self.lost:
                shown = {name: round(values[number], 6) for name, values in table.items()}
                member.report.log({"step": self.counters.step, "losses": shown})
        self.report.progress(self.counters.step, self.counters.total, shown)


def _steps(seen: Seen, number: int) -> Iterator[Step]:
    """What one setting saw, as far as a guard looks at it."""
    for batch, name, values, probs in seen:
        owner = torch.arange(len(batch), device=values.device)
        yield Step({}, {name: Site(values[number], owner, None if probs is None else probs[number])}, None, batch)
