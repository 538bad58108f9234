"""What a pretraining is: a loss on unlabelled rows, and the head that it needs while it lasts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.domains.augment import View
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Modality
from acclimate.settings import as_dict, within
from acclimate.tasks.sites import Site, Width
from acclimate.training.stage import Pass, Update


class Pretraining:
    """Base of all pretrainings: a frozen dataclass of settings, a head and a loss.

    A subclass declares ``name``, ``about`` and ``reads``, and implements `head` and `loss`.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    reads: ClassVar[tuple[Modality, ...]]
    """The kinds of rows that it can learn from."""
    loss_name: ClassVar[str]
    batch_size: ClassVar[int] = 32
    """Rows of each domain in one step, unless the user says otherwise."""
    views: ClassVar[tuple[View, ...]] = ()
    """Views that it wants of each batch."""
    ranges: ClassVar[Mapping[str, str]] = {}
    """The interval that each number among the settings must lie in, such as ``[0, inf)``."""

    def __post_init__(self) -> None:
        within(self, **self.ranges)

    def recipe(self) -> dict[str, Any]:
        """Name and settings, from which the registry makes it again."""
        return {"name": self.name, **as_dict(self)}

    def encoder(self, backbone: Backbone) -> Backbone:
        """What is trained in the backbone's place and shares its weights: the backbone itself, unless overridden.

        Raises:
            SettingsError: this backbone cannot be taught so.
        """
        return backbone

    @abstractmethod
    def head(self, encoder: Backbone, size: int) -> nn.Module:
        """The network on features ``[n, size]`` that is thrown away afterwards."""

    @abstractmethod
    def loss(self, step: Pass, batch: Batch) -> Tensor:
        """The mean loss of one domain's batch; the head is ``step.parts["head"]``."""


@dataclass(frozen=True)
class Objective:
    """A pretraining of one encoder, as a training loop sees it: the sum of the domains' losses.

    Rows are compared within their own domain, so that no loss can be lowered by telling the domains apart.
    """

    method: Pretraining
    encoder: Backbone

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The head."""
        return {"head": self.method.head(self.encoder, sites["features"].values)}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """One update of encoder and head."""
        name, count = self.method.loss_name, len(batches)
        losses = {
            name if count == 1 else f"{name}_{stream}": self.method.loss(step, batch)
            for stream, batch in batches.items()
        }
        yield Update(losses, ("model", "head"))


class Unasked:
    """What an encoder without a question has in the place of a task: no head, and its features as the only site."""

    name = "none"
    reads = "row"
    writes = likely = False

    def head(self, size: int) -> nn.Module:
        """Nothing."""
        return nn.Identity()

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def brief(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """All of the outputs, which are none."""
        return outputs

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """The features."""
        return {"features": Site(features, torch.arange(len(features), device=features.device))}

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> NoReturn:
        """There are no targets."""
        raise TypeError("pretraining has no labels")
