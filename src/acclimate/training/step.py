"""One training step: the method's updates, carried out on the players."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from acclimate.domains.batch import Batch
from acclimate.seeds import derive
from acclimate.training.device import Place, out_of_memory
from acclimate.training.model import Model, Step
from acclimate.training.optimizers import factor, optimizer, set_rates
from acclimate.training.settings import Training
from acclimate.training.stage import Update, Updates
from acclimate.training.stream import cut
from acclimate.training.tune import Group, Tuning, norms


class NotFiniteError(ArithmeticError):
    """A loss or gradient is not finite; no parameter was touched by it."""


@dataclass
class Player:
    """Parameters with an optimizer of their own."""

    optimizer: torch.optim.Optimizer
    parameters: list[nn.Parameter] = field(default_factory=list)

    @classmethod
    def of(cls, groups: list[Group], training: Training) -> Player:
        """A player over groups of parameters."""
        return cls(optimizer(groups, training), [p for group in groups for p in group.parameters])


class Stepper:
    """Carries out training steps of one method on one model.

    Attributes:
        players: "model" and the method's own parts.
        parts: the method's own networks.
        pieces: into how many parts a batch is cut; doubles when memory runs out.
    """

    def __init__(
        self,
        model: Model,
        method: Updates,
        parts: Mapping[str, nn.Module],
        *,
        tuning: Tuning,
        training: Training,
        place: Place,
        seed: int,
    ):
        self.model, self.method, self.parts = model, method, parts
        self.tuning, self.training, self.place, self.seed = tuning, training, place, seed
        self.players = {"model": Player.of(tuning.groups, training)}
        for name, part in parts.items():
            self.players[name] = Player.of([Group(list(part.parameters()), tuning.groups[0].rate)], training)
        self.pieces = training.accumulate
        self.scaler = torch.amp.GradScaler(place.device.type) if place.precision == "fp16" else None

    def step(self, batches: Mapping[str, Batch], number: int, progress: float) -> dict[str, Tensor]:
        """Step ``number`` at a share ``progress`` of the way; returns the losses by name.

        When memory runs out the step goes on in twice as many parts; updates already made stay.

        Raises:
            NotFiniteError: before any parameter was changed by what is not finite.
        """
        self.tuning.at(progress)
        scale = factor(self.training, progress)
        for player in self.players.values():
            set_rates(player.optimizer, scale)
        shown: dict[str, Tensor] = {}
        done = 0
        while True:
            try:
                for losses in self._rounds(batches, number, progress, done):
                    shown |= losses
                    done += 1
                return shown
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.pieces >= min(len(batch) for batch in batches.values()):
                    raise
                self.pieces *= 2

    def _rounds(
        self, batches: Mapping[str, Batch], number: int, progress: float, skip: int
    ) -> Iterator[dict[str, Tensor]]:
        """Each update of the method: gradients of all pieces, then one optimizer step; the first ``skip`` are done."""
        pieces = {name: cut(batch, self.pieces) for name, batch in batches.items()}
        count = min(len(p) for p in pieces.values())
        running = [
            self.method.updates(Now(self, number, k, progress), {name: p[k] for name, p in pieces.items()})
            for k in range(count)
        ]
        turn = 0
        while True:
            update = None
            for k, updating in enumerate(running):
                update = next(updating, None)
                if update is None:
                    return
                if turn >= skip:
                    losses = self._backward(update, first=k == 0, share=1 / count)
            turn += 1
            if turn > skip and update is not None:
                self._apply(update.players)
                yield losses

    def _backward(self, update: Update, *, first: bool, share: float) -> dict[str, Tensor]:
        if first:
            for player in self.players.values():
                player.optimizer.zero_grad()
        losses = dict(update.losses)
        if "model" in update.players and (penalty := self.tuning.penalty()) is not None:
            losses["l2sp"] = penalty
        total = sum(losses.values(), torch.zeros((), device=self.place.device))
        if not torch.isfinite(total):
            raise NotFiniteError(", ".join(f"{name} loss {float(value):g}" for name, value in losses.items()))
        total = total * share if share != 1 else total
        (total if self.scaler is None else self.scaler.scale(total)).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def _apply(self, names: tuple[str, ...]) -> None:
        moving = [self.players[name] for name in names]
        for player in moving:
            self.place.average(player.parameters)
            if self.scaler is not None:
                self.scaler.unscale_(player.optimizer)
            if self.training.clip:
                length = nn.utils.clip_grad_norm_(player.parameters, self.training.clip)
                if self.scaler is None and not torch.isfinite(length):
                    raise NotFiniteError("gradient")
        for player in moving:
            if self.scaler is None:
                player.optimizer.step()
            else:
                self.scaler.step(player.optimizer)
        if self.scaler is not None:
            self.scaler.update()


class Now:
    """What a method sees of the trainer during one step (or one piece of it)."""

    def __init__(self, stepper: Stepper, number: int, piece: int, progress: float):
        self._stepper, self._number, self._piece = stepper, number, piece
        self.progress = progress
        self.parts = stepper.parts

    def run(self, batch: Batch) -> Step:
        """Forward pass with this step's randomness.

        Only the stream "source" may update batch-norm statistics; others are normalised with them,
        as they will be when the model is used. So a method at weight 0 changes nothing.
        """
        stepper = self._stepper
        seed = derive(stepper.seed, "forward", batch.domain, self._number, self._piece)
        torch.default_generator.manual_seed(seed)
        if stepper.place.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        if batch.domain == "source":
            return stepper.model(batch, stepper.place.autocast())
        changed = norms(stepper.model, training=False)
        result = stepper.model(batch, stepper.place.autocast())
        for norm in changed:
            norm.train(True)
        return result
