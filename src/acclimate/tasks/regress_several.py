"""Regression of several numbers for each row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.labels import ABSURD
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Task
from acclimate.tasks.metrics import Weighted, weighted_regression
from acclimate.tasks.sites import Site


@dataclass(frozen=True)
class RegressSeveral(Task):
    """Several numbers for each row; squared error on targets standardised by the source's means and deviations.

    A label is the list of its numbers, as JSON. Every number counts the same: loss and metrics are means over them, in
    units of their deviations. **Hurts** where one of them is mere noise: it takes its share of the loss all the same.

    Attributes:
        mean: of each number.
        scale: deviation of each number.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    name: ClassVar[str] = "regress"
    kind: ClassVar[Kind] = "numbers"
    primary: ClassVar[Metric] = Metric("mae", higher_is_better=False)
    structured: ClassVar[bool] = True

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """Means and deviations of a labelled domain; a number that never changes has the deviation 1.

        Raises:
            DataError: labels that are no lists of equally many numbers, or all the same.
        """
        if domain.labels is None:
            raise DataError(f"{domain.name}: regression needs labels; name their column with --label")
        values = as_vectors(domain.labels, domain.name)
        scale = values.std(axis=0)
        if not scale.any():
            raise DataError(f"{domain.name}: every label is {domain.labels[0]}; there is nothing to learn")
        return cls(tuple(values.mean(axis=0).tolist()), tuple(np.where(scale > 0, scale, 1.0).tolist()))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(map(float, config["mean"])), tuple(map(float, config["scale"])))

    def head(self, size: int) -> nn.Module:
        """Linear layer ``size -> numbers``."""
        return nn.Linear(size, len(self.mean))

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """``value [n, numbers]``, standardised."""
        return {"value": head(features)}

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``features``: one vector a row."""
        return {"features": Site(features, torch.arange(len(features), device=features.device))}

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Standardised targets ``[n, numbers]`` float32."""
        return torch.from_numpy((self.values(labels) - np.array(self.mean)) / np.array(self.scale)).float()

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Mean squared error of the numbers of each example ``[n]``, in units of the source's deviations."""
        return (outputs["value"] - targets).square().mean(-1)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """Numbers ``[n, numbers]`` in the units of the labels; a temperature and offsets have no meaning here."""
        return Answers(np.asarray(outputs["value"], dtype=np.float64) * np.array(self.scale) + np.array(self.mean))

    def values(self, labels: np.ndarray) -> np.ndarray:
        """Labels ``[n]`` as their numbers ``[n, numbers]``."""
        return as_vectors(labels, width=len(self.mean))

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """The mae and rmse in units of the source's deviations, and r2, as means over the numbers."""
        truth = self.values(labels)
        scale = np.array(self.scale)
        each = [
            weighted_regression(answers.prediction[:, k] / scale[k], truth[:, k] / scale[k]) for k in range(len(scale))
        ]

        def metrics(weight: np.ndarray | None) -> dict[str, float]:
            found = [one(weight) for one in each]
            return {name: float(np.mean([one[name] for one in found])) for name in found[0]}

        return metrics

    explained: ClassVar[str] = "number that is named"
    one_of: ClassVar[str] = "number"

    @property
    def explainable(self) -> tuple[str, ...]:
        """The numbers by their place, from 1."""
        return tuple(str(k + 1) for k in range(len(self.mean)))

    def told_of(self, answer: Any) -> str:
        """The number that is the most deviations from its mean."""
        far = np.abs((np.asarray(answer) - np.array(self.mean)) / np.array(self.scale))
        return self.explainable[int(far.argmax())]

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> int:
        """The place of the number."""
        return self.explainable.index(answer)

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """The number in the unit of the labels."""
        return outputs["value"][:, goal] * self.scale[goal] + self.mean[goal]

    def solve(self, features: Any, labels: np.ndarray, penalty: float, weight: np.ndarray | None = None) -> nn.Linear:
        """Ridge regression of each number with ``penalty * ||w||^2`` beside the summed squared error."""
        from sklearn.linear_model import Ridge

        fitted = Ridge(alpha=penalty).fit(features, self.encode(labels).double().numpy(), weight)
        layer = nn.Linear(features.shape[1], len(self.mean))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(fitted.coef_))
            layer.bias.copy_(torch.from_numpy(fitted.intercept_))
        return layer

    def config(self) -> dict[str, Any]:
        """Name, means and scales."""
        return {"name": self.name, "several": True, "mean": list(self.mean), "scale": list(self.scale)}


def as_vectors(labels: np.ndarray, where: str = "labels", width: int | None = None) -> np.ndarray:
    """Labels ``[n]``, each a JSON list of numbers, as float64 ``[n, numbers]``.

    Raises:
        DataError: not such a list, of another length than the others (or than ``width``), or numbers that are not
            finite or beyond 1e30; names the first such row.
    """
    rows: list[list[float]] = []
    for i, label in enumerate(labels):
        try:
            found = json.loads(label)
            rows.append([float(value) for value in found])
        except (TypeError, ValueError):
            raise DataError(f"{where}: row {i + 1} holds '{str(label)[:60]}', expected a list of numbers") from None
        width = width or len(rows[0])
        if len(rows[i]) != width:
            raise DataError(f"{where}: row {i + 1} holds {len(rows[i])} numbers, expected {width}")
    values = np.array(rows, dtype=np.float64).reshape(len(rows), width or 0)
    bad = ~(np.abs(values) <= ABSURD).all(axis=1)
    if bad.any():
        raise DataError(
            f"{where}: {int(bad.sum())} rows hold numbers that are not usable (NaN, infinite or beyond {ABSURD:g}); "
            f"the first is row {int(bad.argmax()) + 1}: {labels[int(bad.argmax())][:60]}"
        )
    return values
