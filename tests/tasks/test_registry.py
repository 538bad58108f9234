import numpy as np
import pytest

from acclimate.errors import DataError
from acclimate.tasks.registry import infer


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["a", "b"], "classify"),
        (["0", "1", "nan"], "classify"),
        (["0.5", "1"], "regress"),
        (["1", "2", "unknown", "3"], "classify"),
        (["0.5", "low", "high"], "classify"),
    ],
)
def test_task_that_labels_show(labels, expected):
    assert infer(np.array(labels, dtype=object)) == expected


def test_many_whole_numbers_may_be_either():
    with pytest.raises(DataError, match="21 different whole numbers"):
        infer(np.arange(21).astype(str))


def test_a_word_among_fractions_is_named():
    labels = np.array([f"{i}.5" for i in range(500)] + ["12,5"], dtype=object)
    with pytest.raises(DataError, match="1 of 501 are not: the first is '12,5' in row 501"):
        infer(labels)


@pytest.mark.parametrize("label", ['["Rome"]', '{"text": ["Rome"], "answer_start": [3]}', "[]"])
def test_lists_ask_for_a_task_that_has_them(label):
    with pytest.raises(DataError, match=r"--task answer .* --task tag .* --task regress"):
        infer(np.array([label, '["B-PER", "O"]'], dtype=object))
    assert infer(np.array([label, "[sic]"], dtype=object)) == "classify"
