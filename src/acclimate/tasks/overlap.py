"""How much two short texts agree: exact match and F1 over words, as question answering is scored."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_PIECES = re.compile(r"[^\W_]+")
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def words(text: str) -> list[str]:
    """Lower-case words without punctuation and English articles; of scripts without spaces, characters.

    As the script of SQuAD 1.1 (Rajpurkar et al., EMNLP 2016), and for Chinese and Japanese as that of MLQA (Lewis et
    al., ACL 2020).
    """
    plain = "".join(c for c in text.lower() if not unicodedata.category(c).startswith("P"))
    plain = _ARTICLES.sub(" ", plain)
    return "".join(f" {c} " if alone(c) else c for c in plain).split()


def tokens(text: str) -> list[str]:
    """Lower-case words and numbers; of scripts without spaces, characters."""
    spaced = "".join(f" {c} " if alone(c) else c for c in text.lower())
    return _PIECES.findall(spaced)


def exact(said: str, right: str) -> float:
    """1 if both have the same `words`, else 0."""
    return float(words(said) == words(right))


def overlap(said: str, right: str) -> float:
    """F1 of the `words` of an answer against those of the right one; of two empty texts 1."""
    ours, theirs = Counter(words(said)), Counter(words(right))
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (ours & theirs).total()
    return 2.0 * shared / (ours.total() + theirs.total())


def alone(character: str) -> bool:
    """Whether a character is a word of its own: Han, Hiragana and Katakana."""
    code = ord(character)
    return 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF
