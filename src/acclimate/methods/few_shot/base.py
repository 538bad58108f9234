"""What a few-shot classifier is: from a few labelled feature vectors to logits of others, for many tasks at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from acclimate.settings import as_dict, within


class Level:
    """Base of all few-shot classifiers: a frozen dataclass of settings.

    It works on tasks that are stacked: one task is a batch of one, and the folds of leave-one-out are a batch of as
    many tasks as there are rows, each of which may use all rows but one.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    transductive: ClassVar[bool] = False
    """Whether the query rows of a task are looked at together, so that an answer depends on the others."""
    ranges: ClassVar[Mapping[str, str]] = {}
    """The interval that each number among the settings must lie in, such as ``(0, inf)``."""
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Values of a setting among which held-out support rows choose, the default first."""

    def __post_init__(self) -> None:
        within(self, **self.ranges)

    def recipe(self) -> dict[str, Any]:
        """Name and settings, from which it is made again."""
        return {"name": self.name, **as_dict(self)}

    @abstractmethod
    def logits(self, support: Tensor, targets: Tensor, query: Tensor, ways: int, known: Tensor | None = None) -> Tensor:
        """What it says of the query rows of each task.

        Args:
            support: features ``[tasks, support, d]``.
            targets: ``[tasks, support]`` int64, each row's class, 0 to ``ways`` - 1.
            query: features ``[tasks, query, d]``.
            ways: how many classes there are.
            known: ``[tasks, support]`` bool, the support rows that may be used; the others are as if they were not
                there. None: all.

        Returns:
            ``[tasks, query, ways]``; a class without a known row has the logit -inf.
        """


def membership(targets: Tensor, ways: int, known: Tensor | None = None) -> Tensor:
    """``[tasks, support, ways]`` float: 1 where a known row is of a class."""
    member = F.one_hot(targets, ways).float()
    return member if known is None else member * known.unsqueeze(-1)


def class_means(support: Tensor, member: Tensor) -> Tensor:
    """The mean feature of each class ``[tasks, ways, d]``; that of a class without rows is 0."""
    return member.mT @ support / member.sum(1).clamp_min(1.0).unsqueeze(-1)


def centred(support: Tensor, query: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Both scaled to length 1, less the mean of the known support rows of their task.

    The length of a row is taken off first: of few rows, the longest would otherwise be most of the mean.
    """
    support, query = F.normalize(support, dim=-1), F.normalize(query, dim=-1)
    weight = torch.ones_like(support[..., :1]) if known is None else known.unsqueeze(-1).to(support.dtype)
    mean = (support * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1.0)
    return support - mean, query - mean


def without_absent(logits: Tensor, member: Tensor) -> Tensor:
    """Logits ``[tasks, query, ways]``, -inf for classes without a known row."""
    return logits.masked_fill((member.sum(1) == 0).unsqueeze(1), float("-inf"))
