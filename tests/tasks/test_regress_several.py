from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from acclimate.domains.domain import ArrayRows, Domain, Schema
from acclimate.domains.ids import hash_array
from acclimate.errors import DataError
from acclimate.tasks import registry
from acclimate.tasks.regress import Regress
from acclimate.tasks.regress_several import RegressSeveral


def labels(*rows: object) -> np.ndarray:
    return np.array([json.dumps(row) for row in rows], dtype=object)


def domain(found: np.ndarray) -> Domain:
    rows = np.arange(len(found), dtype=np.float32)[:, None]
    return Domain("made", Schema("array"), ArrayRows(rows), hash_array(rows), found)


LABELS = labels([1.0, 10.0], [3.0, 30.0], [2.0, 20.0], [2.0, 20.0])
TASK = registry.create("regress", domain(LABELS))


def test_lists_make_it_a_regression_of_several_numbers():
    assert isinstance(TASK, RegressSeveral)
    assert isinstance(registry.create("regress", domain(np.array(["1.5", "2"], dtype=object))), Regress)
    assert TASK.mean == pytest.approx((2.0, 20.0))
    assert TASK.scale == pytest.approx((np.sqrt(0.5), 10 * np.sqrt(0.5)))


def test_targets_are_standardised_and_answers_are_not():
    targets = TASK.encode(LABELS)
    assert targets[0].tolist() == pytest.approx([-np.sqrt(2), -np.sqrt(2)])
    assert TASK.decode({"value": targets.numpy()}).prediction[1] == pytest.approx([3.0, 30.0])


def test_the_loss_is_the_mean_over_the_numbers_of_each_row():
    outputs = {"value": torch.tensor([[1.0, 2.0], [0.0, 0.0]])}
    assert TASK.loss(outputs, torch.zeros(2, 2)).tolist() == [2.5, 0.0]


def test_every_number_counts_the_same_whatever_its_unit():
    answers = TASK.decode({"value": TASK.encode(LABELS).numpy() + np.array([1.0, 0.0])})
    found = TASK.metrics(answers, LABELS)
    assert found["mae"] == pytest.approx(0.5)  # one is off by its deviation, the other is right
    assert found["rmse"] == pytest.approx(0.5)
    assert found["r2"] == pytest.approx(0.5)  # 0 and 1
    doubled = TASK.weighted_metrics(answers, LABELS)(np.array([2.0, 0.0, 1.0, 0.0]))
    assert doubled["mae"] == pytest.approx(0.5)


def test_it_is_made_again_from_its_config():
    assert registry.restore(json.loads(json.dumps(TASK.config()))) == TASK


def test_a_number_that_never_changes_has_the_deviation_1():
    made = RegressSeveral.from_domain(domain(labels([1, 5], [2, 5])))
    assert made.scale == (0.5, 1.0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (labels([1, 2], [1, 2, 3]), "row 2 holds 3 numbers, expected 2"),
        (labels([1, 2], [1, None]), "row 2 holds .*, expected a list of numbers"),
        (labels([1, 2], "word"), "expected a list of numbers"),
        (labels([1, 2], [1, 1e31]), "not usable .* row 2"),
        (labels([1, 2], [1, 2]), "nothing to learn"),
    ],
)
def test_labels_that_are_no_such_lists_are_refused(found: np.ndarray, said: str):
    with pytest.raises(DataError, match=said):
        registry.create("regress", domain(found))
