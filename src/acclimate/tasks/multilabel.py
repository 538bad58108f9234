"""Several yes-or-no questions for each row, of which some are not answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.labels import label_columns
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Task
from acclimate.tasks.flags import flags
from acclimate.tasks.metrics import Weighted, weighted_areas
from acclimate.tasks.sites import Site


@dataclass(frozen=True)
class Multilabel(Task):
    """A logit for each of several labels; binary cross-entropy over those that are known of a row.

    A label is a JSON list of 0, 1 and null, in the order of the label columns (``--label A --label B``). A row of which
    nothing is known costs nothing.

    **Helps** where questions share what answers them, as assays of one set of molecules. **Hurts** where one is asked
    far more often than the rest: each known answer counts the same.

    Attributes:
        names: of the labels.
    """

    names: tuple[str, ...]

    name: ClassVar[str] = "multilabel"
    kind: ClassVar[Kind] = "labels"
    primary: ClassVar[Metric] = Metric("roc_auc")
    explained: ClassVar[str] = "log-odds of the label, or the mean over the labels that were answered"
    structured: ClassVar[bool] = True

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The labels that a domain names.

        Raises:
            DataError: no labels, one alone, answers that are neither yes nor no, or a label of one answer only.
        """
        if domain.labels is None:
            raise DataError(f"{domain.name}: no labels; name their columns with --label, once for each")
        values = flags(domain.labels, domain.name)
        names = label_columns(domain.schema.label)
        if len(names) != values.shape[1]:
            names = _numbers(values.shape[1])
        for name, column in zip(names, values.T, strict=True):
            seen = np.unique(column[~np.isnan(column)])
            if len(seen) < 2:
                told = f"always {seen[0]:g}" if len(seen) else "never known"
                raise DataError(f"{domain.name}: label '{name}' is {told}; leave it out")
        return cls(names)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(config["names"]))

    def head(self, size: int) -> nn.Module:
        """Linear layer ``size -> labels``."""
        return nn.Linear(size, len(self.names))

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """``logits [n, labels]``."""
        return {"logits": head(features)}

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``features``: one vector a row."""
        return {"features": Site(features, torch.arange(len(features), device=features.device))}

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """``[n, labels]`` float32: 0, 1, NaN where unknown."""
        return torch.from_numpy(flags(labels, width=len(self.names))).float()

    def check(self, domain: Domain, *, learned: bool = True) -> None:
        """Refuse columns of other names, or in another order: answers would be held against other questions.

        Raises:
            DataError: names both lists.
        """
        columns = label_columns(domain.schema.label)
        if len(columns) > 1 and columns != self.names and not self._numbered:
            raise DataError(
                f"{domain.name}: the label columns are {', '.join(columns)}, and the model answers "
                f"{', '.join(self.names)}; give them under these names and in this order, --label once for each"
            )

    @property
    def _numbered(self) -> bool:
        """Whether the labels came without names, as those of an array."""
        return self.names == _numbers(len(self.names))

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Mean binary cross-entropy over the known labels of each row ``[n]``; 0 where none is known."""
        known = ~targets.isnan()
        each = F.binary_cross_entropy_with_logits(outputs["logits"], targets.nan_to_num(), reduction="none")
        return (each * known).sum(1) / known.sum(1).clamp(min=1)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """A JSON list of 0 and 1 for each row, and the probability of each label."""
        logits = np.asarray(outputs["logits"], dtype=np.float64) / temperature
        probabilities = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
        said = [json.dumps((row > 0).astype(int).tolist()) for row in logits]
        return Answers(np.array(said, dtype=object), probabilities=probabilities, classes=self.names)

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """roc_auc and pr_auc, the means over the labels of which the rows show both answers, and of each its own."""
        known, scores = flags(labels, width=len(self.names)), answers.probabilities
        if scores is None or not len(labels):
            raise DataError("no rows to evaluate: metrics need at least one labelled row")
        shown = [k for k, column in enumerate(known.T) if len(np.unique(column[~np.isnan(column)])) == 2]
        if not shown:
            raise DataError("no label has both answers in these rows: ROC-AUC needs a yes and a no")
        there = {k: ~np.isnan(known[:, k]) for k in shown}
        areas = {k: weighted_areas(scores[there[k], k], known[there[k], k] == 1) for k in shown}

        def metrics(weight: np.ndarray | None) -> dict[str, float]:
            each = {k: area(None if weight is None else np.asarray(weight)[there[k]]) for k, area in areas.items()}
            found = {name: float(np.mean([area[name] for area in each.values()])) for name in ("roc_auc", "pr_auc")}
            return {**found, **{f"roc_auc_{self.names[k]}": area["roc_auc"] for k, area in each.items()}}

        return metrics

    @property
    def explainable(self) -> tuple[str, ...]:
        """The labels."""
        return self.names

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """Log-odds of a label; of an answer the mean over its labels, or, where it has none, that of none."""
        if goal in self.names:
            return outputs["logits"][:, self.names.index(goal)]
        said = np.flatnonzero(json.loads(goal))
        return outputs["logits"][:, said].mean(1) if len(said) else -outputs["logits"].mean(1)

    def solve(self, features: Any, labels: np.ndarray, penalty: float, weight: np.ndarray | None = None) -> nn.Linear:
        """A logistic regression for each label, on the rows of which it is known; see `Classify.solve`."""
        from sklearn.linear_model import LogisticRegression

        known = flags(labels, width=len(self.names))
        layer = nn.Linear(features.shape[1], len(self.names))
        for k, column in enumerate(known.T):
            there = np.flatnonzero(~np.isnan(column))
            if len(np.unique(column[there])) < 2:
                raise DataError(f"label '{self.names[k]}' has one answer only among the labelled training rows")
            given = None if weight is None else weight[there]
            fitted = LogisticRegression(C=1.0 / penalty, max_iter=1000).fit(features[there], column[there], given)
            with torch.no_grad():
                layer.weight[k] = torch.from_numpy(fitted.coef_[0])
                layer.bias[k] = float(fitted.intercept_[0])
        return layer

    def config(self) -> dict[str, Any]:
        """Name and labels."""
        return {"name": self.name, "names": list(self.names)}


def _numbers(count: int) -> tuple[str, ...]:
    """What labels without names are called."""
    return tuple(f"label {k + 1}" for k in range(count))
