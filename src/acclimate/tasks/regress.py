"""Regression: one number for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.labels import as_numbers
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Task
from acclimate.tasks.metrics import Weighted, regression, weighted_regression
from acclimate.tasks.sites import Site


@dataclass(frozen=True)
class Regress(Task):
    """A number for each row; squared error on targets standardised by the source's mean and deviation."""

    mean: float = 0.0
    scale: float = 1.0

    name: ClassVar[str] = "regress"
    kind: ClassVar[Kind] = "number"
    primary: ClassVar[Metric] = Metric("mae", higher_is_better=False)
    explained: ClassVar[str] = "number"

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """Mean and deviation of a labelled domain.

        Raises:
            DataError: labels that are no numbers, or all the same.
        """
        if domain.labels is None:
            raise DataError(f"{domain.name}: regression needs labels; name their column with --label")
        values = as_numbers(domain.labels)
        if values.std() == 0:
            raise DataError(f"{domain.name}: every label is {values[0]:g}; there is nothing to learn")
        return cls(float(values.mean()), float(values.std()))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(float(config["mean"]), float(config["scale"]))

    def head(self, size: int) -> nn.Module:
        """Linear layer ``size -> 1``."""
        return nn.Linear(size, 1)

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """``value [n]``, standardised."""
        return {"value": head(features).squeeze(-1)}

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``features``: one vector a row."""
        return {"features": Site(features, torch.arange(len(features), device=features.device))}

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Standardised targets ``[n]`` float32."""
        return torch.from_numpy((as_numbers(labels) - self.mean) / self.scale).float()

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Squared error per example ``[n]``, in units of the source's deviation."""
        return (outputs["value"] - targets).square()

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """Numbers in the unit of the labels; a temperature and offsets have no meaning here."""
        return Answers(prediction=np.asarray(outputs["value"], dtype=np.float64) * self.scale + self.mean)

    def metrics(self, answers: Answers, labels: np.ndarray) -> dict[str, float]:
        """mae, rmse, r2, in the unit of the labels."""
        return regression(answers.prediction, as_numbers(labels))

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """`metrics` as a function of the rows' weights, for resampling."""
        return weighted_regression(answers.prediction, as_numbers(labels))

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """The number in the unit of the labels."""
        return outputs["value"] * self.scale + self.mean

    def solve(self, features: Any, labels: np.ndarray, penalty: float, weight: np.ndarray | None = None) -> nn.Linear:
        """Ridge regression with ``penalty * ||w||^2`` beside the summed squared error."""
        from sklearn.linear_model import Ridge

        fitted = Ridge(alpha=penalty).fit(features, self.encode(labels).double().numpy(), weight)
        layer = nn.Linear(features.shape[1], 1)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(fitted.coef_)[None])
            layer.bias.fill_(float(fitted.intercept_))
        return layer

    def ridge(self, penalty: float, labels: np.ndarray) -> float:
        """Twice the penalty: the squared error comes without a half."""
        return 2.0 * penalty

    def config(self) -> dict[str, Any]:
        """Name, mean and scale."""
        return {"name": self.name, "mean": self.mean, "scale": self.scale}
