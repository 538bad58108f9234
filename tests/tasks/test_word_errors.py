"""Error rates of transcripts, by hand and against jiwer."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.errors import DataError
from acclimate.tasks.word_errors import error_rates, normalized

jiwer = pytest.importorskip("jiwer")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("  Six, two; ZERO!\n", "six two zero"),
        ("6,2-0", "6 2 0"),
        ("I don't, I didn\u2019t", "i dont i didnt"),
        ("\uff21\u0301\u00e9\u3002", "\u00e1\u00e9"),
        ("...", ""),
        ("5 $ = five", "5 five"),
    ],
)
def test_transcripts_are_compared_without_case_marks_and_spaces(text, same):
    assert normalized(text) == same
    assert normalized(same) == same


def test_edits_are_summed_before_they_are_divided():
    """One wrong word of one, none of three: 1/4, and not the mean of 1 and 0."""
    found = error_rates(["two", "a b c"], ["one", "a b c"])(None)
    assert found == {"wer": 0.25, "cer": pytest.approx(3 / 8)}  # two -> one: all three letters; "a b c" has five
    assert error_rates(["a x b c d"], ["a c"])(None)["wer"] == 1.5


def test_they_are_those_of_jiwer_and_rows_have_weights():
    said = ["the cat sat on mat", "a dog", "hello hello world"]
    right = ["the cat sat on the mat", "the dog runs", "hello world"]
    weighted = error_rates(said, right)
    assert weighted(None) == pytest.approx({"wer": jiwer.wer(right, said), "cer": jiwer.cer(right, said)})
    twice = jiwer.wer([*right, right[1], right[1]], [*said, said[1], said[1]])
    assert weighted(np.array([1.0, 3, 1]))["wer"] == pytest.approx(twice)


def test_texts_without_a_word():
    assert error_rates(["", "a b"], ["one two", "a b"])(None)["wer"] == 0.5
    assert error_rates(["um well", "a b"], ["...", "a b"])(None)["wer"] == 1.0, "two words too many, of two"
    assert error_rates(["well"], [""])(None)["wer"] == 1.0
    with pytest.raises(DataError, match="no rows to evaluate"):
        error_rates([], [])
