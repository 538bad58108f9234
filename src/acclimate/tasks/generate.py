"""Going on where a text stops: causal language models, and how well they know the texts of a domain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn

from acclimate.backbones.writer import Writer
from acclimate.domains.domain import Domain, Rows
from acclimate.domains.rows import ListRows, texts_of
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.sites import Units
from acclimate.tasks.writing import Write, strings

UNKNOWING = math.log(256)
"""Nats a byte of who knows nothing of texts."""


@dataclass(frozen=True)
class Generate(Write):
    """What follows a text: the labels, or without any, the texts themselves (continued pretraining; Gururangan et al.,
    ACL 2020), whose prompts are then empty.

    It is judged by how likely given texts are, not by what is written: bits a byte, which can be compared between
    vocabularies, and perplexity, the same for tokens.

    Attributes:
        own: whether texts are learned as they are.
    """

    own: bool = False

    name: ClassVar[str] = "generate"
    primary: ClassVar[Metric] = Metric("bits_per_byte", higher_is_better=False)
    likely: ClassVar[bool] = True
    aligns: ClassVar[bool] = False

    @classmethod
    def self_labelled(cls, domain: Domain) -> Domain:
        """Its texts as what follows nothing."""
        if domain.schema.modality != "text":
            raise DataError(f"{domain.name} is {domain.schema.modality}; language models go on where texts stop")
        prompts = np.full(len(domain), "", dtype=object)
        return replace(
            domain, rows=ListRows(prompts), labels=np.array([*texts_of(domain.rows), None], dtype=object)[:-1]
        )

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """Whether texts are learned as they are: all prompts are empty.

        Raises:
            DataError: no labels, or rows that are no texts.
        """
        if domain.labels is None:
            raise DataError(f"{domain.name}: texts that follow are needed; name their column with --label")
        if domain.schema.modality != "text":
            raise DataError(f"{domain.name} is {domain.schema.modality}; language models go on where texts stop")
        return cls(not any(texts_of(domain.rows)))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(bool(config["own"]))

    def remarks(self, domain: Domain) -> tuple[str, ...]:
        """How many texts are empty: they teach that a text may end at once."""
        assert domain.labels is not None
        empty = sum(not str(label).strip() for label in domain.labels)
        return (f"{domain.name}: {empty} of {len(domain)} texts are empty",) if empty else ()

    def outputs(self, head: nn.Module, features: Units) -> dict[str, Tensor]:
        """As of all that write; of a given text its ``nats [n]`` and ``tokens [n]``, and no logits: those of a long
        text and a large vocabulary are too many to keep.
        """
        if features.targets is None:
            return super().outputs(head, features)
        assert isinstance(head, Writer)
        nats, tokens = head.nats(features.values, features.mask, strings(features.targets.cpu().numpy()))
        return {"nats": nats, "tokens": tokens}

    @property
    def tokenwise(self) -> bool:
        """Never: of a text that is learned only the sum over its tokens is kept."""
        return False

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Mean cross-entropy over the tokens of each text ``[n]``."""
        return outputs["nats"] / outputs["tokens"]

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """What was written; of given texts how likely they are, and an empty prediction."""
        if "nats" not in outputs:
            return super().decode(outputs, temperature, offsets, rows)
        likelihood = np.stack([outputs["nats"], outputs["tokens"]], 1).astype(np.float64)
        return Answers(np.full(len(likelihood), "", dtype=object), likelihood=likelihood)

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """bits_per_byte (of UTF-8) and perplexity (a token's, the end of the text among them), of all rows as one text.

        Answers without a likelihood are of one who knows nothing: 8 bits a byte.
        """
        if not len(labels):
            raise DataError("no rows to evaluate: metrics need at least one labelled row")
        size = np.array([len(str(label).encode("utf-8", "replace")) for label in labels], dtype=float)
        blank = np.stack([UNKNOWING * size, size], 1)
        nats, tokens = (blank if answers.likelihood is None else answers.likelihood).T

        def weighted(weight: np.ndarray | None) -> dict[str, float]:
            weight = np.ones(len(size)) if weight is None else weight
            whole = float(weight @ nats)
            bits = whole / math.log(2) / max(float(weight @ size), 1.0)
            return {"bits_per_byte": bits, "perplexity": math.exp(min(whole / max(float(weight @ tokens), 1.0), 700.0))}

        return weighted

    def config(self) -> dict[str, Any]:
        """As of all that write, and whether texts are learned as they are."""
        return {**super().config(), "own": self.own}
