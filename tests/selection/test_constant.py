"""The best constant answer."""

from __future__ import annotations

import numpy as np

from acclimate.selection.constant import constant_answer
from acclimate.tasks.answers import Answers
from acclimate.tasks.classify import Classify
from acclimate.tasks.regress import Regress

CLASSIFY, REGRESS = Classify(("a", "b")), Regress()


def test_constant_answer() -> None:
    labels = np.array(["a", "b", "b", "b"], dtype=object)
    mine = Answers(labels, np.ones(4), np.eye(2)[[0, 1, 1, 1]], ("a", "b"))
    assert constant_answer(CLASSIFY, mine, labels) == 0.75
    numbers = np.array(["0", "0", "9"], dtype=object)
    assert constant_answer(REGRESS, Answers(np.zeros(3)), numbers) == 3.0  # the median's error; the mean's is 4
