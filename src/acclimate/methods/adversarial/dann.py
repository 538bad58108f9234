"""DANN: domain-adversarial training of neural networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError, unknown
from acclimate.methods.adversarial.pieces import discriminator, domain_loss, ganin_schedule, reverse
from acclimate.methods.base import Align
from acclimate.tasks.sites import Site, Width
from acclimate.training.model import Step
from acclimate.training.stage import Pass, Update


@dataclass(frozen=True)
class DANN(Align):
    """Features that a domain classifier cannot tell apart.

    The classifier minimises the domain loss at full strength; the features receive its gradient
    reversed and scaled by lambda, which grows from 0 to ``strength`` (only there: a discriminator
    scaled by a small lambda never learns). At a saddle point of ``L_task - lambda L_domain`` the
    features are good for the task and useless for telling the domains apart.

    Helps when the domains differ in style and class shares are alike. Hurts when class shares
    differ: aligned features then mix classes (Zhao et al., ICML 2019).

    Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016, eq. 9 and section 5.2.2.
    The alternating form has two optimizers and trains the features with the domains' labels swapped
    (Tzeng et al., ADDA, CVPR 2017, eq. 7): its gradient does not vanish where the discriminator is sure.

    Attributes:
        strength: largest lambda (paper: 1; DomainBed searches 0.01 to 100, here 0.1 to 3 is sensible); 0 trains like
            source_only, bit for bit.
        gamma: steepness of lambda's schedule (paper: 10; needs no search).
        hidden: width of the discriminator's two hidden layers; 0 is a linear one (paper: 1024 for photos, 100 for
            digits).
        sites: names of the sites where it acts, such as ``output``; none: wherever the task has one.
        form: reversal (one backward pass) or alternating (discriminator first, then features).
    """

    strength: float = 1.0
    gamma: float = 10.0
    hidden: int = 256
    form: Literal["reversal", "alternating"] = "reversal"
    sites: tuple[str, ...] = ()

    name: ClassVar[str] = "dann"
    about: ClassVar[str] = "domain-adversarial training (Ganin et al. 2016)"
    ranges: ClassVar[Mapping[str, str]] = {"strength": "[0, inf)", "gamma": "(0, inf)", "hidden": "[0, inf)"}
    batched: ClassVar[tuple[str, ...]] = ("strength",)
    rowwise: ClassVar[bool] = True
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"strength": (1.0, 0.3, 3.0, 0.1)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form == "alternating":
            object.__setattr__(self, "batched", ())

    @property
    def adds(self) -> bool:
        """Only the form of one update does."""
        return self.form == "reversal"

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """One discriminator for each site."""
        chosen = {name: width for name, width in sites.items() if not self.sites or name in self.sites}
        if lost := set(self.sites) - set(sites):
            raise SettingsError(f"method.sites: {unknown('site', min(lost), list(sites))}")
        return {f"discriminator_{name}": discriminator(width.values, self.hidden) for name, width in chosen.items()}

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """The domain loss on reversed features."""
        strength = self.strength * ganin_schedule(step.progress, self.gamma)
        return self._domain(step, source.sites, target.sites, lambda values: reverse(values, strength))

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """Reversal: one update of everything. Alternating: the discriminators', then the model's."""
        if self.form == "reversal":
            yield from super().updates(step, batches)
            return
        source, target = step.run(batches["source"]), step.run(batches["target"])
        assert source.loss is not None
        strength = self.strength * ganin_schedule(step.progress, self.gamma)
        yield Update(self._domain(step, source.sites, target.sites, torch.detach), tuple(step.parts))
        fooled = self._domain(step, target.sites, source.sites, lambda values: values)  # domains swapped
        yield Update({"task": source.loss.mean(), **{name: strength * loss for name, loss in fooled.items()}})

    def each(self, step: Pass, name: str, batch: Batch) -> Tensor:
        """What a row adds to the loss of the form of one update ``[n]``: its task loss, if it has a label, and half of
        its domain loss at each site.
        """
        seen = step.run(batch)
        strength, label = self.strength * ganin_schedule(step.progress, self.gamma), float(name == "target")
        losses = [] if seen.loss is None else [seen.loss]
        for site, values in seen.sites.items():
            if f"discriminator_{site}" in step.parts:  # of these tasks a site has one vector a row
                logits = step.parts[f"discriminator_{site}"](reverse(values.values, strength))[:, 0]
                wrong = F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label), reduction="none")
                losses.append(0.5 * wrong)
        return torch.stack(losses).sum(0)

    def discriminate(self, parts: Mapping[str, nn.Module], name: str, site: Site) -> Tensor | None:
        """What the discriminator says, ``[n]``; None where it teaches nothing."""
        part = parts.get(f"discriminator_{name}")
        return None if part is None or not self.strength else part(site.values)[:, 0]

    @staticmethod
    def _domain(
        step: Pass, source: Mapping[str, Site], target: Mapping[str, Site], enter: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        return {
            f"domain_{name}": domain_loss(
                step.parts[f"discriminator_{name}"], enter(source[name].values), enter(target[name].values)
            )
            for name in source
            if f"discriminator_{name}" in step.parts
        }
