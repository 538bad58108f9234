"""Classification into two or many classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.domain import Domain, Rows
from acclimate.errors import DataError, SettingsError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Task
from acclimate.tasks.metrics import Weighted, classification, weighted_classification
from acclimate.tasks.sites import Site


@dataclass(frozen=True)
class Classify(Task):
    """One of ``classes`` for each row; cross-entropy, softmax."""

    classes: tuple[str, ...]

    name: ClassVar[str] = "classify"
    kind: ClassVar[Kind] = "class"
    primary: ClassVar[Metric] = Metric("accuracy")
    explained: ClassVar[str] = "log-odds of the class"

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The classes that a labelled domain shows, sorted.

        Raises:
            DataError: fewer than two classes.
        """
        if domain.labels is None:
            raise DataError(f"{domain.name}: classification needs labels; name their column with --label")
        classes = tuple(sorted(set(domain.labels)))
        if len(classes) < 2:
            raise DataError(f"{domain.name}: only one class ({classes[0]!r}) in {len(domain)} rows; two are needed")
        return cls(classes)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(config["classes"]))

    @property
    def possible(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    def without(self, names: Collection[str]) -> Self:
        """The other classes, in their order."""
        if foreign := sorted(set(names) - set(self.classes)):
            raise SettingsError(f"class '{foreign[0]}' is none of the model's: {', '.join(self.classes)}")
        left = tuple(name for name in self.classes if name not in names)
        if len(left) < 2:
            told = f"only '{left[0]}' would be left" if left else "none would be left"
            raise SettingsError(f"of {len(self.classes)} classes {told}; a model has to tell two at least")
        return replace(self, classes=left)

    def named(self, label: str) -> Collection[str]:
        """The class that it is."""
        return (label,)

    def head(self, size: int) -> nn.Module:
        """Linear layer ``size -> classes``."""
        return nn.Linear(size, len(self.classes))

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """``logits [n, classes]``."""
        return {"logits": head(features)}

    def calibration(
        self, outputs: Mapping[str, np.ndarray], labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Those of every row."""
        return outputs["logits"], self.encode(labels).numpy()

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``features``: one vector a row."""
        owner = torch.arange(len(features), device=features.device)
        return {"features": Site(features, owner, outputs["logits"].softmax(-1))}

    @property
    def teaches(self) -> bool:
        """Always."""
        return True

    def sure_targets(self, outputs: Mapping[str, Tensor], threshold: float) -> tuple[Tensor, Tensor]:
        """The likeliest class of each row; it counts if its probability reaches the threshold."""
        confidence, best = outputs["logits"].softmax(-1).max(-1)
        return best, (confidence >= threshold).to(confidence.dtype)

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Class indices ``[n]`` int64.

        Raises:
            DataError: a label that is not among the classes.
        """
        index = {name: i for i, name in enumerate(self.classes)}
        foreign = sorted({str(label) for label in labels} - set(index))
        if foreign:
            raise DataError(f"labels that are not among the classes {list(self.classes)}: {foreign[:10]}")
        return torch.tensor([index[label] for label in labels], dtype=torch.int64)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Cross-entropy per example ``[n]``."""
        return F.cross_entropy(outputs["logits"], targets, reduction="none")

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """The likeliest class; probabilities are softmax of ``logits / temperature + offsets``."""
        logits = np.asarray(outputs["logits"], dtype=np.float64) / temperature
        if len(offsets):
            logits = logits + np.asarray(offsets)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=1, keepdims=True)
        best = probabilities.argmax(axis=1)
        return Answers(
            prediction=np.array(self.classes, dtype=object)[best],
            confidence=probabilities[np.arange(len(best)), best],
            probabilities=probabilities,
            classes=self.classes,
        )

    def metrics(self, answers: Answers, labels: np.ndarray) -> dict[str, float]:
        """accuracy, balanced_accuracy, macro_f1, log_loss, ece; of two classes also roc_auc and pr_auc."""
        return classification(answers.prediction, answers.probabilities, labels, self.classes)

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """`metrics` as a function of the rows' weights, for resampling."""
        return weighted_classification(answers.prediction, answers.probabilities, labels, self.classes)

    @property
    def explainable(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """Log-odds: a shift of all logits is none of it, and of two classes it is the difference of their logits."""
        own = self.classes.index(goal)
        others = [k for k in range(len(self.classes)) if k != own]
        return outputs["logits"][:, own] - outputs["logits"][:, others].logsumexp(1)

    def solve(self, features: Any, labels: np.ndarray, penalty: float, weight: np.ndarray | None = None) -> nn.Linear:
        """Multinomial logistic regression with ``penalty / (2 n) * ||W||^2`` beside the mean loss.

        A class without rows gets the logit -30: it is never the answer.

        Raises:
            DataError: the labels show fewer than two classes.
        """
        from sklearn.linear_model import LogisticRegression

        targets = self.encode(labels).numpy()
        if len(np.unique(targets)) < 2:
            raise DataError(f"only one class ({labels[0]!r}) in {len(labels)} labelled training rows; two are needed")
        fitted = LogisticRegression(C=1.0 / penalty, max_iter=1000).fit(features, targets, weight)
        weight, bias = fitted.coef_, fitted.intercept_
        if len(weight) == 1:  # scikit-learn keeps one row for two classes: the second against the first
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        every = np.zeros((len(self.classes), weight.shape[1])), np.full(len(self.classes), -30.0)
        every[0][fitted.classes_], every[1][fitted.classes_] = weight, bias
        return _linear(*every)

    def ridge(self, penalty: float, labels: np.ndarray) -> float:
        """The penalty; twice that of two classes, of which scikit-learn keeps one row of weights, and we two halves."""
        return penalty * (2.0 if len(np.unique(self.encode(labels))) == 2 else 1.0)

    def config(self) -> dict[str, Any]:
        """Name and classes."""
        return {"name": self.name, "classes": list(self.classes)}


def _linear(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        layer.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))
    return layer
