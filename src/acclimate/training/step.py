"""One training step: the method's updates, carried out on the players."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.seeds import derive
from acclimate.training.device import Place, out_of_memory
from acclimate.training.model import Model, Step
from acclimate.training.optimizers import factor, optimizer, set_rates
from acclimate.training.settings import Training
from acclimate.training.stage import Update, Updates
from acclimate.training.stream import cut
from acclimate.training.tune import NO_NORMS, Group, Tuning, affine, norms

Losses = dict[str, Tensor]
Gradients = tuple[tuple[str, ...], Losses]
"""Whose gradients are ready, and of which losses."""


class NotFiniteError(ArithmeticError):
    """A loss or gradient is not finite; no parameter was touched by it."""


@dataclass
class Player:
    """Parameters that step together.

    All players share one torch optimizer: its state is kept per parameter, and it passes over parameters without a
    gradient, so each player steps as if it had one of its own, for the price of one.
    """

    groups: list[Group]

    def __post_init__(self) -> None:
        self.parameters = [p for group in self.groups for p in group.parameters]

    def forget(self) -> None:
        """Throw all gradients away."""
        for p in self.parameters:
            p.grad = None

    def clip(self, longest: float) -> float:
        """Shorten the gradient to the length ``longest`` (0: leave it); returns the length that it had."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            return 0.0
        length = torch.stack(torch._foreach_norm(gradients)).norm().item()
        if longest and longest < length < math.inf:
            torch._foreach_mul_(gradients, longest / length)
        return length


class Stepper:
    """Carries out training steps of one method on one model.

    Attributes:
        players: "model", its parts "features", "head" and "norms" (scale and shift of its normalisation layers), and
            the method's own parts.
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
        own = {name: Player([Group(list(part.parameters()), tuning.groups[0].rate)]) for name, part in parts.items()}
        everything = [*tuning.groups, *(group for player in own.values() for group in player.groups)]
        self.everyone = Player(everything)
        neck, head, *blocks = tuning.groups
        self.players = {
            "model": Player(tuning.groups),
            "features": Player([neck, *blocks]),
            "head": Player([head]),
            "norms": Player([Group(affine(model, tuning.groups), 0.0)]),
            **own,
        }
        self.idle: dict[tuple[str, ...], Player] = {}
        self.optimizer = optimizer(everything, training)
        self.pieces = training.accumulate
        self.see: Callable[[Step], None] | None = None
        self.norms = [norm for norm in norms(model) if norm.track_running_stats]
        self.scaler = torch.amp.GradScaler(place.device.type) if place.precision == "fp16" else None

    def step(self, batches: Mapping[str, Batch], number: int, progress: float) -> Losses:
        """Step ``number`` at a share ``progress`` of the way; returns the losses by name.

        When memory runs out the step goes on in twice as many pieces; updates already made stay, and
        batch-norm statistics take in no row twice.

        Raises:
            NotFiniteError: before any parameter was changed by what is not finite.
        """
        self.tuning.at(progress)
        set_rates(self.optimizer, factor(self.training, progress))
        shown: Losses = {}
        whole = self.method.updates(Now(self, number, progress), batches)
        turn, again = 0, False
        while True:
            try:
                if self.pieces == 1:
                    found = self._at_once(next(whole, None), batches)
                else:
                    found = self._in_pieces(batches, number, progress, turn, again)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.pieces >= min(len(batch) for batch in batches.values()):
                    raise
                self.pieces, again = 2 * self.pieces, True
                whole = iter(())  # lets go of its graph
                continue
            if found is None:
                return shown
            self._apply(found[0])
            shown |= found[1]
            turn, again = turn + 1, True

    def _at_once(self, update: Update | None, batches: Mapping[str, Batch]) -> Gradients | None:
        """Gradients of an update of the whole batch."""
        return None if update is None else (update.players, self._backward(update, self._share(batches)))

    def _in_pieces(
        self, batches: Mapping[str, Batch], number: int, progress: float, turn: int, again: bool
    ) -> Gradients | None:
        """Gradients of update ``turn``, summed over pieces of the batch; None if there is no such update.

        Each piece is run anew for each update, so that the graph of one piece is in memory at a time.
        """
        cuts = {name: cut(batch, self.pieces) for name, batch in batches.items()}
        total: Losses = {}
        players: tuple[str, ...] = ()
        for k in range(min(len(pieces) for pieces in cuts.values())):
            part = {name: pieces[k] for name, pieces in cuts.items()}
            new = 0.0 if again else len(next(iter(part.values()))) / len(next(iter(batches.values())))
            now = Now(self, number, progress, k, new)
            update = next(islice(self.method.updates(now, part), turn, None), None)
            if update is None:
                return None
            share = self._share(part)
            losses = self._backward(update, share, first=k == 0)
            total = {name: total.get(name, 0.0) + share * loss for name, loss in losses.items()}
            players = update.players
        return players, total

    def _share(self, batches: Mapping[str, Batch]) -> float:
        """What part of the whole step's mean these rows are; processes average their gradients afterwards."""
        return len(next(iter(batches.values()))) * self.place.world / self.training.batch_size

    def _backward(self, update: Update, share: float, *, first: bool = True) -> Losses:
        if first:
            self.everyone.forget()
        losses = dict(update.losses)
        if {"model", "features", "norms"} & set(update.players) and (penalty := self.tuning.penalty()) is not None:
            losses["l2sp"] = penalty
        values = list(losses.values())
        total = sum(values[1:], values[0])
        if not math.isfinite(total.item()):
            raise NotFiniteError(", ".join(f"{name} loss {value.item():g}" for name, value in losses.items()))
        total = total * share if share != 1 else total
        (total if self.scaler is None else self.scaler.scale(total)).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def _resting(self, names: tuple[str, ...]) -> Player:
        """The parameters of everyone who does not step."""
        if names not in self.idle:
            if "norms" in names and not self.players["norms"].parameters:
                raise SettingsError(NO_NORMS)
            moving = {id(p) for name in names for p in self.players[name].parameters}
            self.idle[names] = Player([Group([p for p in self.everyone.parameters if id(p) not in moving], 0.0)])
        return self.idle[names]

    def _apply(self, names: tuple[str, ...]) -> None:
        self._resting(names).forget()
        moving = [self.players[name] for name in names]
        for player in moving:
            self.place.average(player.parameters)
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        for player in moving:
            length = player.clip(self.training.clip)
            if self.scaler is None and not math.isfinite(length):
                raise NotFiniteError("gradient")
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()


class Now:
    """What a method sees of the trainer during one step, or one piece of it.

    Attributes:
        progress: share of the steps done.
        parts: the method's own networks.
        share: of the step's rows, 0 if they were seen before.
    """

    def __init__(self, stepper: Stepper, number: int, progress: float, piece: int = 0, share: float = 1.0):
        self._stepper, self._number, self._piece = stepper, number, piece
        self.progress, self.share = progress, share
        self.parts = stepper.parts

    def run(self, batch: Batch, draw: str = "") -> Step:
        """Forward pass with this step's randomness; another ``draw`` is another dropout.

        Only the stream "source" may update batch-norm statistics; others are normalised with them,
        as they will be when the model is used. So a method at weight 0 changes nothing.
        """
        self._seed(batch, draw)
        step = self._forward(batch)
        if self._stepper.see is not None:
            self._stepper.see(step)
        return step

    def open(self, batch: Batch, draw: str = "") -> Model:
        """The model itself, for a method that runs it with weights of its own; randomness is as in `run`."""
        self._seed(batch, draw)
        return self._stepper.model

    def _forward(self, batch: Batch) -> Step:
        stepper, place = self._stepper, self._stepper.place
        if batch.domain == "source" and self.share:
            return stepper.model(batch, place.autocast())
        learning = [norm for norm in stepper.norms if norm.training]
        switch = "track_running_stats" if batch.domain == "source" else "training"
        for norm in learning:
            setattr(norm, switch, False)
        try:
            return stepper.model(batch, place.autocast())
        finally:
            for norm in learning:
                setattr(norm, switch, True)

    def _seed(self, batch: Batch, draw: str) -> None:
        stepper, place = self._stepper, self._stepper.place
        own = () if place.rank == 0 else (place.rank,)
        seed = derive(stepper.seed, "forward", batch.domain, self._number, self._piece, *own, *([draw] if draw else []))
        torch.default_generator.manual_seed(seed)
        if place.device.type != "cpu":
            torch.get_device_module(place.device).manual_seed(seed)
