from __future__ import annotations

import numpy as np
import pytest

from acclimate.errors import DataError
from acclimate.tasks.ranking import parsed, weighted_ranking

LETTERS = list("abcdefghijklmno")


def test_by_hand():
    metrics = weighted_ranking([LETTERS, LETTERS], [["a", "c"], ["l"]], 30)
    found = metrics(None)
    first = (1 + 1 / 2) / (1 + 1 / np.log2(3))
    assert found["ndcg_at_10"] == pytest.approx(first / 2)
    assert found["recall_at_10"] == pytest.approx(0.5)
    assert found["mrr"] == pytest.approx((1 + 1 / 12) / 2)
    assert found["coverage"] == pytest.approx(10 / 30)


def test_a_replicate_counts_users_and_covers_only_what_they_were_shown():
    metrics = weighted_ranking([["a", "b"], ["c"]], [["a"], ["z"]], 4)
    assert metrics(np.array([3.0, 1.0]))["ndcg_at_10"] == pytest.approx(0.75)
    assert metrics(np.array([0.0, 2.0])) == {"ndcg_at_10": 0, "recall_at_10": 0, "mrr": 0, "coverage": 0.25}


def test_more_hits_than_places_are_no_fault_of_the_list():
    assert weighted_ranking([LETTERS], [LETTERS], 15)(None)["recall_at_10"] == 1
    assert weighted_ranking([LETTERS], [LETTERS], 15)(None)["ndcg_at_10"] == pytest.approx(1)


def test_an_item_that_cannot_be_offered_counts_as_missed():
    assert weighted_ranking([["a"]], [["a", "unknown"]], 1)(None)["recall_at_10"] == 0.5


def test_nobody_to_evaluate():
    with pytest.raises(DataError, match="at least one user"):
        weighted_ranking([], [], 1)


def test_an_empty_answer_names_nothing():
    assert parsed("") == []
    assert parsed('["1", 2]') == ["1", "2"]
