"""What every text backbone does first."""

from __future__ import annotations

from collections.abc import Iterable


def readable(texts: Iterable[str], limit: int) -> list[str]:
    """The first ``limit`` characters of each text; halves of surrogate pairs, which no tokenizer takes, are mended."""
    return [_whole(text[:limit]) for text in texts]


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
