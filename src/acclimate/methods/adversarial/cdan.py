"""CDAN: conditional domain-adversarial networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from acclimate.methods.adversarial.pieces import discriminator, domain_loss, ganin_schedule, reverse
from acclimate.methods.base import Align
from acclimate.methods.data import Need
from acclimate.tasks.sites import Site, Width
from acclimate.training.model import Step
from acclimate.training.stage import Pass

MOST_PRODUCTS = 4096
"""Above so many products of a feature and a class the map is randomised (paper: eq. 8)."""


@dataclass(frozen=True)
class CDAN(Align):
    """Features that a domain classifier cannot tell apart, given what the head says of them.

    The discriminator ``D`` sees the features ``f`` joined with the class probabilities ``g``: their outer
    product ``f (x) g``, or above 4096 products its randomised stand-in ``(R_f f) * (R_g g) / sqrt(k)``. So it
    is the joint distribution of features and classes that becomes alike::

        min over D, max over f of  E_s[w(H) log-loss(D(f (x) g), 0)] + E_t[w(H) log-loss(D(f (x) g), 1)]

    with ``w(H) = 1 + exp(-H(g))``: rows that the head is sure of count up to twice as much as others (CDAN+E). The
    features receive the gradient reversed and scaled by lambda, which grows from 0 to ``strength``. Probabilities
    and weights are taken as given: through them, the head could fool the discriminator by its answers alone.

    Helps where DANN mixes classes up: many classes, several modes. Hurts when the head is wrong on the target
    from the start, since the condition then holds the wrong rows together, and like every alignment when class
    shares differ (Zhao et al., ICML 2019). Related: `DANN` without the condition, `MCD` with the head as judge.

    Long et al., Conditional Adversarial Domain Adaptation, NeurIPS 2018, eq. 5 to 9.

    Attributes:
        strength: largest lambda (paper: 1; DomainBed searches 0.01 to 100, here 0.1 to 3 is sensible); 0 trains like
            source_only, bit for bit.
        gamma: steepness of lambda's schedule (paper: 10; needs no search).
        hidden: width of the discriminator's two hidden layers (authors' code: 1024; 64 to 1024); 0 is a linear one.
        entropy: whether sure rows weigh more (CDAN+E, the paper's better variant); False is plain CDAN.
        random: width of the randomised map (authors' code: 1024; needs no search).
    """

    strength: float = 1.0
    gamma: float = 10.0
    hidden: int = 256
    entropy: bool = True
    random: int = 1024

    name: ClassVar[str] = "cdan"
    about: ClassVar[str] = "domain-adversarial training given the predicted class (Long et al. 2018)"
    ranges: ClassVar[Mapping[str, str]] = {
        "strength": "[0, inf)",
        "gamma": "(0, inf)",
        "hidden": "[0, inf)",
        "random": "[1, inf)",
    }
    batched: ClassVar[tuple[str, ...]] = ("strength",)
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "strength": (1.0, 0.3, 3.0, 0.1),
        "entropy": (True, False),
    }
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "classes")

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """One discriminator with its map for each site."""
        return {
            f"discriminator_{name}": Conditional(width.values, width.probs, self.hidden, self.random)
            for name, width in sites.items()
        }

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """The domain loss on reversed features joined with what the head says."""
        strength = self.strength * ganin_schedule(step.progress, self.gamma)
        found = {}
        for name in source.sites:
            part, sites = step.parts[f"discriminator_{name}"], (source.sites[name], target.sites[name])
            assert isinstance(part, Conditional)
            probs = [_given(site) for site in sites]
            joined = [part.join(reverse(site.values, strength), g) for site, g in zip(sites, probs, strict=True)]
            weights = (sureness(probs[0]), sureness(probs[1])) if self.entropy else None
            found[f"domain_{name}"] = domain_loss(part.classifier, joined[0], joined[1], weights)
        return found

    def discriminate(self, parts: Mapping[str, nn.Module], name: str, site: Site) -> Tensor | None:
        """What the discriminator says, ``[n]``; None where it teaches nothing."""
        part = parts[f"discriminator_{name}"]
        assert isinstance(part, Conditional)
        return part.classifier(part.join(site.values, _given(site)))[:, 0] if self.strength else None


def _given(site: Site) -> Tensor:
    assert site.probs is not None, "a task with classes has probabilities"
    return site.probs.detach()


class Conditional(nn.Module):
    """A domain classifier of features joined with class probabilities; random matrices are buffers."""

    features: Tensor | None
    classes: Tensor | None

    def __init__(self, values: int, probs: int, hidden: int, random: int):
        super().__init__()
        products = values * probs
        randomised = products > MOST_PRODUCTS
        self.register_buffer("features", torch.randn(values, random) if randomised else None)
        self.register_buffer("classes", torch.randn(probs, random) if randomised else None)
        self.classifier = discriminator(random if randomised else products, hidden)

    def join(self, values: Tensor, probs: Tensor) -> Tensor:
        """``[n, d]`` and ``[n, c]`` to what the classifier reads."""
        if self.features is None or self.classes is None:
            return multilinear(values, probs)
        return random_multilinear(values, probs, self.features, self.classes)


def multilinear(values: Tensor, probs: Tensor) -> Tensor:
    """The outer product of each row's features ``[n, d]`` and probabilities ``[n, c]``: ``[n, d * c]`` (eq. 5)."""
    return (values[:, :, None] * probs[:, None, :]).flatten(1)


def random_multilinear(values: Tensor, probs: Tensor, features: Tensor, classes: Tensor) -> Tensor:
    """Its randomised stand-in, of nearly the same inner products (eq. 6; Long et al. 2018, theorem 2).

    Args:
        values: ``[n, d]``.
        probs: ``[n, c]``.
        features: ``[d, k]`` of independent entries with mean 0 and variance 1.
        classes: ``[c, k]`` of the same kind.

    Returns:
        ``[n, k]``.
    """
    return (values @ features) * (probs @ classes) / math.sqrt(features.shape[1])


def sureness(probs: Tensor) -> Tensor:
    """``1 + exp(-H)`` of probabilities ``[n, c]``: ``[n]``, 2 for a sure row, ``1 + 1 / c`` for an even one (eq. 9)."""
    return 1.0 + torch.special.entr(probs).sum(1).neg().exp()
