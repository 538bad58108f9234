"""Answering a question by a place in a text (extractive question answering)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.rows import check_texts_with_labels, texts_of
from acclimate.domains.sentences import split
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Reads, Task
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.overlap import exact, overlap, tokens
from acclimate.tasks.sites import Site, Units

LONGEST = 30
"""Tokens of an answer at most, as in the SQuAD script of Devlin et al. 2019."""
FAR = -1e4


@dataclass(frozen=True)
class Answer(Task):
    """From which token to which one the answer reaches; a row is a question, a line break, and the text.

    A linear layer scores every token as the first and as the last of the answer (Devlin et al., BERT, NAACL 2019,
    section 4.2); the loss is the mean of both cross-entropies. Where some questions have no answer in their text, the
    first token of all stands for that (section 4.3). Of a text that is read by windows, the tokens of all of them share
    one softmax (Clark & Gardner, Simple and Effective Multi-Paragraph Reading Comprehension, ACL 2018). Tokens that are
    not read at all teach nothing, and cannot be found.

    Labels: the answer; or a list of answers that are all right, the first of which is learned; or SQuAD's
    ``{"text": [...], "answer_start": [...]}``. Without a start the first occurrence counts. An empty list: no answer.

    Attributes:
        may_lack: whether a question may have no answer in its text.
    """

    may_lack: bool = False

    name: ClassVar[str] = "answer"
    kind: ClassVar[Kind] = "text"
    reads: ClassVar[Reads] = "pair"
    explained: ClassVar[str] = "log-probability of where the answer begins and ends"
    structured: ClassVar[bool] = True
    primary: ClassVar[Metric] = Metric("f1")

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """Whether some questions lack an answer.

        Raises:
            DataError: no labels, rows that are no texts, or an answer that is not in its text.
        """
        if domain.labels is None:
            raise DataError(f"{domain.name}: answers are needed; name their column with --label")
        if domain.schema.modality != "text":
            raise DataError(f"{domain.name} is {domain.schema.modality}; answers are places in texts")
        cls(may_lack=True).check(domain)  # also the rows that are held out must have their answers
        return cls(any(not spans(label) for label in domain.labels))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(bool(config["may_lack"]))

    def head(self, size: int) -> nn.Module:
        """Linear layer ``size -> 2``."""
        return nn.Linear(size, 2)

    def outputs(self, head: nn.Module, features: Units) -> dict[str, Tensor]:
        """``start`` and ``end`` ``[n, t]`` (tokens that may not be one have -10,000), ``places [n, t, 2]``."""
        allowed = features.places[..., 1] > features.places[..., 0]
        if self.may_lack:
            allowed = allowed | (torch.arange(allowed.shape[1], device=allowed.device) == 0)
        said = head(features.values).masked_fill(~allowed[..., None], FAR)
        return {"start": said[..., 0], "end": said[..., 1], "places": features.places}

    def sites(self, features: Units, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``features``: the mean over the tokens of question and text, one vector a row."""
        pooled = features.pooled
        return {"features": Site(pooled, torch.arange(len(pooled), device=pooled.device))}

    def check(self, domain: Domain, *, learned: bool = True) -> None:
        """Refuse labels of another form, and, to learn from, answers that are not in their texts.

        Raises:
            DataError: names the first such row.
        """

        def look(text: str, label: str) -> None:
            answers = spans(label)
            if learned and answers:
                _place(*answers[0], told(text))
            if learned and not answers and not self.may_lack:
                raise DataError("the text has no answer, and every question of the source has one")

        check_texts_with_labels(domain, look)

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """First character of the answer in its text and the one after its last, ``[n, 2]`` int64; -1: no answer.

        Raises:
            DataError: an answer that is not in its text.
        """
        assert rows is not None, "answers are looked up in the texts"
        found = np.full((len(labels), 2), -1, dtype=np.int64)
        for row, text in enumerate(texts_of(rows)):
            if answers := spans(labels[row]):
                found[row] = _place(*answers[0], told(text))
        return torch.from_numpy(found)

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> Any:
        """Where the answer begins and ends."""
        return self.encode(np.array([answer], dtype=object), rows)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Mean of the two cross-entropies per example ``[n]``; 0 where the answer was cut off."""
        begins, ends = ends_of(outputs["places"], targets)
        total = outputs["start"].new_zeros(len(targets))
        for said, here in ((outputs["start"], begins), (outputs["end"], ends)):
            chosen = said.log_softmax(-1).gather(1, here.int().argmax(1, keepdim=True)).squeeze(1)
            total = total - 0.5 * torch.where(here.any(1), chosen, 0.0)
        return total

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """The best pair of tokens of at most 30, quoted from the text; empty where no answer is likelier.

        The confidence is the product of both probabilities.
        """
        assert rows is not None, "answers are quoted from the texts"
        places = outputs["places"].astype(np.int64)
        empty = places[..., 1] <= places[..., 0]
        empty[:, 0] &= not self.may_lack
        start, end = (_log_softmax(np.where(empty, FAR, outputs[k] / temperature)) for k in ("start", "end"))
        first, last, score = _best(start, end)
        said = np.empty(len(first), dtype=object)
        for row, text in enumerate(texts_of(rows)):
            low, high = places[row, first[row], 0], places[row, last[row], 1]
            said[row] = told(text)[low:high] if low >= 0 and high > low else ""
        return Answers(said, confidence=np.exp(score))

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """exact_match and f1 (Rajpurkar et al., SQuAD, EMNLP 2016): the best over the right answers, mean of all."""
        if not len(labels):
            raise DataError("no rows to evaluate: metrics need at least one labelled row")
        right = [[text for text, _ in spans(label)] or [""] for label in labels]
        pairs = list(zip(answers.prediction, right, strict=True))
        scores = {
            "exact_match": np.array([max(exact(said, text) for text in texts) for said, texts in pairs]),
            "f1": np.array([max(overlap(said, text) for text in texts) for said, texts in pairs]),
        }

        def weighted(weight: np.ndarray | None) -> dict[str, float]:
            return {name: float(np.average(values, weights=weight)) for name, values in scores.items()}

        return weighted

    def baselines(self, rows: Rows) -> dict[str, Answers]:
        """``overlap``: the sentence of the text that has most words of the question, the first of several."""
        said = [_nearest(*question_and_text(row)) for row in texts_of(rows)]
        return {"overlap": Answers(np.array([*said, ""], dtype=object)[:-1])}

    def config(self) -> dict[str, Any]:
        """Name, and whether answers may lack."""
        return {"name": self.name, "may_lack": self.may_lack}


def ends_of(places: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Which tokens an answer begins and ends with, both ``[n, t]`` bool; none where it was cut off.

    Args:
        places: of the tokens ``[n, t, 2]``.
        targets: of `Answer.encode` ``[n, 2]``.
    """
    low, high = places.unbind(-1)
    first, last = targets[:, :1], targets[:, 1:]
    lacks = (first < 0) & (torch.arange(low.shape[1], device=low.device) == 0)
    return lacks | ((low <= first) & (first < high)), lacks | ((low < last) & (last <= high))


def told(row: str) -> str:
    """The text that a question is asked about: what follows the first line break, or all of a row without one."""
    return question_and_text(row)[1]


def question_and_text(row: str) -> tuple[str, str]:
    """What stands before the first line break (nothing in a row without one), and the rest."""
    question, line_break, text = row.partition("\n")
    return (question, text) if line_break else ("", row)


def _nearest(question: str, text: str) -> str:
    asked = set(tokens(question))
    sentences = [text[low:high] for low, high in split(text)]
    return max(sentences, key=lambda sentence: len(asked & set(tokens(sentence))), default="")


def spans(label: str) -> list[tuple[str, int | None]]:
    """The right answers of a label and where each begins (None: not said).

    Raises:
        DataError: JSON that is neither a list of texts nor SQuAD's form.
    """
    if label[:1] not in "[{":
        return [(label, None)]
    try:
        value = json.loads(label)
    except ValueError:
        return [(label, None)]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return [(text, None) for text in value]
    texts = value.get("text") if isinstance(value, dict) else None
    starts = value.get("answer_start", [None] * len(texts)) if texts is not None else None
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise DataError(
            f'an answer is a text, a list of texts, or {{"text": [...], "answer_start": [...]}}; found {label[:80]}'
        )
    return list(zip(texts, starts, strict=True))


def _place(answer: str, start: int | None, text: str) -> tuple[int, int]:
    """Where the answer is in the text, which must be where it is said to be."""
    at = text.find(answer) if start is None or text[start : start + len(answer)] != answer else start
    if at < 0 or not answer:
        raise DataError(
            f"the answer '{answer[:60]}' is not in its text, '{text[:60]}'; name the text as the last --input, and "
            "give answers as they are written there (an empty list where there is none)"
        )
    return at, at + len(answer)


def _log_softmax(values: np.ndarray) -> np.ndarray:
    shifted = values.astype(np.float64) - values.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _best(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last token ``[n]`` of the best pair of at most `LONGEST`, and the sum of its logarithms.

    The first token of all, which stands for no answer, is a pair with itself alone.
    """
    best = start[:, 0] + end[:, 0]
    first = np.zeros(len(start), dtype=np.int64)
    last = first.copy()
    for more in range(min(LONGEST, start.shape[1] - 1)):
        score = start[:, 1 : start.shape[1] - more] + end[:, 1 + more :]
        at = score.argmax(axis=1)
        value = score[np.arange(len(at)), at]
        better = value > best
        first, last = np.where(better, at + 1, first), np.where(better, at + 1 + more, last)
        best = np.maximum(best, value)
    return first, last, best
