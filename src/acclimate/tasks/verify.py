"""Verification: whether two rows are of one person, also of people whom training never saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.domain import Domain, Rows
from acclimate.errors import DataError
from acclimate.settings import as_dict, build, within
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Task
from acclimate.tasks.classify import Classify
from acclimate.tasks.identity import arcface_logits, batch_hard_triplet
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.sites import Site
from acclimate.tasks.verification import roc, weighted_verification

UNKNOWN = "unknown"
"""The answer for a row that is like none of the known people."""
STRANGERS = 0.05
"""Share of held-out strangers' rows that would still be given a known person's name."""
MARGINS = {"softmax": 0.0, "arcface": 0.5, "triplet": 0.2}
SHOWN = 5


@dataclass(frozen=True)
class Head:
    """How vectors are taught.

    Attributes:
        loss: softmax over the known people; arcface (the same on cosines, with an angular margin; Deng et al. 2019); or
            triplet (batch-hard; Hermans et al. 2017).
        margin: of arcface in radians (0.5), of triplet in distance (0.2); null takes these.
        scale: of arcface, by which cosines are multiplied.
        rows: of triplet, how many rows of each person a batch holds together.
    """

    loss: Literal["softmax", "arcface", "triplet"] = "softmax"
    margin: float | None = None
    scale: float = 30.0
    rows: int = 4

    def __post_init__(self) -> None:
        within(self, margin="[0, 2]", scale="(0, inf)", rows="[2, inf)")

    @property
    def width(self) -> float:
        """The margin that holds."""
        return MARGINS[self.loss] if self.margin is None else self.margin


class People(nn.Linear):
    """One weight a known person for training; and, once trained, where each one's rows are and how near is near.

    Attributes:
        centres: ``[people, size]`` of length 1, the mean direction of each one's training rows.
        threshold: cosine below which a row is of none of them.
    """

    centres: Tensor
    threshold: Tensor

    def __init__(self, size: int, people: int):
        super().__init__(size, people)
        self.register_buffer("centres", torch.zeros(people, size))
        self.register_buffer("threshold", torch.tensor(-1.0))


@dataclass(frozen=True)
class Verify(Task):
    """Training tells the source's people apart; what the head reads then is whose row it is, compared by cosine.

    Labels are people (or other identities). Those of the target may all be new ones, for metrics are over pairs of rows
    (`weighted_verification`); what is held out of the source are people, not rows. Taigman et al., DeepFace, CVPR 2014,
    and Snyder et al., X-vectors, ICASSP 2018, train so.

    The prediction of a row is the known person whose training rows it is most like, or ``unknown`` below the cosine
    that one in twenty rows of held-out people reaches. Without held-out people everybody gets a name.

    **Helps** with features that are of identities already (`speaker_encoder`), or where the source has hundreds of
    people to learn from. **Hurts** with few people and a network that learns: it learns these and forgets others. No
    score without labels speaks of vectors: the source model is kept unless labels of the target are permitted.

    Attributes:
        people: of the source, those who are trained on.
        how: the loss.
    """

    people: tuple[str, ...]
    how: Head = Head()

    name: ClassVar[str] = "verify"
    kind: ClassVar[Kind] = "vector"
    primary: ClassVar[Metric] = Metric("eer", higher_is_better=False)
    settings: ClassVar[type | None] = Head

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The people of a labelled domain, sorted.

        Raises:
            DataError: fewer than two people, or none with two rows.
        """
        if domain.labels is None:
            raise DataError(
                f"{domain.name}: verification needs to know whose each row is; name that column with --label"
            )
        counts = Counter(domain.labels.tolist())
        if len(counts) < 2:
            raise DataError(
                f"{domain.name}: all {len(domain)} rows are of one person ({domain.labels[0]!r}); at least two are "
                "needed to learn what tells people apart"
            )
        if max(counts.values()) < 2:
            raise DataError(
                f"{domain.name}: each of the {len(counts)} people has one row only; verification compares two rows of "
                "one person, so some must have two (is --label the column of the people?)"
            )
        return cls(tuple(sorted(counts)))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(config["people"]), build(Head, config["head"], "head"))

    def given(self, settings: Mapping[str, Any]) -> Self:
        """With this loss."""
        return replace(self, how=build(Head, settings, "head"))

    def learned_from(self, domain: Domain) -> Self:
        """With the people of these rows alone: who is held out is a stranger."""
        assert domain.labels is not None
        people = tuple(sorted(set(domain.labels.tolist())))
        if len(people) < 2:
            raise DataError(
                f"{domain.name}: two people are needed to learn from, and one was held out; lower --validation "
                "(0 holds out nobody)"
            )
        return replace(self, people=people)

    def remarks(self, domain: Domain) -> tuple[str, ...]:
        """Who has one row only: nothing is learned of what stays the same about them."""
        assert domain.labels is not None
        single = sorted(name for name, count in Counter(domain.labels.tolist()).items() if count == 1)
        if not single:
            return ()
        more = f" and {len(single) - SHOWN} more" if len(single) > SHOWN else ""
        return (
            f"{domain.name}: one row only of {', '.join(map(str, single[:SHOWN]))}{more}: no two rows of one person",
        )

    @property
    def apart(self) -> Classify:
        """What training asks: whose row it is of the known people."""
        return Classify(self.people)

    @property
    def together(self) -> int:
        """Of triplets, several rows of each person."""
        return self.how.rows if self.how.loss == "triplet" else 1

    @property
    def moves(self) -> bool:
        """Margins and triplets speak of vectors: those of a frozen backbone cannot heed them."""
        return self.how.loss != "softmax"

    def head(self, size: int) -> nn.Module:
        """See `People`."""
        return People(size, len(self.people))

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """``vector [n, size]`` of length 1, ``near [n, people]`` its cosine with each known person, ``known [n]``
        whether one is near enough, and ``scores [n, people]`` for the loss (of arcface cosines; of triplet none).
        """
        assert isinstance(head, People)
        vector = F.normalize(features, dim=-1)
        near = vector @ head.centres.T
        found = {"vector": vector, "near": near, "known": near.amax(-1) >= head.threshold}
        if self.how.loss == "softmax":
            found["scores"] = head(features)
        if self.how.loss == "arcface":
            found["scores"] = vector @ F.normalize(head.weight, dim=-1).T
        return found

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``features``: one vector a row."""
        return {"features": Site(features, torch.arange(len(features), device=features.device))}

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Indices of people ``[n]`` int64; one whom the source does not have raises DataError."""
        return self.apart.encode(labels)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """The loss that was chosen, per example ``[n]``; of triplets within the batch."""
        if self.how.loss == "triplet":
            return batch_hard_triplet(outputs["vector"], targets, self.how.width)
        scores = outputs["scores"]
        if self.how.loss == "arcface":
            scores = arcface_logits(scores, targets, self.how.width, self.how.scale)
        return F.cross_entropy(scores, targets, reduction="none")

    @torch.no_grad()
    def settle(
        self,
        head: nn.Module,
        known: Mapping[str, np.ndarray],
        labels: np.ndarray,
        held: Mapping[str, np.ndarray] | None,
    ) -> None:
        """Remember where each person's training rows are, and how near the rows of held-out people come to them."""
        assert isinstance(head, People)
        owner = self.encode(labels)
        vectors = torch.from_numpy(known["vector"]).to(head.centres)
        sums = torch.zeros_like(head.centres).index_add_(0, owner.to(vectors.device), vectors)
        head.centres.copy_(F.normalize(sums, dim=-1))
        if held is not None and len(held["vector"]):
            nearest = (torch.from_numpy(held["vector"]).to(head.centres) @ head.centres.T).amax(-1)
            head.threshold.copy_(torch.quantile(nearest, 1 - STRANGERS))

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """The nearest known person or `UNKNOWN`, the cosine (at least 0), and the vector."""
        near = np.asarray(outputs["near"], dtype=np.float64)
        names = np.array(self.people, dtype=object)[near.argmax(axis=1)]
        names[~np.asarray(outputs["known"], dtype=bool)] = UNKNOWN
        return Answers(names, near.max(axis=1).clip(0, 1), vectors=np.asarray(outputs["vector"]))

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """eer, tar_at_far_0.01, tar_at_far_0.001, threshold, rank1."""
        return weighted_verification(answers.vectors, labels)

    def curves(self, answers: Answers, labels: np.ndarray) -> dict[str, Any]:
        """``roc``, see `acclimate.tasks.verification.roc`."""
        return {} if answers.vectors is None else {"roc": roc(answers.vectors, labels)}

    explained: ClassVar[str] = "cosine that speaks for the answer"
    one_of: ClassVar[str] = "person of the training rows"

    @property
    def explainable(self) -> tuple[str, ...]:
        """The known people."""
        return self.people

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """How near a row is to a known person, or how far from all of them ``[n]``."""
        near = outputs["near"]
        return -near.amax(-1) if goal == UNKNOWN else near[:, self.people.index(goal)]

    def solve(self, features: Any, labels: np.ndarray, penalty: float, weight: np.ndarray | None = None) -> nn.Linear:
        """Nothing: vectors of a frozen backbone are compared as they are, and `settle` finds where people are."""
        head = People(features.shape[1], len(self.people))
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head

    def config(self) -> dict[str, Any]:
        """Name, people and loss."""
        return {"name": self.name, "people": list(self.people), "head": as_dict(self.how)}


@dataclass(frozen=True)
class VerifySpeaker(Verify):
    """`Verify` for voices: the same, and rows are sounds."""

    name: ClassVar[str] = "verify_speaker"

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The speakers of a labelled domain, sorted.

        Raises:
            DataError: rows that are no sounds; else as of `Verify`.
        """
        if domain.schema.modality != "audio":
            raise DataError(f"{domain.name} is {domain.schema.modality}; voices are in sounds (use --task verify)")
        return super().from_domain(domain)
