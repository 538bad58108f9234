"""Speaker verification: whether two sounds are of one voice, also of voices that training never heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.domain import Domain, Rows
from acclimate.errors import DataError
from acclimate.tasks.base import Answers, Kind, Metric, Site, Task
from acclimate.tasks.classify import Classify
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.verification import weighted_verification


@dataclass(frozen=True)
class VerifySpeaker(Task):
    """Training tells the source's speakers apart; what the head reads is then a voice, and two are compared by cosine.

    Labels are speakers. Those of the target may all be new ones, for metrics are over pairs of rows
    (`weighted_verification`). The prediction of a row is the nearest of the known speakers. Snyder et al., X-vectors,
    ICASSP 2018, train so.

    **Helps** with `speaker_encoder`, whose frozen features are voices as they are, or where the source has hundreds of
    speakers to learn from. **Hurts** with few speakers and a backbone that learns: it learns these and forgets others.
    No score without labels speaks of voices: the source model is kept unless labels of the target are permitted.

    Attributes:
        speakers: of the source.
    """

    speakers: tuple[str, ...]

    name: ClassVar[str] = "verify_speaker"
    kind: ClassVar[Kind] = "vector"
    primary: ClassVar[Metric] = Metric("eer", higher_is_better=False)

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The speakers of a labelled domain, sorted.

        Raises:
            DataError: rows that are no sounds, or fewer than two speakers.
        """
        if domain.schema.modality != "audio":
            raise DataError(f"{domain.name} is {domain.schema.modality}; voices are in sounds")
        return cls(Classify.from_domain(domain).classes)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(config["speakers"]))

    @property
    def apart(self) -> Classify:
        """What training asks: who of the source's speakers it is."""
        return Classify(self.speakers)

    def head(self, size: int) -> nn.Module:
        """Linear layer ``size -> speakers``."""
        return self.apart.head(size)

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """``logits [n, speakers]``, and ``voice [n, size]`` of length 1."""
        return {**self.apart.outputs(head, features), "voice": F.normalize(features, dim=-1)}

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``features``: one vector a row."""
        return self.apart.sites(features, outputs)

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Indices of speakers ``[n]`` int64; a speaker whom the source does not have raises DataError."""
        return self.apart.encode(labels)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Cross-entropy per example ``[n]``."""
        return self.apart.loss(outputs, targets)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """The nearest known speaker, how sure that is among the known ones, and the voice."""
        known = self.apart.decode(outputs, temperature, offsets)
        return Answers(known.prediction, known.confidence, vectors=np.asarray(outputs["voice"]))

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """eer, tar_at_far_1, threshold."""
        return weighted_verification(answers.vectors, labels)

    def solve(self, features: Any, labels: np.ndarray, penalty: float, weight: np.ndarray | None = None) -> nn.Linear:
        """See `Classify.solve`."""
        return self.apart.solve(features, labels, penalty, weight)

    def config(self) -> dict[str, Any]:
        """Name and speakers."""
        return {"name": self.name, "speakers": list(self.speakers)}
