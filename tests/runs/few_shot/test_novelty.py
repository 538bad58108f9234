from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.errors import SettingsError
from acclimate.runs.few_shot.novelty import measure


@pytest.mark.parametrize("rate", [0.1, 0.2])
def test_the_stated_rate_is_kept_over_many_supports(clusters, rate):
    refused = []
    for seed in range(150):
        support, targets = clusters(5, seed=seed)
        query, _ = clusters(6, seed=seed)
        novelty = measure(support, targets, 4, rate, 0)
        refused.append(novelty.refused(novelty.p_values(support, targets, query, 4)).mean())
    error = np.std(refused) / np.sqrt(len(refused))
    assert rate / 4 < np.mean(refused) < rate + 2 * error


def test_rows_of_unknown_classes_are_recognised_as_often_as_estimated(clusters):
    found, estimated = [], []
    for seed in range(40):
        support, targets = clusters(6, seed=seed, spread=0.7)
        strangers, _ = clusters(5, seed=seed, spread=0.7, classes=[6, 7, 8, 9])
        novelty = measure(support, targets, 4, 0.1, 0)
        found.append(novelty.refused(novelty.p_values(support, targets, strangers, 4)).mean())
        estimated.append(novelty.recognised)
    assert np.mean(found) > 0.5
    assert abs(np.mean(found) - np.mean(estimated)) < 0.15


def test_a_row_like_its_class_conforms_and_one_of_another_direction_does_not(clusters):
    support, targets = clusters(8, seed=3, spread=0.3)
    novelty = measure(support, targets, 4, 0.05, 0)
    query = torch.cat([support[:1], -support[:1]])
    p_values = novelty.p_values(support, targets, query, 4)
    assert p_values[0] > 0.1
    assert p_values[1] == 1 / 33
    assert novelty.refused(p_values).tolist() == [False, True]


@pytest.mark.parametrize(
    ("shots", "rate", "said"),
    [
        (
            2,
            0.1,
            "8 rows can be held out and support rates from 0.111; 0.1 needs 9 rows, such as 3 of each",
        ),
        (1, 0.2, "no row can be held out; 0.2 needs 4 rows, such as 2 of each of 4 classes"),
        (5, 0.0, "must lie between 0 and 1, found 0.0"),
        (5, 1.0, "must lie between 0 and 1"),
        (5, float("nan"), "must lie between 0 and 1"),
    ],
)
def test_a_rate_that_so_few_rows_cannot_support(clusters, shots, rate, said):
    support, targets = clusters(shots)
    with pytest.raises(SettingsError, match="abstain.*" + said):
        measure(support, targets, 4, rate, 0)


def test_where_whole_classes_cannot_be_left_out_nothing_is_estimated(clusters):
    support, targets = clusters(5, ways=2)
    assert measure(support, targets, 2, 0.1, 0).recognised is None
    assert measure(support, targets, 2, 0.2, 0).recognised is not None
