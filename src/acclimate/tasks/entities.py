"""Which words a row of tags holds together: entities."""

from __future__ import annotations

from collections.abc import Sequence

OUTSIDE = "O"
"""The tag of words that belong to nothing."""


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Type, first word and last word of each entity, as conlleval (Tjong Kim Sang & Buchholz, CoNLL 2000) finds them.

    Tags are ``O``, or begin with ``B-``, ``I-`` (also ``E-``, ``S-``); what carries on nothing begins an entity all the
    same. A tag without such a beginning is read as ``I-``: neighbours with the same tag are one.
    """
    found: list[tuple[str, int, int]] = []
    before, kind, first = OUTSIDE, "", 0
    for place, (mark, own) in enumerate([*map(_parted, tags), (OUTSIDE, "")]):
        ends = before != OUTSIDE and (before in "ES" or mark in "BSO" or own != kind)
        if ends:
            found.append((kind, first, place - 1))
        if mark != OUTSIDE and (ends or before == OUTSIDE):
            first = place
        before, kind = mark, own
    return found


def kind_of(tag: str) -> str:
    """The type that a tag speaks of, empty for ``O``."""
    return _parted(tag)[1]


def _parted(tag: str) -> tuple[str, str]:
    """The mark of a tag, and the type."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    return (tag[0], tag[2:]) if tag[:2] in ("B-", "I-", "E-", "S-") else ("I", tag)
