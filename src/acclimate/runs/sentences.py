"""Frozen features of the sentences of each text, for tasks that read these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from acclimate.backbones.base import Backbone
from acclimate.backbones.parts import Parts
from acclimate.backbones.passthrough import PassThrough
from acclimate.domains import ids
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.rows import ListRows, SentenceRows, texts_of
from acclimate.domains.sentences import split
from acclimate.errors import DataError
from acclimate.runs.features import Features, Reading, unseen
from acclimate.training.device import Place


class SentencePass(PassThrough):
    """Stands for a frozen backbone whose features of sentences have been read; pads texts to the longest."""

    def collate(self, raw: Any, *, training: bool = False, rng: np.random.Generator | None = None) -> dict[str, Tensor]:
        n, t = len(raw), max(1, *(len(values) for values, _ in raw))
        inputs = {
            "features": torch.zeros(n, t, self.size()),
            "attention_mask": torch.zeros(n, t, dtype=torch.int64),
            "places": torch.full((n, t, 2), -1, dtype=torch.int64),
        }
        for row, (values, places) in enumerate(raw):
            inputs["features"][row, : len(values)] = torch.from_numpy(values)
            inputs["attention_mask"][row, : len(values)] = 1
            inputs["places"][row, : len(values)] = torch.from_numpy(places)
        return inputs

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        return dict.fromkeys(layers or [self.spec.default], inputs["features"])

    def parts(self, raw: Any) -> Parts:
        """Sentences, whose words `worded` adds: without one, the others are those of a text that never had it."""
        whole, places = self.collate(raw), raw[0][1].tolist()
        beyond = whole["places"].shape[1] - len(places)

        def without(kept: np.ndarray) -> dict[str, Tensor]:
            stays = F.pad(torch.from_numpy(np.ascontiguousarray(kept)), (0, beyond))
            return {
                "features": whole["features"].expand(len(kept), -1, -1),
                "attention_mask": whole["attention_mask"] * stays,
                "places": torch.where(stays[..., None], whole["places"], -1),
            }

        return Parts("sentences", ("",) * len(places), tuple(places), without)


def worded(parts: Parts, text: str) -> Parts:
    """Sentences as parts, with the words of the text that they are of."""
    return replace(parts, names=tuple(text[low:high] for low, high in parts.places), shown={"text": text})


@dataclass(frozen=True)
class _Cut:
    """A domain's sentences as a domain of their own, and where those of each row are."""

    domain: Domain
    sentences: Domain
    starts: np.ndarray
    places: np.ndarray


class SentenceFeatures(Features):
    """Features of the sentences of each text, read once through the cache."""

    def __init__(
        self,
        backbone: Backbone,
        layers: tuple[str, ...],
        place: Place,
        wholes: Sequence[Domain] = (),
        show: Reading = unseen,
    ):
        self._cuts: dict[int, _Cut] = {}
        super().__init__(backbone, layers, place, [self._cut(whole).sentences for whole in wholes], show)

    def of(self, domain: Domain) -> dict[str, Domain]:
        cut, schema = self._cut(domain), replace(domain.schema, modality="array")
        return {
            layer: replace(domain, schema=schema, rows=SentenceRows(values, cut.starts, cut.places, domain.rows))
            for layer, values in self._arrays(cut.sentences).items()
        }

    def reader(self, layer: str) -> SentencePass:
        return SentencePass(self.backbone, layer)

    def _cut(self, domain: Domain) -> _Cut:
        if id(domain) not in self._cuts:
            self._cuts[id(domain)] = _cut(domain)  # it holds the domain, so that its id stays its own
        return self._cuts[id(domain)]


def _cut(domain: Domain) -> _Cut:
    texts: list[str] = []
    places: list[tuple[int, int]] = []
    starts = [0]
    for text in texts_of(domain.rows):
        own = split(text)
        texts += [text[low:high] for low, high in own]
        places += own
        starts.append(len(texts))
    if not texts:
        raise DataError(f"{domain.name}: no text has a sentence")
    values = np.empty(len(texts), dtype=object)
    values[:] = texts
    name = f"{domain.name}, its sentences"
    sentences = Domain(name, Schema("text"), ListRows(values), ids.hash_texts(values))
    return _Cut(domain, sentences, np.array(starts), np.array(places, dtype=np.int64))
