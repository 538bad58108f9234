"""A tag for each word of a text, such as named entities."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.rows import check_texts_with_labels, texts_of
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Reads, Task
from acclimate.tasks.entities import OUTSIDE, entities, kind_of
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.sites import Site, Units

MOST_WORDS = 512
"""Words of a batch that an alignment sees."""


@dataclass(frozen=True)
class Tag(Task):
    """One of ``tags`` for each word, where words are what white space parts; a row is a list of words, or a text.

    A linear layer on the first token of each word, cross-entropy, the mean over the words of a row (Devlin et al.,
    BERT, NAACL 2019, section 5.3). Labels are as many tags as the row has words: a list, or a text with spaces. Words
    that have no token (a lone control character, or beyond what is read) teach nothing and are answered ``O``.

    Attributes:
        tags: sorted.
        known: words that mostly had another tag than ``O`` where the task was learned, with that tag: what the baseline
            ``lookup`` answers by.
    """

    tags: tuple[str, ...]
    known: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    name: ClassVar[str] = "tag"
    kind: ClassVar[Kind] = "text"
    reads: ClassVar[Reads] = "words"
    explained: ClassVar[str] = "mean log-probability of the tags"
    structured: ClassVar[bool] = True
    primary: ClassVar[Metric] = Metric("f1")

    @property
    def probable(self) -> bool:
        return True

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The tags that a labelled domain shows.

        Raises:
            DataError: no labels, rows that are no texts, fewer than two tags, or another number of tags than of words.
        """
        if domain.labels is None:
            raise DataError(f"{domain.name}: tags are needed; name their column with --label")
        if domain.schema.modality != "text":
            raise DataError(f"{domain.name} is {domain.schema.modality}; tags are of the words of texts")
        check_texts_with_labels(domain, tags_of_words)
        pairs = list(zip(texts_of(domain.rows), map(tags_of, domain.labels), strict=True))
        tags = tuple(sorted({tag for _, row in pairs for tag in row}))
        if len(tags) < 2:
            raise DataError(f"{domain.name}: tags are {list(tags)} alone; two are needed")
        return cls(tags, _mostly(pairs))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(config["tags"]), dict(config["known"]))

    @property
    def possible(self) -> tuple[str, ...]:
        """The types of what tags hold together, whichever way beginnings and ends are marked."""
        return tuple(sorted({kind_of(tag) for tag in self.tags} - {""}))

    def named(self, label: str) -> Collection[str]:
        """The types that a row's tags show."""
        return {kind_of(tag) for tag in tags_of(label)} - {""}

    def head(self, size: int) -> nn.Module:
        """Linear layer ``size -> tags``."""
        return nn.Linear(size, len(self.tags))

    def outputs(self, head: nn.Module, features: Units) -> dict[str, Tensor]:
        """``tags [n, w, tags]``, the logits of each word, and ``read [n, w]``, which words have been read."""
        return {"tags": head(features.values), "read": features.mask}

    def sites(self, features: Units, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """``features``, the mean over the words of each row; and ``words``, at most 512 of them, with probabilities."""
        pooled, mask = features.pooled, features.mask
        rows = torch.arange(len(pooled), device=pooled.device)
        some = slice(None, None, -(-int(mask.sum()) // MOST_WORDS) or 1)
        probs = outputs["tags"][mask][some].softmax(-1)
        owner = rows[:, None].expand(mask.shape)[mask][some]
        return {"features": Site(pooled, rows), "words": Site(features.values[mask][some], owner, probs)}

    def check(self, domain: Domain, *, learned: bool = True) -> None:
        """Refuse rows with more or fewer tags than words, and, to learn from, unknown tags.

        Raises:
            DataError: names the first such row.
        """

        def look(text: str, label: str) -> None:
            foreign = sorted(set(tags_of_words(text, label)) - set(self.tags))
            if learned and foreign:
                raise DataError(f"tags that are not among {list(self.tags)}: {foreign[:10]}")

        check_texts_with_labels(domain, look)

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """The tag of each word ``[n, most words]`` int64, -1 beyond a row's last.

        Raises:
            DataError: more or fewer tags than words, or an unknown tag.
        """
        assert rows is not None, "tags are counted against the words"
        index = {tag: k for k, tag in enumerate(self.tags)}
        pairs = zip(texts_of(rows), labels, strict=True)
        try:
            found = [torch.tensor([index[tag] for tag in tags_of_words(*pair)], dtype=torch.int64) for pair in pairs]
        except KeyError as error:
            raise DataError(f"tag {error} is not among {list(self.tags)}") from None
        return nn.utils.rnn.pad_sequence(found, batch_first=True, padding_value=-1)

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> Any:
        """The tags of the words."""
        return self.encode(np.array([answer], dtype=object), rows)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Mean cross-entropy over the words of each row ``[n]``; 0 for a row without words."""
        logits = outputs["tags"]
        targets = targets[:, : logits.shape[1]]
        known = outputs["read"][:, : targets.shape[1]] & (targets >= 0)
        each = F.cross_entropy(logits[:, : targets.shape[1]].mT, targets.clamp(min=0), reduction="none")
        return (each * known).sum(1) / known.sum(1).clamp(min=1)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """The likeliest tag of each word, with a space between each two; the confidence is their mean probability."""
        assert rows is not None, "there is a tag for each word of the text"
        logits = np.asarray(outputs["tags"], dtype=np.float64) / temperature
        scaled = np.exp(logits - logits.max(-1, keepdims=True))
        sure, best = (scaled / scaled.sum(-1, keepdims=True)).max(-1), logits.argmax(-1)
        said, confidence = np.empty(len(logits), dtype=object), np.zeros(len(logits))
        for row, text in enumerate(texts_of(rows)):
            read = np.flatnonzero(outputs["read"][row])
            tags = [OUTSIDE] * len(text.split())
            for word in read:
                tags[word] = self.tags[best[row, word]]
            said[row] = " ".join(tags)
            confidence[row] = sure[row, read].mean() if len(read) else 0.0
        return Answers(said, confidence=confidence)

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """precision, recall and f1 of whole entities, counted over all rows (conlleval), and accuracy of the words.

        An empty answer has no entity.
        """
        if not len(labels):
            raise DataError("no rows to evaluate: metrics need at least one labelled row")
        pairs = zip(answers.prediction, labels, strict=True)
        counts = np.array([_counts(said, tags_of(label)) for said, label in pairs], dtype=np.float64)

        def weighted(weight: np.ndarray | None) -> dict[str, float]:
            right, ours, theirs, agree, words = np.average(counts, axis=0, weights=weight).tolist()
            return {
                "precision": right / ours if ours else 0.0,
                "recall": right / theirs if theirs else 0.0,
                "f1": 2 * right / (ours + theirs) if ours + theirs else 0.0,
                "accuracy": agree / words if words else 0.0,
            }

        return weighted

    def baselines(self, rows: Rows) -> dict[str, Answers]:
        """``outside``: no entity anywhere; ``lookup``: each word's most frequent tag where the task was learned."""
        texts = [text.split() for text in texts_of(rows)]
        said = {
            "outside": [" ".join([OUTSIDE] * len(words)) for words in texts],
            "lookup": [" ".join(self.known.get(word, OUTSIDE) for word in words) for words in texts],
        }
        return {name: Answers(np.array([*values, ""], dtype=object)[:-1]) for name, values in said.items()}

    def config(self) -> dict[str, Any]:
        """Name, tags, and the words that the baseline knows."""
        return {"name": self.name, "tags": list(self.tags), "known": dict(sorted(self.known.items()))}


def tags_of(label: str) -> list[str]:
    """The tags of a label: a JSON list of them, or a text with spaces.

    Raises:
        DataError: a list of anything else than tags without spaces.
    """
    if label[:1] != "[":
        return label.split()
    try:
        tags = json.loads(label)
    except ValueError:
        return label.split()
    if not isinstance(tags, list) or not all(isinstance(tag, str) and len(tag.split()) == 1 for tag in tags):
        raise DataError(f"tags are a list of words without spaces, such as B-PER; found {label[:80]}")
    return tags


def tags_of_words(text: str, label: str) -> list[str]:
    """The tags of a label, as many as the text has words.

    Raises:
        DataError: more or fewer, or another form of either.
    """
    words, tags = text.split(), tags_of(label)
    if text[:2] == '["' and text[-2:] == '"]':
        raise DataError(f"a list of words as one text, {text[:60]}; in a CSV write words with spaces between them")
    if len(words) != len(tags):
        raise DataError(f"{len(words)} words and {len(tags)} tags: {' '.join(words)[:60]!r}, {' '.join(tags)[:60]!r}")
    return tags


def _counts(answer: str, right: Sequence[str]) -> tuple[int, int, int, int, int]:
    """Entities that are right, those said, those that there are; words that agree, and all."""
    said = answer.split() or [OUTSIDE] * len(right)
    if len(said) != len(right):
        raise DataError(f"{len(said)} words and {len(right)} tags: {' '.join(right)[:60]!r}")
    ours, theirs = set(entities(said)), set(entities(right))
    return len(ours & theirs), len(ours), len(theirs), sum(map(str.__eq__, said, right)), len(right)


def _mostly(rows: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """The most frequent tag of each word (the first of the alphabet of several), where it is not `OUTSIDE`."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for text, tags in rows:
        for word, tag in zip(text.split(), tags, strict=False):
            counts[word][tag] += 1
    most = {word: min(found, key=lambda tag: (-found[tag], tag)) for word, found in counts.items()}
    return {word: tag for word, tag in sorted(most.items()) if tag != OUTSIDE}
