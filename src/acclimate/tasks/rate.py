"""Rating: the number that a user would give to an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.interactions import KNOWN
from acclimate.domains.labels import as_numbers
from acclimate.errors import SettingsError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.regress import Regress
from acclimate.tasks.sites import Site


class Product(nn.Module):
    """The inner product of the halves of a vector, beside a linear layer on all of it: biased matrix factorisation.

    Koren, Bell, Volinsky, Computer 2009, eq. 4, with biases that are linear in the vectors.
    """

    def __init__(self, size: int):
        super().__init__()
        self.linear = nn.Linear(size, 1)
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.bias.zero_()

    def forward(self, pairs: Tensor) -> Tensor:
        """``[n, size] -> [n]``."""
        user, item = pairs.chunk(2, dim=-1)
        return (user * item).sum(-1) + self.linear(pairs).squeeze(-1)


@dataclass(frozen=True)
class Rate(Regress):
    """A rating for each pair of a user and an item; squared error, answers within the ratings that were seen.

    Attributes:
        low: the lowest rating seen.
        high: the highest.
    """

    low: float = -np.inf
    high: float = np.inf

    name: ClassVar[str] = "rate"
    primary: ClassVar[Metric] = Metric("rmse", higher_is_better=False)

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """Mean and deviation of the ratings, and the range of all that are known, of the other domain too.

        Raises:
            DataError: ratings that are no numbers, or all the same.
        """
        plain = super().from_domain(domain)
        assert domain.labels is not None
        values = as_numbers(domain.labels)
        if KNOWN in domain.tables:
            values = domain.tables[KNOWN]["value"].dropna().to_numpy()
        return replace(plain, low=float(values.min()), high=float(values.max()))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(*(float(config[name]) for name in ("mean", "scale", "low", "high")))

    def head(self, size: int) -> nn.Module:
        """The product of user and item, and biases."""
        return Product(size)

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """``value [n]``, standardised."""
        return {"value": head(features)}

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """Two sites, ``user`` and ``item``: a vector of each a row."""
        owner = torch.arange(len(features), device=features.device)
        user, item = features.chunk(2, dim=-1)
        return {"user": Site(user, owner), "item": Site(item, owner)}

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """Ratings in the unit of the labels, cut to the range that was seen."""
        plain = super().decode(outputs, temperature, offsets, rows)
        return Answers(np.clip(plain.prediction, self.low, self.high))

    def solve(self, features: Any, labels: np.ndarray, penalty: float, weight: np.ndarray | None = None) -> nn.Linear:
        """Refused: a product of two vectors that both are learned is not convex.

        Raises:
            SettingsError: always.
        """
        raise SettingsError("task 'rate' has no convex head: vectors of users and items are learned; use --tune full")

    def config(self) -> dict[str, Any]:
        """As of a regression, and the range."""
        return {**super().config(), "low": self.low, "high": self.high}
