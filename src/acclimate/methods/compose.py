"""Several methods as one: ``dann+mcc``, or ``DANN() + MCC()``.

Methods that add losses (`Align`) share one training; methods that change a trained model (`Tail`) follow it. With
``joint`` among the first (``joint+dann``) they add to training on the labels of both domains. One that harmonises
frozen features (`Harmonize`) comes before all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.methods.base import Align, Harmony, Method, Tail
from acclimate.methods.data import Data, Need
from acclimate.methods.harmonize.base import Harmonize
from acclimate.methods.transfer.joint import Joint
from acclimate.methods.transfer.source_only import SourceOnly
from acclimate.settings import as_dict
from acclimate.tasks.sites import Site, Width
from acclimate.training.model import Model, Step
from acclimate.training.stage import Discriminates, Loop, Pass, Stage, Update


def compose(methods: Sequence[Method]) -> Method:
    """The methods as one.

    Raises:
        SettingsError: a combination without a meaning; says which, and why.
    """
    members = [member for method in methods for member in getattr(method, "members", (method,))]
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        raise SettingsError(f"method '{Counter(names).most_common(1)[0][0]}' is named twice; once is enough")
    losses = [member for member in members if isinstance(member, Align)]
    tails = [member for member in members if isinstance(member, Tail)]
    before = [member for member in members if isinstance(member, Harmonize)]
    others = [member for member in members if not isinstance(member, Align | Tail | Harmonize)]
    if len(before) > 1:
        raise SettingsError(f"methods '{before[0].name}' and '{before[1].name}' both harmonise features; take one")
    both = bool(losses) and [type(member) for member in others] == [Joint]
    others = [] if both else others
    for member in others:
        if "target_labels" in member.needs:
            raise SettingsError(f"method '{member.name}' learns from target labels and cannot be combined with others")
        if len(others) + len(losses) > 1:
            rest = " and ".join(f"'{m.name}'" for m in (*losses, *others) if m is not member)
            raise SettingsError(
                f"method '{member.name}' has a training of its own, so that {rest} cannot add to it; "
                "it can be followed by methods that change the trained model, such as mlls"
            )
    for member in losses:
        if len(losses) > 1 and not member.adds:
            raise SettingsError(
                f"method '{member.name}' does more than add losses in this form, and cannot add to others"
            )
    ordered = sorted(tails, key=lambda tail: ORDER.index(tail.changes))
    for tail, other in pairwise(ordered):
        if tail.changes == other.changes:
            raise SettingsError(f"methods '{tail.name}' and '{other.name}' both change the {tail.changes}; take one")
    trainer = Losses(tuple(losses), both=True) if both else _trainer(losses, others)
    return Composite(tuple(members), trainer, tuple(ordered), before[0] if before else None)


ORDER = ("statistics", "weights", "class shares", "answers")
"""What a trained model's changes are made to, in order: shares last, as they rest on calibrated answers."""


def _trainer(losses: Sequence[Align], others: Sequence[Method]) -> Method:
    if others:
        return others[0]
    if len(losses) > 1:
        return Losses(tuple(losses))
    return losses[0] if losses else SourceOnly()


@dataclass(frozen=True)
class Composite(Method):
    """A method that trains, followed by those that change the trained model."""

    members: tuple[Method, ...]
    trainer: Method
    tails: tuple[Tail, ...]
    before: Harmonize | None = None

    def __post_init__(self) -> None:
        every: tuple[Method, ...] = (*([self.before] if self.before else []), self.trainer, *self.tails)
        object.__setattr__(self, "name", "+".join(member.name for member in self.members))
        object.__setattr__(self, "needs", tuple(dict.fromkeys(need for member in every for need in member.needs)))
        object.__setattr__(self, "aligns", any(member.aligns for member in every))
        plain = self.before is None and isinstance(self.trainer, SourceOnly) and all(tail.echoes for tail in self.tails)
        object.__setattr__(self, "echoes", plain)

    def recipe(self) -> dict[str, Any]:
        """Names, and each member's settings under its name."""
        return {"name": self.name, **{member.name: as_dict(member) for member in self.members}}

    def searched(self, convex: bool) -> dict[str, tuple[Any, ...]]:
        """Every member's, as ``member.setting``; what matters most to each comes first."""
        found = [
            (place, f"{member.name}.{key}", values)
            for member in self.members
            for place, (key, values) in enumerate(member.searched(convex).items())
        ]
        return {key: values for _, key, values in sorted(found, key=lambda row: row[0])}

    @property
    def harmony(self) -> Harmony | None:
        """Of the member that has one."""
        return None if self.before is None else self.before.harmony

    @property
    def joins(self) -> bool:
        """As the method that trains."""
        return self.trainer.joins

    @property
    def merges(self) -> bool:
        """As soon as a member does."""
        return any(member.merges for member in self.members)

    def misses(self, data: Data) -> str:
        """The first that a member misses."""
        return next((why for member in self.members if (why := member.misses(data))), "")

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """The first that a member lacks."""
        return next((why for member in self.members if (why := member.lacks(backbone, frozen))), "")

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """The trainer's, then what changes its model."""
        return [*self.trainer.stages(data, convex), *(stage for tail in self.tails for stage in tail.tail(data))]


@dataclass(frozen=True)
class Losses(Align):
    """The terms of several methods beside one task loss, or beside that of ``both`` domains."""

    members: tuple[Align, ...]
    both: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", "+".join(member.name for member in self.members))
        object.__setattr__(self, "views", tuple(dict.fromkeys(view for m in self.members for view in m.views)))
        own = tuple(dict.fromkeys(need for member in self.members for need in member.needs))
        needs: tuple[Need, ...] = (*own, "target_labels") if self.both else own
        object.__setattr__(self, "needs", needs)
        if all(member.batched for member in self.members):
            names = tuple(f"{member.name}.{name}" for member in self.members for name in member.batched)
            object.__setattr__(self, "batched", names)

    @property
    def numbers(self) -> dict[str, float]:
        """Every member's, as ``member.setting``."""
        return {f"{m.name}.{name}": value for m in self.members for name, value in m.numbers.items()}

    def given(self, values: Mapping[str, Any]) -> Losses:
        """Each member with its own."""
        flat = {
            m.name: {n: values[f"{m.name}.{n}"] for n in m.batched if f"{m.name}.{n}" in values} for m in self.members
        }
        return Losses(tuple(member.given(flat[member.name]) for member in self.members), self.both)

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One loop; where both domains are learned, the target's stream is of its labelled rows."""
        if not self.both:
            return super().stages(data, convex)
        assert data.source is not None and data.labelled_target is not None
        streams = {"source": data.source, "target": data.labelled_target}
        validation, views = data.labelled_target_validation, {"target": self.views}
        return [Loop(self.name, streams, self, validation=validation, views=views)]

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The task's loss on the source, or on both domains, and the terms."""
        if not self.both:
            yield from super().updates(step, batches)
            return
        source, target = step.run(batches["source"]), step.run(batches["target"])
        assert source.loss is not None and target.loss is not None
        task = {"task_source": source.loss.mean(), "task_target": target.loss.mean()}
        yield Update({**task, **self.terms(step, source, target)}, ("model", *step.parts))

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """Every member's, under the member's name."""
        return {f"{m.name}_{name}": part for m in self.members for name, part in m.parts(sites).items()}

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """Every member's, under the member's name."""
        return {
            f"{member.name}_{name}": loss
            for member in self.members
            for name, loss in member.terms(_Share(step, f"{member.name}_"), source, target).items()
        }

    def discriminate(self, parts: Mapping[str, nn.Module], name: str, site: Site) -> Tensor | None:
        """What the first member's discriminator says that has one."""
        member = next((member for member in self.members if isinstance(member, Discriminates)), None)
        return None if member is None else member.discriminate(_own(parts, f"{member.name}_"), name, site)


class _Share:
    """The step as one member sees it: with its own parts."""

    def __init__(self, step: Pass, prefix: str):
        self._step, self.progress, self.share = step, step.progress, step.share
        self.parts: Mapping[str, nn.Module] = _own(step.parts, prefix)

    def run(self, batch: Batch, draw: str = "") -> Step:
        return self._step.run(batch, draw)

    def open(self, batch: Batch, draw: str = "") -> Model:
        return self._step.open(batch, draw)


def _own(parts: Mapping[str, nn.Module], prefix: str) -> dict[str, nn.Module]:
    return {name.removeprefix(prefix): part for name, part in parts.items() if name.startswith(prefix)}
