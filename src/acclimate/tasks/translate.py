"""Translating a text into another language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from acclimate.domains.domain import Domain, Rows
from acclimate.domains.rows import texts_of
from acclimate.errors import DataError, MissingAssetError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.overlap import alone
from acclimate.tasks.writing import Write

MOSTLY = 0.5
"""Share of characters without spaces between words from which words are counted as characters."""
APART = 2.0
"""How many times as long or as short as usual, beside its text, a translation is odd."""
FEW = 5
"""Characters that are added to both sides of a pair before: one word more or less is not odd."""
SHOWN = 60
"""Characters of a text that a remark quotes."""


@dataclass(frozen=True)
class Translate(Write):
    """The same in another language, written by an encoder-decoder.

    Attributes:
        tokenize: how sacrebleu cuts words for BLEU: "13a", or "char" where the translations are of a script without
            spaces.
    """

    tokenize: str = "13a"

    name: ClassVar[str] = "translate"
    primary: ClassVar[Metric] = Metric("chrf")

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """How words of these translations are counted.

        Raises:
            DataError: no labels, or rows that are no texts.
        """
        if domain.labels is None:
            raise DataError(f"{domain.name}: translations are needed; name their column with --label")
        if domain.schema.modality != "text":
            raise DataError(f"{domain.name} is {domain.schema.modality}; translations are of texts")
        letters = [c for label in domain.labels for c in str(label) if c.isalpha()]
        return cls("char" if letters and np.mean([alone(c) for c in letters]) > MOSTLY else "13a")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(str(config["tokenize"]))

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """Bleu (Papineni et al., ACL 2002) and chrf (chrF2; Popović, WMT 2015) of all rows as one text, in 0..1: a
        hundredth of what sacrebleu says.
        """
        if not len(labels):
            raise DataError("no rows to evaluate: metrics need at least one labelled row")
        said, right = [str(text) for text in answers.prediction], [[str(label) for label in labels]]
        scorers = _scorers(self.tokenize)
        counts = {name: np.array(s._extract_corpus_statistics(said, right), float) for name, s in scorers.items()}

        def weighted(weight: np.ndarray | None) -> dict[str, float]:
            sums = {name: found.sum(0) if weight is None else weight @ found for name, found in counts.items()}
            return {name: scorers[name]._compute_score_from_stats(list(sums[name])).score / 100 for name in scorers}

        return weighted

    def baselines(self, rows: Rows) -> dict[str, Answers]:
        """``copy``: the text as it is."""
        return {"copy": Answers(np.array(texts_of(rows), dtype=object))}

    def remarks(self, domain: Domain) -> tuple[str, ...]:
        """Pairs of unlike length, and translations that are the text itself."""
        assert domain.labels is not None
        texts, labels = texts_of(domain.rows), [str(label) for label in domain.labels]
        pairs = list(zip(texts, labels, strict=True))
        growth = np.array([(len(right) + FEW) / (len(text) + FEW) for text, right in pairs])
        usual = np.median(growth) if pairs else 1.0
        same = np.array([text.strip() == right.strip() for text, right in pairs], dtype=bool)
        long = (growth > APART * usual) | (growth < usual / APART)
        told = f"are more than {APART:g} times as long or as short as usual: do they belong to these texts?"
        found = []
        for rows, what in ((long, told), (same, "are the text itself: are they of the right language?")):
            if rows.any():
                text, right = (side[:SHOWN] for side in pairs[next(row for row in domain.order if rows[row])])
                found.append(f"{domain.name}: {rows.sum()} of {len(pairs)} translations {what} '{text}': '{right}'")
        return tuple(found)

    def config(self) -> dict[str, Any]:
        """As of all that write, and how words are counted."""
        return {**super().config(), "tokenize": self.tokenize}


def _scorers(tokenize: str) -> dict[str, Any]:
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise MissingAssetError(
            "translations are scored by the extra 'language': pip install 'acclimate[language]'"
        ) from None
    return {"bleu": BLEU(tokenize=tokenize), "chrf": CHRF()}
