"""Several settings of one method, trained in one loop.

On frozen features a step is small, and much of it is overhead. Here the models of all settings have their parameters
stacked, ``[settings, ...]``; one batch goes through all of them at once (`torch.func.vmap`), and each has its own
losses, gradients, clipping and optimizer state. Each ends where it would have ended alone but for rounding, as sums are
taken in another order. Batch norm has no place in it: its statistics would be taken once for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from acclimate.domains.batch import Batch
from acclimate.training import checkpoint
from acclimate.training.loop import Report, Trainer, diverged
from acclimate.training.model import Model, Step
from acclimate.training.optimizers import factor, optimizer, set_rates
from acclimate.training.settings import Training
from acclimate.training.stage import Loop, Updates
from acclimate.training.step import Losses, Now, Stepper
from acclimate.training.tune import Group

Given = Callable[[Mapping[str, Tensor]], Updates]
"""A method from the settings in which the fleet's members differ."""


class Fleet(Trainer):
    """One `Loop` on as many models as there are settings; `train` leaves the model given as it was but for its mode.

    Args:
        model: what every member starts from; frozen features, dense, without batch norm.
        stage: the loop; its method says what the members have in common.
        given: the method for given settings.
        settings: by name, the values in which the members differ, one each.
        reports: where each member tells its losses; the first one's progress stands for all.
        **options: the other arguments of `Trainer`. ``training.keep`` is taken as ``last``.
    """

    def __init__(
        self,
        model: Model,
        stage: Loop,
        given: Given,
        settings: Mapping[str, Sequence[float]],
        *,
        training: Training,
        reports: Sequence[Report],
        **options: Any,
    ):
        super().__init__(model, stage, training=training, report=reports[0], **options)
        self.reports = reports
        self.together = Together(self.stepper, training, given, settings)
        self.lost: dict[str, str] = {}

    def member(self, number: int) -> Model:
        """A model of its own for one member; the backbone is shared."""
        backbone = self.model.backbone
        model = deepcopy(self.model, {id(backbone): backbone})
        model.load_state_dict(self.together.values(number, "model."), strict=False)
        return model

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "together": {**self.together.parameters, **self.together.buffers},
            "optimizer": checkpoint.optimizer_state(self.together.optimizer),
            "counters": vars(self.counters),
            "lost": self.lost,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        with torch.no_grad():
            for name, value in {**self.together.parameters, **self.together.buffers}.items():
                value.copy_(state["together"][name])
        checkpoint.restore_optimizer(self.together.optimizer, state.get("optimizer", {}))
        self.counters = type(self.counters)(**state["counters"])
        self.lost = dict(state.get("lost", {}))

    def _update(self, batches: Mapping[str, Batch]) -> Losses:
        done = self.counters
        losses, failed = self.together.step(batches, done.step, done.step / done.total)
        for number, what in failed.items():
            self.lost.setdefault(str(number), str(diverged(self.stage.name, what, done.step)))
        return losses

    def _enough(self) -> bool:
        return len(self.lost) == len(self.reports)

    def _log(self, losses: Mapping[str, Tensor]) -> None:
        table = {name: value.tolist() for name, value in losses.items()}
        shown: dict[str, float] = {}
        for number, report in reversed(list(enumerate(self.reports))):
            if str(number) not in self.lost:
                shown = {name: round(values[number], 6) for name, values in table.items()}
                report.log({"step": self.counters.step, "losses": shown})
        self.report.progress(self.counters.step, self.counters.total, shown)


class Together:
    """Carries out the steps of a fleet.

    Matrices are stored transposed, as their gradients come out of batched products.

    Attributes:
        parameters: by name, ``[settings, ...]``.
        buffers: those of the method's parts, likewise; the model's are common to all.
    """

    def __init__(self, one: Stepper, training: Training, given: Given, settings: Mapping[str, Sequence[float]]):
        self.one, self.training, self.given = one, training, given
        self.count = len(next(iter(settings.values())))
        device = one.place.device
        self.settings = {name: torch.tensor(values, device=device) for name, values in settings.items()}
        self.whole = _Whole(one)
        rates = {id(p): group.rate for group in one.everyone.groups for p in group.parameters}
        self.parameters, groups = {}, []
        for name, p in self.whole.named_parameters():
            if id(p) in rates:
                self.parameters[name] = nn.Parameter(self._stack(_turned(p.detach())))
                groups.append(Group([self.parameters[name]], rates[id(p)], decays=p.ndim > 1))
        self.buffers = {name: self._stack(b) for name, b in self.whole.named_buffers() if name.startswith("parts.")}
        self.optimizer = optimizer(groups, training)
        players = ["model.", *(f"parts.{name}." for name in one.parts)]
        self.players = [[p for n, p in self.parameters.items() if n.startswith(player)] for player in players]

    def _stack(self, value: Tensor) -> Tensor:
        return value.expand(self.count, *value.shape).clone(memory_format=torch.contiguous_format)

    def values(self, number: int, prefix: str) -> dict[str, Tensor]:
        """The parameters of one setting whose names begin with a prefix, without it."""
        found = {name: p for name, p in self.parameters.items() if name.startswith(prefix)}
        return {name.removeprefix(prefix): _turned(p.detach()[number]) for name, p in found.items()}

    def step(self, batches: Mapping[str, Batch], number: int, progress: float) -> tuple[Losses, dict[int, str]]:
        """Step ``number`` at a share ``progress`` of the way.

        Returns:
            The losses by name, ``[settings]`` each; and what was not finite, by setting. Such a setting is begun anew
            from zeros: it is of no use any more, but its sums stay finite.
        """
        set_rates(self.optimizer, factor(self.training, progress))
        losses = self._losses(batches, number, progress)
        for p in self.parameters.values():
            p.grad = None
        total = torch.stack(list(losses.values())).sum(0)
        total.sum().backward()
        fine = total.isfinite()
        failed = {} if fine.all() else {k: _said(losses, k) for k in (~fine).nonzero()[:, 0].tolist()}
        for player in self.players:
            fine = self._clip([p.grad for p in player if p.grad is not None], fine)
        if not fine.all():
            lost = (~fine).nonzero()[:, 0].tolist()
            failed = {k: failed.get(k, "gradient") for k in lost}
            self._forget(lost)
        self.optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}, failed

    def _losses(self, batches: Mapping[str, Batch], number: int, progress: float) -> Losses:
        def one(parameters: Losses, buffers: Losses, settings: Losses) -> Losses:
            step = _Pass(self.one, number, progress)
            return functional_call(self.whole, {**parameters, **buffers}, (self.given(settings), step, batches))

        parameters = {name: _turned(p, 1) for name, p in self.parameters.items()}
        return vmap(one, randomness="same")(parameters, self.buffers, self.settings)

    def _clip(self, gradients: list[Tensor], fine: Tensor) -> Tensor:
        """Shorten each setting's gradient as `Player.clip` does; ``fine`` where it is finite too."""
        if not gradients:
            return fine
        length = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        longest = self.training.clip
        if longest and (length > longest).any():
            share = torch.where(length > longest, longest / length, 1.0)
            for g in gradients:
                g.mul_(share.view(-1, *[1] * (g.ndim - 1)))
        return fine & length.isfinite()

    @torch.no_grad()
    def _forget(self, lost: Sequence[int]) -> None:
        for p in self.parameters.values():
            held = [s for s in self.optimizer.state.get(p, {}).values() if isinstance(s, Tensor) and s.shape == p.shape]
            for value in (p, p.grad, *held):
                if value is not None:
                    value[lost] = 0.0


class _Whole(nn.Module):
    """Model and parts as one module, whose call gives the losses of a method of one update."""

    def __init__(self, one: Stepper):
        super().__init__()
        self.model, self.parts = one.model, nn.ModuleDict(one.parts)

    def forward(self, method: Updates, step: _Pass, batches: Mapping[str, Batch]) -> Losses:
        step.look([side for batch in batches.values() for side in (batch, *batch.views.values())])
        (update,) = method.updates(step, batches)
        return dict(update.losses)


class _Pass(Now):
    """A step that sends all batches through bottleneck at once: its weights, of all settings, are read once."""

    def look(self, batches: Sequence[Batch]) -> None:
        features = self._stepper.model.features(torch.cat([batch.inputs for batch in batches]))
        parts = features.split([len(batch) for batch in batches])
        self._features = {id(batch): part for batch, part in zip(batches, parts, strict=True)}

    def run(self, batch: Batch, draw: str = "") -> Step:
        self._seed(batch, draw)
        return self._stepper.model.answer(batch, self._features[id(batch)])


def _turned(value: Tensor, batched: int = 0) -> Tensor:
    """A matrix (behind ``batched`` dimensions) transposed, anything else as it is."""
    return value.mT if value.ndim - batched > 1 else value


def _said(losses: Losses, number: int) -> str:
    return ", ".join(f"{name} loss {value[number].item():g}" for name, value in losses.items())
