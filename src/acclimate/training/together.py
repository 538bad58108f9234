"""The steps of several settings of one method, carried out at once; see `acclimate.training.fleet`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from acclimate.domains.batch import Batch
from acclimate.tasks.sites import Site
from acclimate.training.model import Step
from acclimate.training.optimizers import factor, optimizer, set_rates
from acclimate.training.stage import Updates
from acclimate.training.step import Losses, Now, Stepper
from acclimate.training.tune import Group

Given = Callable[[Mapping[str, Tensor]], Updates]
"""A method from the settings in which the fleet's members differ."""
Seen = list[tuple[Batch, str, Tensor, Tensor | None]]
"""Of each forward pass: the batch, the name of its main site, and there ``[settings, n, d]`` and answers."""


class Together:
    """Carries out the steps of a fleet.

    Matrices are stored transposed, as their gradients come out of batched products.

    Attributes:
        parameters: by name, ``[settings, ...]``.
        buffers: those of the method's parts, likewise; the model's are common to all.
    """

    def __init__(self, one: Stepper, given: Given, settings: Mapping[str, Sequence[float]]):
        self.one, self.given = one, given
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
        self.optimizer = optimizer(groups, one.training)
        players = ["model.", *(f"parts.{name}." for name in one.parts)]
        self.players = [[p for n, p in self.parameters.items() if n.startswith(player)] for player in players]

    def _stack(self, value: Tensor) -> Tensor:
        return value.expand(self.count, *value.shape).clone(memory_format=torch.contiguous_format)

    def values(self, number: int, prefix: str) -> dict[str, Tensor]:
        """What of one setting's has a name that begins with a prefix, without it."""
        found = {name: _turned(p.detach()[number]) for name, p in self.parameters.items()}
        found |= {name: buffer[number] for name, buffer in self.buffers.items()}
        return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}

    def step(self, batches: Mapping[str, Batch], number: int, progress: float) -> tuple[Losses, dict[int, str], Seen]:
        """Step ``number`` at a share ``progress`` of the way.

        Returns:
            The losses by name, ``[settings]`` each; what was not finite, by setting; and what the method saw. A setting
            that failed is begun anew from zeros: it is of no use any more, but its sums stay finite.
        """
        set_rates(self.optimizer, factor(self.one.training, progress))
        losses, seen = self._forward(batches, number, progress)
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
        return {name: loss.detach() for name, loss in losses.items()}, failed, seen

    def _forward(self, batches: Mapping[str, Batch], number: int, progress: float) -> tuple[Losses, Seen]:
        passes: list[tuple[Batch, str]] = []

        def one(parameters: Losses, buffers: Losses, settings: Losses) -> tuple[Losses, list[Losses]]:
            step = _Pass(self.one, number, progress)
            losses = functional_call(self.whole, {**parameters, **buffers}, (self.given(settings), step, batches))
            passes.extend((batch, name) for batch, name, _ in step.seen)
            return losses, [_tensors(site) for _, _, site in step.seen]

        parameters = {name: _turned(p, 1) for name, p in self.parameters.items()}
        losses, seen = vmap(one, randomness="same")(parameters, self.buffers, self.settings)
        return losses, [(*named, site["values"], site.get("probs")) for named, site in zip(passes, seen, strict=True)]

    def _clip(self, gradients: list[Tensor], fine: Tensor) -> Tensor:
        """Shorten each setting's gradient as `Player.clip` does; ``fine`` where it is finite too."""
        if not gradients:
            return fine
        length = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        longest = self.one.training.clip
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
        self.seen: list[tuple[Batch, str, Site]] = []
        self._features = {id(batch): part for batch, part in zip(batches, parts, strict=True)}

    def _forward(self, batch: Batch) -> Step:
        step = self._stepper.model.answer(batch, self._features[id(batch)])
        self.seen.extend((batch, *site) for site in islice(step.sites.items(), 1))
        return step


def _tensors(site: Site) -> Losses:
    return {"values": site.values.detach(), **({} if site.probs is None else {"probs": site.probs.detach()})}


def _turned(value: Tensor, batched: int = 0) -> Tensor:
    """A matrix (behind ``batched`` dimensions) transposed, anything else as it is."""
    return value.mT if value.ndim - batched > 1 else value


def _said(losses: Losses, number: int) -> str:
    return ", ".join(f"{name} loss {value[number].item():g}" for name, value in losses.items())
