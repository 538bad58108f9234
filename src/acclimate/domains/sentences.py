"""Where the sentences of a text begin and end."""

from __future__ import annotations

import re

# ruff: noqa: RUF001 - the marks of other scripts are meant

ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "e.g", "i.e", "cf", "fig", "inc", "ltd", "co", "corp"}
    | {"gen", "sen", "rep", "gov", "capt", "lt", "col", "sgt", "jan", "feb", "aug", "sept", "oct", "nov", "dec"}
)
"""What a full stop may follow within a sentence, in lower case; single letters besides."""
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]+[」』”’）]*|\n\s*\n|\n(?=\s*[-*•])")
_WORD = re.compile(r"\S+$")
_SHORT = re.compile(r"[^\W\d_]|\d\d?|(\w\.)+\w")
_OPENS = re.compile(r"\s*[\"'“‘(\[]*[^\W_a-z]")


def split(text: str) -> list[tuple[int, int]]:
    """The characters from which to which each sentence reaches, without white space around it.

    A sentence ends at a full stop, question or exclamation mark that is followed by white space and something that does
    not begin with a small letter, unless the stop belongs to an abbreviation, an initial or an ordinal (3. Mai); at the
    marks of Chinese and Japanese; and at an empty line.
    """
    found, start = [], 0
    for match in _END.finditer(text):
        if match.group() == "." and not _ends(text, start, match):
            continue
        found.append((start, match.end()))
        start = match.end()
    found.append((start, len(text)))
    return [(low, high) for low, high in (_stripped(text, *pair) for pair in found) if high > low]


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a full stop ends a sentence."""
    before = _WORD.search(text[start : match.start()])
    word = before.group().lstrip("\"'“‘([").lower() if before else ""
    short = word in ABBREVIATIONS or _SHORT.fullmatch(word) is not None
    opens = match.end() == len(text) or _OPENS.match(text, match.end()) is not None
    return opens and not short


def _stripped(text: str, low: int, high: int) -> tuple[int, int]:
    part = text[low:high]
    return low + len(part) - len(part.lstrip()), low + len(part.rstrip())
