"""Summaries: the sentences of a text that tell most of it, or a text of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.rows import texts_of
from acclimate.domains.sentences import split
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Reads, Task
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.overlap import tokens
from acclimate.tasks.rouge import weighted_rouge
from acclimate.tasks.sites import Site, Units
from acclimate.tasks.writing import Write

LEAD = 3


@dataclass(frozen=True)
class Summarize(Task):
    """Which sentences of a text make its summary; a row is a text, its label a summary.

    Every sentence is scored by its frozen features, the mean of those of the text times these, and its place (as in
    SummaRuNNer: content, salience and position; Nallapati et al., AAAI 2017, eq. 6). What is learned are the sentences
    that together have the most words and pairs of words in common with the given summary, found one by one (the same
    paper, section 3). The answer is the best share of the sentences, as large as in the source, in the text's order.

    Attributes:
        share: of its sentences that a summary has.
    """

    share: float = 0.3

    name: ClassVar[str] = "summarize"
    kind: ClassVar[Kind] = "text"
    reads: ClassVar[Reads] = "sentences"
    explained: ClassVar[str] = "mean probability of the sentences quoted"
    primary: ClassVar[Metric] = Metric("rouge2")

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The share of their sentences that the given summaries have.

        Raises:
            DataError: no labels, rows that are no texts, or summaries that have nothing in common with them.
        """
        chosen = _chosen(domain.rows, _summaries(domain))
        if not any(map(any, chosen)):
            raise DataError(f"{domain.name}: no summary has a word in common with its text")
        return cls(float(np.mean([np.mean(picks) for picks in chosen if picks])))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(float(config["share"]))

    def head(self, size: int) -> nn.Module:
        """A layer of 64 on a sentence, its agreement with the whole text, and its place."""
        return nn.Sequential(nn.Linear(2 * size + 3, 64), nn.ReLU(), nn.Linear(64, 1))

    def outputs(self, head: nn.Module, features: Units) -> dict[str, Tensor]:
        """``chosen [n, t]``, the logit of each sentence, and ``places [n, t, 2]``."""
        values = features.values
        alike = values * features.pooled[:, None]
        return {
            "chosen": head(torch.cat([values, alike, _where(features.mask).to(values.dtype)], -1)).squeeze(-1),
            "places": features.places,
        }

    def sites(self, features: Units, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``features``: the mean of the sentences of each text."""
        pooled = features.pooled
        return {"features": Site(pooled, torch.arange(len(pooled), device=pooled.device))}

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Which sentences a summary is made of, ``[n, most sentences]`` float32: 1, 0, and -1 beyond a text's last."""
        assert rows is not None, "summaries are held against their texts"
        chosen = _chosen(rows, labels)
        targets = torch.full((len(labels), max(map(len, chosen), default=0)), -1.0)
        for row, picks in enumerate(chosen):
            targets[row, : len(picks)] = torch.tensor(picks, dtype=torch.float32)
        return targets

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Mean binary cross-entropy over the sentences of each text ``[n]``."""
        logits = outputs["chosen"]
        targets = targets[:, : logits.shape[1]]
        known = (targets >= 0).to(logits.dtype)
        each = F.binary_cross_entropy_with_logits(logits, targets.clamp(min=0), reduction="none")
        return (each * known).sum(1) / known.sum(1).clamp(min=1)

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> Any:
        """Which sentences the answer quotes, ``[1, sentences]`` float32."""
        (text,) = texts_of(rows)
        sentences = [text[low:high] for low, high in split(text)]
        found = torch.zeros(1, max(1, len(sentences)))
        found[0, quoted(sentences, str(answer))] = 1.0
        return found

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """The mean probability of these sentences ``[n]``; that of one which is left out is 0."""
        there = outputs["places"][..., 1] > outputs["places"][..., 0]
        each = torch.sigmoid(outputs["chosen"].float()) * there * goal
        return each.sum(1) / goal.sum(1).clamp(min=1)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """The best sentences in the text's order; the confidence is their mean probability."""
        assert rows is not None, "summaries are quoted from the texts"
        places, logits = outputs["places"].astype(np.int64), np.asarray(outputs["chosen"], dtype=np.float64)
        said, sure = np.empty(len(logits), dtype=object), np.zeros(len(logits))
        for row, text in enumerate(texts_of(rows)):
            some = int((places[row, :, 1] > places[row, :, 0]).sum())
            count = max(1, round(self.share * some))
            best = np.sort(np.argsort(-logits[row, :some], kind="stable")[:count])
            said[row] = " ".join(text[low:high] for low, high in places[row, best])
            sure[row] = (1 / (1 + np.exp(-logits[row, best] / temperature))).mean() if some else 0.0
        return Answers(said, confidence=sure)

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """ROUGE, see `weighted_rouge`."""
        return weighted_rouge(answers.prediction, labels)

    def baselines(self, rows: Rows) -> dict[str, Answers]:
        """``lead3``: the first three sentences; ``lead``: as many as ours has."""
        texts = texts_of(rows)
        counts = [max(1, round(self.share * len(split(text)))) for text in texts]
        return {"lead3": _leads(texts, [LEAD] * len(texts)), "lead": _leads(texts, counts)}

    def config(self) -> dict[str, Any]:
        """Name, and the share of sentences."""
        return {"name": self.name, "share": self.share}


@dataclass(frozen=True)
class WriteSummary(Write):
    """A summary in words of its own, written by an encoder-decoder; see `Write`.

    Helps where summaries say things otherwise than their texts; what is written may be untrue, and ROUGE
    does not see that.
    """

    name: ClassVar[str] = "summarize"
    primary: ClassVar[Metric] = Summarize.primary

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The one that there is.

        Raises:
            DataError: no labels, or rows that are no texts.
        """
        _summaries(domain)
        return cls()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls()

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """ROUGE, see `weighted_rouge`."""
        return weighted_rouge(answers.prediction, labels)

    def baselines(self, rows: Rows) -> dict[str, Answers]:
        """``lead3``: the first three sentences."""
        return {"lead3": _leads(texts_of(rows), [LEAD] * len(rows))}


def _summaries(domain: Domain) -> np.ndarray:
    if domain.labels is None:
        raise DataError(f"{domain.name}: summaries are needed; name their column with --label")
    if domain.schema.modality != "text":
        raise DataError(f"{domain.name} is {domain.schema.modality}; summaries are of texts")
    return domain.labels


def _where(mask: Tensor) -> Tensor:
    """Of each sentence ``[n, t, 3]``: how far through the text it is, one over its number, the text's length."""
    number = mask.cumsum(1)
    count = mask.sum(1, keepdim=True).clamp(min=1)
    return torch.stack([number / count, 1 / number.clamp(min=1), count.log().expand_as(number) / 4], -1)


def quoted(sentences: Sequence[str], extract: str) -> list[int]:
    """Which sentences, in their order and joined by blanks, are an extract; the first of several ways, else none."""
    for k, sentence in enumerate(sentences):
        if extract == sentence:
            return [k]
        if extract.startswith(f"{sentence} ") and (rest := quoted(sentences[k + 1 :], extract[len(sentence) + 1 :])):
            return [k, *(k + 1 + later for later in rest)]
    return []


def _leads(texts: Sequence[str], counts: Sequence[int]) -> Answers:
    """The first sentences of each text."""
    cuts = (split(text)[:count] for text, count in zip(texts, counts, strict=True))
    said = [" ".join(text[low:high] for low, high in cut) for text, cut in zip(texts, cuts, strict=True)]
    return Answers(np.array(said, dtype=object))


def _chosen(rows: Rows, labels: np.ndarray) -> list[tuple[bool, ...]]:
    return [oracle(text, label) for text, label in zip(texts_of(rows), labels, strict=True)]


@lru_cache(maxsize=100_000)
def oracle(text: str, summary: str) -> tuple[bool, ...]:
    """Which sentences of the text together share the most words and pairs of words with the summary, added greedily."""
    parts = [_grams(text[low:high]) for low, high in split(text)]
    wanted, have = _grams(summary), Counter[tuple[str, ...]]()
    picks, best = [False] * len(parts), 0.0
    while True:
        scores = [-1.0 if picked else _f1(have + part, wanted) for picked, part in zip(picks, parts, strict=True)]
        at = int(np.argmax(scores)) if scores else 0
        if not scores or scores[at] <= best:
            return tuple(picks)
        picks[at], best, have = True, scores[at], have + parts[at]


def _grams(text: str) -> Counter[tuple[str, ...]]:
    words = tokens(text)
    return Counter([*((word,) for word in words), *pairwise(words)])


def _f1(ours: Counter[tuple[str, ...]], theirs: Counter[tuple[str, ...]]) -> float:
    shared = (ours & theirs).total()
    return 2.0 * shared / (ours.total() + theirs.total()) if shared else 0.0
