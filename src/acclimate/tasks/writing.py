"""What all tasks share whose answer is a text that the backbone writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.backbones.writer import IGNORED, Writer, unlikely
from acclimate.domains.domain import Rows
from acclimate.errors import SettingsError
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import Kind, Reads, Task
from acclimate.tasks.sites import Site, Units


@dataclass(frozen=True)
class Write(Task):
    """A text for each row, written token by token by the decoder of the backbone.

    What is learned is each token of the given text after those before it (teacher forcing); the loss is the mean
    cross-entropy over the tokens of a text (Sutskever et al., NeurIPS 2014). While training nothing is written: rows
    without a text have no outputs, and an alignment acts on the mean of the encoder's states. Texts travel as numbers
    of characters, since a task knows no tokenizer.
    """

    kind: ClassVar[Kind] = "text"
    reads: ClassVar[Reads] = "states"
    explained: ClassVar[str] = "mean log-probability of the tokens written"
    writes: ClassVar[bool] = True

    def head(self, size: int) -> nn.Module:
        """Never: what writes is the backbone's own."""
        raise SettingsError(f"task '{self.name}' has no head of its own: the backbone writes")

    def own_head(self, backbone: Backbone) -> nn.Module:
        """The backbone's `Writer`."""
        return backbone.writer()

    def outputs(self, head: nn.Module, features: Units) -> dict[str, Tensor]:
        """Of a given text ``logits [n, t, vocabulary]`` and ``ids [n, t]``; else, outside of training, what is written:
        ``text [n, characters]`` and ``sure [n]``, the mean log-probability of its tokens.
        """
        assert isinstance(head, Writer)
        if features.targets is not None:
            logits, ids = head.teach(features.values, features.mask, strings(features.targets.cpu().numpy()))
            return {"logits": logits, "ids": ids}
        if head.training:
            return {}
        texts, sure = head.write(features.values, features.mask)
        return {"text": numbers(texts).to(sure.device), "sure": sure}

    @property
    def tokenwise(self) -> bool:
        """Always."""
        return True

    def tokens(self, outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Those of given texts; each says something."""
        there = outputs["ids"] != IGNORED
        return outputs["logits"][there], there[there]

    def own_targets(self, outputs: Mapping[str, Tensor]) -> Tensor | None:
        """What was written."""
        return outputs["text"].long()

    def sites(self, features: Units, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``features``: the mean over the encoder's states of each row."""
        pooled = features.pooled
        return {"features": Site(pooled, torch.arange(len(pooled), device=pooled.device))}

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """The characters' numbers ``[n, longest]`` int64, 0 beyond a text."""
        return numbers([str(label) for label in labels])

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> Any:
        """The text that was written."""
        return self.encode(np.array([answer], dtype=object), rows)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Mean cross-entropy over the tokens of each text ``[n]``."""
        nats, tokens = unlikely(outputs["logits"], outputs["ids"])
        return nats / tokens.clamp(min=1)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """What was written; the confidence is the geometric mean of its tokens' probabilities."""
        texts = np.empty(len(outputs["sure"]), dtype=object)
        texts[:] = strings(outputs["text"])
        return Answers(texts, confidence=np.exp(np.asarray(outputs["sure"], dtype=np.float64)))

    def config(self) -> dict[str, Any]:
        """The name, and that it is the backbone that writes."""
        return {"name": self.name, "writes": True}


def numbers(texts: Sequence[str]) -> Tensor:
    """Texts as their characters' numbers ``[n, longest]`` int64, 0 beyond the end."""
    found = torch.zeros(len(texts), max(map(len, texts), default=0), dtype=torch.int64)
    for row, text in enumerate(texts):
        found[row, : len(text)] = torch.tensor([ord(character) for character in text], dtype=torch.int64)
    return found


def strings(found: np.ndarray) -> list[str]:
    """The texts behind `numbers`, which may have become floats."""
    return ["".join(map(chr, row[row > 0])) for row in np.asarray(found).astype(np.int64)]
