"""Entities out of tags, as conlleval finds them: cases worked out by hand."""

from __future__ import annotations

import pytest

from acclimate.tasks.entities import entities


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O B-LOC", [("PER", 0, 1), ("LOC", 3, 3)]),
        ("B-PER B-PER I-PER", [("PER", 0, 0), ("PER", 1, 2)]),
        ("I-PER I-PER O I-PER", [("PER", 0, 1), ("PER", 3, 3)]),
        ("B-PER I-LOC I-LOC", [("PER", 0, 0), ("LOC", 1, 2)]),
        ("O I-PER B-PER", [("PER", 1, 1), ("PER", 2, 2)]),
        ("B-PER I-PER E-PER S-PER S-LOC", [("PER", 0, 2), ("PER", 3, 3), ("LOC", 4, 4)]),
        ("E-PER I-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        ("NOUN NOUN VERB O", [("NOUN", 0, 1), ("VERB", 2, 2)]),
        ("B-a-b I-a-b", [("a-b", 0, 1)]),
        ("O O", []),
        ("", []),
    ],
)
def test_where_entities_begin_and_end(tags, expected):
    assert entities(tags.split()) == expected
