from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.methods.few_shot.prototypes import Prototypes
from acclimate.runs.few_shot import held_out
from acclimate.runs.few_shot.held_out import HeldOut, fold_of, hold_out, hold_out_among


def test_few_rows_are_held_out_one_of_each_class_at_a_time():
    targets = np.repeat([0, 1, 2], 4)
    fold = fold_of(targets, 0)
    assert all(sorted(targets[fold == part]) == [0, 1, 2] for part in range(4))
    assert fold.max() == 3


def test_a_row_that_is_alone_in_its_class_is_never_held_out():
    fold = fold_of(np.array([0, 0, 0, 1, 2, 2]), 0)
    assert fold[3] == -1
    assert sorted(fold[:3]) == [0, 1, 2]
    assert fold[4] != fold[5]


def test_of_many_rows_there_are_twenty_parts_with_rows_of_each_class():
    targets = np.repeat([0, 1], [100, 41])
    fold = fold_of(targets, 0)
    assert np.bincount(fold[:100]).tolist() == [5] * 20
    assert set(np.bincount(fold[100:], minlength=20)) == {2, 3}


@pytest.mark.parametrize("numbers", [held_out.NUMBERS, 1])
def test_held_out_rows_are_answered_by_the_others(clusters, monkeypatch, numbers):
    monkeypatch.setattr(held_out, "NUMBERS", numbers)  # all folds in one call, or one by one
    support, targets = clusters(3)
    fold = fold_of(targets.numpy(), 0)
    held = hold_out(Prototypes(), support, targets, 4, fold)
    assert held.rows.tolist() == list(range(12))
    for row in range(12):
        others = torch.from_numpy(fold != fold[row])
        alone = Prototypes().logits(support[others][None], targets[others][None], support[row][None, None], 4)
        torch.testing.assert_close(torch.from_numpy(held.logits[row]), alone[0, 0], atol=1e-4, rtol=1e-4)


def test_rows_asked_together_with_others_do_not_see_their_own_label(clusters):
    support, targets = clusters(3)
    query, _ = clusters(5, seed=1)
    fold = fold_of(targets.numpy(), 0)
    among = hold_out_among(Prototypes(), support, targets, query, 4, fold)
    alone = hold_out(Prototypes(), support, targets, 4, fold)  # prototypes do not look at the query rows
    np.testing.assert_allclose(among.logits, alone.logits, atol=1e-4)


def test_the_interval_of_the_accuracy_by_hand():
    logits = np.eye(2, dtype=np.float32)[np.zeros(10, dtype=int)]
    assert HeldOut(logits, np.zeros(10, dtype=int), np.arange(10)).interval == pytest.approx((0.025**0.1, 1.0))
    assert HeldOut(logits, np.ones(10, dtype=int), np.arange(10)).interval == pytest.approx((0.0, 1 - 0.025**0.1))
    nine = HeldOut(logits, np.array([0] * 9 + [1]), np.arange(10))
    assert nine.interval == pytest.approx((0.55498, 0.99747), abs=1e-5)  # Clopper and Pearson's


def test_losses_are_at_the_temperature_that_fits():
    logits = np.array([[4.0, 0.0]] * 20, dtype=np.float32)
    held = HeldOut(logits, np.array([0] * 14 + [1] * 6), np.arange(20))
    assert held.temperature > 2  # right in 70 %, and sure of it in 98 %
    p = 1 / (1 + np.exp(-4 / held.temperature))
    np.testing.assert_allclose(held.losses, [-np.log(p)] * 14 + [-np.log(1 - p)] * 6, rtol=1e-6)
