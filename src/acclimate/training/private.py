"""Differentially private training: DP-SGD in the loop that every method uses.

A step draws each row of each stream by a coin of its own, takes the gradient of what this row adds to the loss,
shortens it to ``clip``, sums, and adds Gaussian noise to the sum. One row can then move a step by ``clip`` at most, and
the noise hides by how much it did. Abadi et al., Deep Learning with Differential Privacy, CCS 2016, algorithm 1; rows
are drawn as its analysis assumes (Poisson sampling), and not by shuffled epochs.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.domains.batch import Batch
from acclimate.errors import AcclimateError, SettingsError
from acclimate.seeds import derive, generator
from acclimate.training.loop import Trainer
from acclimate.training.optimizers import factor, set_rates
from acclimate.training.stage import Pass
from acclimate.training.step import Losses, NotFiniteError, Now, Stepper
from acclimate.training.stream import Stream, changed, cut

ELEMENTS = 2**25
"""Numbers of per-row gradients that are in memory at a time (128 MiB)."""


@dataclass(frozen=True)
class Noise:
    """How one stage is made private.

    Attributes:
        clip: largest norm of what one row adds to a step.
        multiplier: deviation of the noise, in units of ``clip``.
        seeded: whether sampling and noise follow from the run's seed, for tests; else from a key of the system, which
            only the checkpoints know.
    """

    clip: float
    multiplier: float
    seeded: bool = False


@runtime_checkable
class Rowwise(Protocol):
    """A method whose loss is a sum over rows: what one row adds does not depend on the others."""

    def each(self, step: Pass, name: str, batch: Batch) -> Tensor:
        """What each row of a stream's batch adds to the loss ``[n]``; the loss is the sum of the streams' means."""
        ...


class PoissonStream(Stream):
    """Batches of a domain in which each row is, or is not, by a coin of its own: their sizes differ, some are empty."""

    @property
    def rate(self) -> float:
        """The probability of a row to be in a batch."""
        return min(1.0, self.size / len(self.domain))

    def indices(self, step: int) -> np.ndarray:
        """The rows of the batch of a step."""
        coins = generator(self.seed, "poisson", self.name, step).random(len(self.domain))
        return self.domain.order[coins < self.rate]

    def batch(self, step: int, part: slice = slice(None)) -> Batch:
        """The batch of a step; one without rows has no inputs to collate."""
        if not len(self.indices(step)):
            return Batch(torch.zeros(0), None, self.name)
        return super().batch(step, part)


class _Holder(nn.Module):
    """Model and parts as one module, whose parameters can be replaced while a function runs."""

    def __init__(self, model: nn.Module, parts: Mapping[str, nn.Module]):
        super().__init__()
        self.model, self.parts = model, nn.ModuleDict(parts)

    def forward(self, call: Any) -> Any:
        return call()


class PrivateStepper(Stepper):
    """Takes one noisy step for all players of a method at once.

    Attributes:
        key: of noise and sampling; who knows it can take the noise away.
        signal: by parameter, the sum of squares of its gradients before noise, over all steps.
        batched: whether the gradients of rows are taken together (`torch.func.vmap`); some networks cannot, and then
            rows go one by one.
    """

    def __init__(self, *args: Any, noise: Noise, **options: Any):
        super().__init__(*args, **options)
        self.noise = noise
        self.key = derive(self.seed, "privacy") if noise.seeded else secrets.randbits(63)
        self.holder = _Holder(self.model, self.parts)
        self.signal: dict[str, float] = {}
        self.batched = True

    def step(self, batches: Mapping[str, Batch], number: int, progress: float) -> Losses:
        """Step ``number``: clipped sums of each stream's rows, noise once, divided by the expected rows.

        Raises:
            NotFiniteError: before any parameter was changed by what is not finite.
        """
        self.tuning.at(progress)
        set_rates(self.optimizer, factor(self.training, progress))
        learning = {name: p for name, p in self.holder.named_parameters() if p.requires_grad}
        total = {name: torch.zeros_like(p) for name, p in learning.items()}
        losses: Losses = {}
        chunk = max(1, ELEMENTS // max(1, sum(p.numel() for p in learning.values())))
        for name, batch in batches.items():
            if not len(batch):
                continue
            said = 0.0
            for turn, piece in enumerate(cut(batch, -(-len(batch) // chunk))):
                each, gradients = self._rows(learning, name, piece, Now(self, number, progress, turn, 0.0))
                length = torch.stack([g.flatten(1).norm(dim=1) for g in gradients.values()]).norm(dim=0)
                if not bool(length.isfinite().all()):
                    raise NotFiniteError(f"gradient of a row of '{name}'")
                shorter = (self.noise.clip / length.clamp(min=self.noise.clip)).to(length.dtype)
                for parameter, gradient in gradients.items():
                    total[parameter] += torch.einsum("n,n...->...", shorter, gradient)
                said += float(each.sum())
            losses[name] = torch.tensor(said / len(batch))
        self._move(learning, total, number)
        return losses

    def _rows(
        self, learning: Mapping[str, nn.Parameter], name: str, batch: Batch, now: Now
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What each row adds to the loss ``[n]``, and its gradients ``[n, ...]`` by parameter."""
        if self.batched:
            try:
                return self._together(learning, name, batch, now)
            except RuntimeError:  # an operation without a batching rule, or a branch that depends on values
                self.batched = False
        return self._one_by_one(learning, name, batch, now)

    def _together(
        self, learning: Mapping[str, nn.Parameter], name: str, batch: Batch, now: Now
    ) -> tuple[Tensor, dict[str, Tensor]]:
        def one(values: dict[str, Tensor], inputs: Any, targets: Tensor | None) -> tuple[Tensor, Tensor]:
            row = changed({"inputs": inputs, "targets": targets}, lambda value: value.unsqueeze(0))
            single = Batch(row["inputs"], row["targets"], name)
            loss = torch.func.functional_call(self.holder, values, (partial(self._each, now, name, single),)).sum()
            return loss, loss.detach()

        rows = torch.func.vmap(
            torch.func.grad(one, has_aux=True), in_dims=(None, 0, None if batch.targets is None else 0),
            randomness="different",
        )  # fmt: skip
        values = {parameter: p.detach() for parameter, p in learning.items()}
        gradients, losses = rows(values, batch.inputs, batch.targets)
        return losses, gradients

    def _one_by_one(
        self, learning: Mapping[str, nn.Parameter], name: str, batch: Batch, now: Now
    ) -> tuple[Tensor, dict[str, Tensor]]:
        losses, gradients = [], []
        for row in cut(batch, len(batch)):
            loss = self._each(now, name, row).sum()
            gradients.append(torch.autograd.grad(loss, list(learning.values()), materialize_grads=True))
            losses.append(loss.detach())
        stacked = [torch.stack(values) for values in zip(*gradients, strict=True)]
        return torch.stack(losses), dict(zip(learning, stacked, strict=True))

    def _each(self, now: Now, name: str, batch: Batch) -> Tensor:
        method: Any = self.method
        return method.each(now, name, batch)

    def _move(self, learning: Mapping[str, nn.Parameter], total: Mapping[str, Tensor], number: int) -> None:
        deviation, rows = self.noise.clip * self.noise.multiplier, self.training.batch_size
        source = torch.Generator().manual_seed(derive(self.key, "noise", number))
        self.everyone.forget()
        for name, parameter in learning.items():
            self.signal[name] = self.signal.get(name, 0.0) + float(total[name].square().sum())
            noise = torch.randn(parameter.shape, generator=source).to(parameter)
            parameter.grad = (total[name] + deviation * noise) / rows
        if (pull := self.tuning.penalty()) is not None:  # depends on no row
            pull.backward()
        self.optimizer.step()


class PrivateTrainer(Trainer):
    """A `Loop` that is trained with noise; resumes as others do, with the key that its checkpoints keep."""

    def __init__(self, *args: Any, noise: Noise, **options: Any):
        self.noise = noise
        super().__init__(*args, **options)
        if not isinstance(self.stage.method, Rowwise):
            raise SettingsError(f"{self.stage.name}: the loss is no sum over rows, and no row's part can be bounded")

    def _stepper(self, **options: Any) -> Stepper:
        return PrivateStepper(**options, noise=self.noise)

    @property
    def private(self) -> PrivateStepper:
        """The stepper as what it is."""
        assert isinstance(self.stepper, PrivateStepper)
        return self.stepper

    def _streams(self, seed: int) -> Mapping[str, Any]:
        backbone, task, stage = self.model.backbone, self.model.task, self.stage
        size, key = self.training.batch_size, self.private.key
        return {
            name: PoissonStream(name, domain, backbone, task, size=size, seed=key)
            for name, domain in stage.streams.items()
        }

    def train(self) -> Any:
        """As `Trainer.train`.

        Raises:
            AcclimateError: no row had a say in some part of the model, which noise alone has moved.
        """
        done = super().train()
        for name, player in (("neck", "model.neck."), ("head", "model.head."), ("backbone", "model.backbone.")):
            felt = [value for parameter, value in self.private.signal.items() if parameter.startswith(player)]
            if felt and not any(felt):
                raise AcclimateError(
                    f"{self.stage.name}: no gradient reached the {name} in {done.step} steps, so that noise alone has "
                    "moved it; raise --set training.batch_size, or take another --tune"
                )
        return done

    def record(self) -> dict[str, Any]:
        """What a run keeps of the loop, and of each stream how its rows were drawn."""
        streams = {
            name: {"rows": len(stream.domain), "rate": stream.rate}
            for name, stream in self.streams.items()
            if isinstance(stream, PoissonStream)
        }
        noise = {"noise": self.noise.multiplier, "clip": self.noise.clip, "streams": streams}
        return {**super().record(), "private": noise}

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, the key too."""
        return {**super().state(), "key": self.private.key, "signal": dict(self.private.signal)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        super().load(state)
        self.private.key, self.private.signal = state["key"], dict(state.get("signal", {}))
        self.streams = self._streams(self.private.key)
