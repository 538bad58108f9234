"""Word and character error rates of transcripts, and the form in which they are compared."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from acclimate.errors import DataError, MissingAssetError
from acclimate.tasks.metrics import Weighted

APOSTROPHES = "'\u2019\u02bc`"


def normalized(text: str) -> str:
    """The text as transcripts are compared: lower case, without punctuation, one space between words.

    Apostrophes vanish ("don't" is "dont"); every other mark or symbol parts words ("6,2" and "yes-no" are two each).
    Figures stay figures: "6" and "six" are different words. Unicode is in its composed, compatible form (NFKC).
    """
    kept = unicodedata.normalize("NFKC", text).lower()
    kept = "".join(c for c in kept if c not in APOSTROPHES)
    return " ".join("".join(" " if unicodedata.category(c)[0] in "PS" else c for c in kept).split())


def error_rates(said: Sequence[str], right: Sequence[str]) -> Weighted:
    """``wer`` and ``cer``: edits over words (characters) of the right texts, summed over the rows before they are
    divided; above 1 where more is said than there is. A right text without a word adds what is said to the edits.

    Raises:
        DataError: no rows.
    """
    if not right:
        raise DataError("no rows to evaluate: metrics need at least one labelled row")
    pairs = [(normalized(text), normalized(other)) for text, other in zip(said, right, strict=True)]
    counts = {"wer": np.array([_edits(*pair, words=True) for pair in pairs], dtype=float)}
    counts["cer"] = np.array([_edits(*pair, words=False) for pair in pairs], dtype=float)

    def weighted(weight: np.ndarray | None) -> dict[str, float]:
        sums = {name: found.sum(0) if weight is None else weight @ found for name, found in counts.items()}
        return {name: float(edits / max(length, 1.0)) for name, (edits, length) in sums.items()}

    return weighted


def _edits(said: str, right: str, *, words: bool) -> tuple[int, int]:
    """How many words or characters must be changed, and how many there should be."""
    try:
        from jiwer import process_characters, process_words
    except ImportError:
        raise MissingAssetError("transcripts are scored by the extra 'audio': pip install 'acclimate[audio]'") from None
    if not right:
        return (len(said.split()) if words else len(said)), 0
    found = process_words(right, said) if words else process_characters(right, said)
    edits = found.substitutions + found.deletions + found.insertions
    return edits, found.substitutions + found.deletions + found.hits
