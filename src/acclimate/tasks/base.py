"""What a task is: head, loss per example, answers, metrics, and the sites where an alignment may act."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.domains.domain import Domain, Modality, Rows, Shapes
from acclimate.domains.labels import as_numbers
from acclimate.errors import SettingsError
from acclimate.tasks.answers import Answers, Metric, Pseudo
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.sites import Site

Kind = Literal["class", "labels", "number", "numbers", "text", "vector"]
Reads = Literal["row", "pair", "words", "sentences", "states", "maps"]
KEPT: tuple[Reads, ...] = ("row", "sentences")
"""What of a frozen backbone the feature cache keeps."""


class Task(ABC):
    """One question. A task knows no method and no modality; it derives from this class.

    Attributes:
        name: by which users ask for it.
        kind: what an answer is: one of some classes (with a probability each), several labels of which any may hold,
            a number, several numbers, a text, or a vector by which rows are compared.
        primary: the metric that decides.
        reads: one vector a "row"; or `Units`: of a "pair" (a question, a line break, and the text that is asked about)
            the tokens, of a text the "words" or the "sentences", each of these as a row of a frozen backbone, or all
            "states" of an encoder; or `Maps` of an image.
        modality: what rows are taken for, unless the user says, where not one vector of each is read.
        shapes: what labels of images are where they lie in files of their own; they are found beside the images unless
            the user names others.
        structured: whether a label may be a list or a mapping, as JSON.
        writes: whether the head is the backbone's own (its `Writer`, or what finds objects), in the place of a fresh
            one; it is shown the targets that it is to learn.
        likely: whether answers are judged by how likely the model finds the right ones, and not by what it says.
        aligns: whether there are features that an alignment can act on.
        matched: whether each vector of a site has its counterpart in another view of the rows.
        settings: dataclass of what a recipe's section `head` may set, if anything.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    primary: ClassVar[Metric]
    reads: ClassVar[Reads] = "row"
    modality: ClassVar[Modality] = "text"
    shapes: ClassVar[Shapes] = ""
    structured: ClassVar[bool] = False
    writes: ClassVar[bool] = False
    likely: ClassVar[bool] = False
    aligns: ClassVar[bool] = True
    matched: ClassVar[bool] = True
    settings: ClassVar[type | None] = None

    def given(self, settings: Mapping[str, Any]) -> Self:
        """The task with settings of a recipe's section `head`.

        Raises:
            SettingsError: it has none, or not these.
        """
        if settings:
            raise SettingsError(f"task '{self.name}' has no settings, found head.{next(iter(settings))}; leave it out")
        return self

    def learned_from(self, domain: Domain) -> Self:
        """The task as training asks it of these rows, once others are held out; most ask the same.

        Raises:
            DataError: of what is left nothing can be learned.
        """
        return self

    @property
    def together(self) -> int:
        """How many rows of one label a batch of training holds side by side."""
        return 1

    @property
    def moves(self) -> bool:
        """Whether the loss means nothing where features cannot learn."""
        return False

    @classmethod
    def self_labelled(cls, domain: Domain) -> Domain:
        """An unlabelled domain with the labels that its rows are themselves; of most tasks they are none."""
        return domain

    @property
    def probable(self) -> bool:
        """Whether some of its sites have probabilities."""
        return self.kind == "class"

    @property
    def possible(self) -> tuple[str, ...]:
        """The names that answers may hold, as of classes; empty where they hold none, or any."""
        return ()

    def without(self, names: Collection[str]) -> Self:
        """The same task that does not know these classes.

        Raises:
            SettingsError: it has no classes, not these, or fewer than two are left.
        """
        raise SettingsError(f"task '{self.name}' has no classes that could be forgotten; classify has")

    def named(self, label: str) -> Collection[str]:
        """The names that a canonical label holds, where answers hold names."""
        return ()

    @classmethod
    @abstractmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The task that a labelled domain asks.

        Raises:
            DataError: no labels, or labels that do not fit.
        """

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The task that gave this `config`."""

    @abstractmethod
    def head(self, size: Any) -> nn.Module:
        """A fresh head on features of this size; of maps on widths by stride, finest first (`Spec.maps`)."""

    def own_head(self, backbone: Backbone) -> nn.Module:
        """What of the backbone is the head, of a task whose head is the backbone's own.

        Raises:
            SettingsError: the backbone has no such head.
        """
        raise TypeError(f"task '{self.name}' has a fresh head")

    @abstractmethod
    def outputs(self, head: nn.Module, features: Any) -> dict[str, Tensor]:
        """What the head says of features ``[n, size]`` (or `Units`, `Maps`), by name."""

    def brief(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What of the outputs `decode` needs: all of them, unless that is much less, as of maps."""
        return outputs

    @property
    def tokenwise(self) -> bool:
        """Whether answers are made of `tokens`."""
        return False

    def tokens(self, outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits ``[m, classes]`` of each token or frame that answers are made of, and whether it says something
        ``[m]`` bool.

        Raises:
            SettingsError: answers of this task are not made of such.
        """
        raise SettingsError(f"answers of task '{self.name}' are not made of tokens")

    def own_targets(self, outputs: Mapping[str, Tensor]) -> Tensor | None:
        """What was answered as targets, where the tokens of an answer are known only once it is given; else None."""
        return None

    def calibration(
        self, outputs: Mapping[str, np.ndarray], labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Logits ``[m, classes]`` of rows, or of places in them, and their classes ``[m]``, which a temperature is
        found by; None where answers have none.

        Args:
            outputs: on labelled rows.
            labels: of these, canonical.
        """
        return None

    @property
    def teaches(self) -> bool:
        """Whether it makes `sure_targets` of outputs."""
        return False

    def sure_targets(self, outputs: Mapping[str, Tensor], threshold: float) -> tuple[Tensor, Tensor]:
        """What is sure among the answers of a batch, as targets of its other views ``[n, ...]``, and how much of each
        row that is ``[n]``, 0 to 1.

        Raises:
            SettingsError: answers of this task are not learned so.
        """
        raise SettingsError(f"answers of task '{self.name}' are no targets of other views")

    @abstractmethod
    def sites(self, features: Any, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """Where an alignment may act; the first is the main one."""

    @abstractmethod
    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Labels ``[n]`` to training targets ``[n, ...]``; unknown labels raise DataError.

        ``rows`` are the inputs, in which a task finds what a label speaks of.
        """

    def placed(self, labels: np.ndarray, inputs: Any) -> Tensor:
        """Labels ``[n]`` of a batch to training targets ``[n, ...]`` that lie as its collated inputs do: of maps."""
        raise TypeError(f"task '{self.name}' encodes labels without their inputs")

    def remarks(self, domain: Domain) -> tuple[str, ...]:
        """What is odd about the labels of a domain, a sentence each; nothing of it is refused."""
        return ()

    def check(self, domain: Domain, *, learned: bool = True) -> None:  # noqa: B027 - most tasks take any label
        """Refuse a labelled domain of which some labels do not fit their rows.

        ``learned`` says that they will be learned, and not only judged by.

        Raises:
            DataError: names the first such row.
        """

    @abstractmethod
    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Loss per example ``[n]``."""

    def settle(  # noqa: B027 - most tasks know all by their weights
        self,
        head: nn.Module,
        known: Mapping[str, np.ndarray],
        labels: np.ndarray,
        held: Mapping[str, np.ndarray] | None,
    ) -> None:
        """Let the head of a trained model remember what it has to know of labelled rows beside its weights.

        Args:
            head: changed in place.
            known: outputs on the training rows.
            labels: of these, canonical.
            held: outputs on held-out rows, or None.
        """

    @abstractmethod
    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """Outputs to answers; logits are divided by the temperature, then the classes' offsets are added.

        ``rows`` are the inputs, out of which a task may quote.
        """

    def surest(self, outputs: Mapping[str, np.ndarray], share: float, rows: Rows) -> Pseudo:
        """The share of the answers that it is surest of, as labels; empty texts are none."""
        answers = self.decode(outputs, rows=rows)
        assert answers.confidence is not None, "what teaches itself knows how sure it is"
        said = np.flatnonzero([bool(str(text).strip()) for text in answers.prediction])
        count = max(1, round(share * len(rows)))
        kept = np.sort(said[np.argsort(-answers.confidence[said], kind="stable")[:count]])
        sure = float(answers.confidence[kept].mean()) if len(kept) else 0.0
        return Pseudo(kept, answers.prediction[kept], sure)

    def metrics(self, answers: Answers, labels: np.ndarray) -> dict[str, float]:
        """All metrics of answers against canonical labels ``[n]``."""
        return self.weighted_metrics(answers, labels)(None)

    @abstractmethod
    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """`metrics` as a function of the rows' weights: a bootstrap replicate is a count per row."""

    def curves(self, answers: Answers, labels: np.ndarray) -> dict[str, Any]:
        """Curves by name, as JSON values, which `evaluate` gives of the deployed model."""
        return {}

    def values(self, labels: np.ndarray) -> np.ndarray:
        """Canonical labels ``[n]`` as the numbers that they are, in the form of a prediction.

        Raises:
            DataError: they are none.
        """
        return as_numbers(labels)

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """The best answer that is the same whatever a row holds ``[n]``, where it is neither a class nor a number."""
        return np.full(len(labels), "", dtype=object)

    def baselines(self, rows: Rows) -> dict[str, Answers]:
        """Plain answers to these rows, by name, which `evaluate` shows beside the arms: those that need no labels."""
        return {}

    def solve(self, features: Any, labels: np.ndarray, penalty: float, weight: np.ndarray | None = None) -> nn.Linear:
        """The convex head on features ``[n, d]`` (array or sparse): global optimum under an L2 penalty.

        ``weight`` ``[n]`` is each row's part in the mean loss.

        Raises:
            SettingsError: the task has none.
        """
        raise SettingsError(f"task '{self.name}' has no convex head; use --tune full")

    explained: ClassVar[str]
    """What `score` gives, in words."""
    one_of: ClassVar[str] = "class"
    """What each of `explainable` is called."""

    @property
    def explainable(self) -> tuple[str, ...]:
        """The names that may be explained in the place of what was answered, as a class that was not."""
        return ()

    def told_of(self, answer: Any) -> Any:
        """What of an answer is explained: the answer, or one of `explainable`."""
        return answer

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> Any:
        """What `score` is asked of an answer to one row: the answer itself, or its training targets ``[1, ...]``.

        Args:
            answer: a prediction of `decode`, or a name of `explainable`.
            rows: the one row.
            inputs: the same, collated.
        """
        return answer

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """How strongly outputs of ``n`` versions of a row say an answer that was given to it, ``[n]``; differentiable.

        Of answers that are targets it is minus their loss, which is a mean log-probability.

        Args:
            outputs: of the versions.
            goal: of `goal`; targets are given once for each version.
        """
        return -self.loss(outputs, goal)

    def ridge(self, penalty: float, labels: np.ndarray) -> float | None:
        """What `solve` minimises with this penalty: ``ridge / 2 * ||W||^2`` beside the *sum* of `loss` over rows.

        None where that is not so: no convex head, or one that weighs rows otherwise than the loss does.
        """
        return None

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """JSON that rebuilds the task."""
