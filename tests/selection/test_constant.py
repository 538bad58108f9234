"""The best constant answer."""

from __future__ import annotations

import numpy as np

from acclimate.domains.masks import to_text
from acclimate.selection.constant import constant_answer
from acclimate.tasks.answers import Answers
from acclimate.tasks.classify import Classify
from acclimate.tasks.regress import Regress
from acclimate.tasks.segment import Segment
from acclimate.tasks.thresholds import Look

CLASSIFY, REGRESS = Classify(("a", "b")), Regress()


def test_constant_answer() -> None:
    labels = np.array(["a", "b", "b", "b"], dtype=object)
    mine = Answers(labels, np.ones(4), np.eye(2)[[0, 1, 1, 1]], ("a", "b"))
    assert constant_answer(CLASSIFY, mine, labels) == 0.75
    numbers = np.array(["0", "0", "9"], dtype=object)
    assert constant_answer(REGRESS, Answers(np.zeros(3)), numbers) == 3.0  # the median's error; the mean's is 4


def test_a_mask_of_the_commonest_category_is_a_constant_answer() -> None:
    names = ("background", "vessel")
    labels = np.array([to_text(np.eye(size, dtype=np.uint8), names) for size in (4, 6)], dtype=object)
    said = Answers(np.array([to_text(np.zeros((size, size), np.uint8), names) for size in (4, 6)], dtype=object))
    task = Segment(names, Look("background", "background", "vessel"))
    share = (4 * 3 + 6 * 5) / (4 * 4 + 6 * 6)  # of pixels that are background; no vessel is found
    assert constant_answer(task, said, labels) == task.metrics(said, labels)["miou"] == share / 2
