"""ROUGE of summaries, by the package rouge-score, in any script."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from acclimate.errors import DataError, MissingAssetError
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.overlap import tokens

ROUGE = ("rouge1", "rouge2", "rougel")


def weighted_rouge(said: np.ndarray, right: np.ndarray) -> Weighted:
    """rouge1, rouge2, rougel: F1 with stemming (Lin 2004), mean of the rows, as a function of their weights.

    Raises:
        DataError: no rows.
        MissingAssetError: rouge-score is not installed.
    """
    if not len(right):
        raise DataError("no rows to evaluate: metrics need at least one labelled row")
    scores = np.array([_rouge(str(ours), str(theirs)) for ours, theirs in zip(said, right, strict=True)])

    def weighted(weight: np.ndarray | None) -> dict[str, float]:
        return dict(zip(ROUGE, np.average(scores, axis=0, weights=weight).tolist(), strict=True))

    return weighted


@lru_cache(maxsize=100_000)
def _rouge(said: str, right: str) -> tuple[float, ...]:
    found = _scorer().score(right, said)
    return tuple(found[name].fmeasure for name in ("rouge1", "rouge2", "rougeL"))


@lru_cache(maxsize=1)
def _scorer() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise MissingAssetError(
            "summaries are scored by the extra 'language': pip install 'acclimate[language]'"
        ) from None
    return RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=_Stems())


class _Stems:
    """What rouge-score counts, of any script: its own tokenizer drops all letters but those of English."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self._stem = PorterStemmer().stem

    def tokenize(self, text: str) -> list[str]:
        """Words, those of more than three letters stemmed as English."""
        return [self._stem(word) if len(word) > 3 else word for word in tokens(text)]
