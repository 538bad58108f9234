"""Remaining life: the score by hand, the cap, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.domains.domain import ArrayRows, Domain, Schema
from acclimate.domains.ids import hash_array
from acclimate.errors import DataError, SettingsError
from acclimate.tasks import registry
from acclimate.tasks.answers import Answers
from acclimate.tasks.remaining_life import RemainingLife, nasa_costs


def domain_of(labels):
    values = np.arange(len(labels), dtype=np.float32)[:, None, None]
    return Domain("d", Schema("series"), ArrayRows(values), hash_array(values), np.array(labels, dtype=object))


def test_late_costs_more_than_early():
    lives = np.array([50.0, 50.0, 50.0])
    assert nasa_costs(np.array([37.0, 60.0, 50.0]), lives) == pytest.approx([np.e - 1, np.e - 1, 0])


def test_lives_are_capped_in_training_and_in_metrics():
    task = RemainingLife().given({"cap": 100}).learned_from(domain_of(["0", "50", "100", "300"]))
    assert task.mean == pytest.approx(62.5) and task.cap == 100
    assert task.encode(np.array(["100", "300"])).tolist() == pytest.approx([37.5 / task.scale] * 2)
    said = Answers(np.array([100.0, 40.0]))
    found = task.metrics(said, np.array(["300", "50"]))
    assert found["rmse"] == pytest.approx(np.sqrt(50)) and found["mae"] == pytest.approx(5)
    assert found["nasa_score"] == pytest.approx(np.expm1(10 / 13))
    doubled = task.weighted_metrics(said, np.array(["300", "50"]))(np.array([1.0, 2.0]))
    assert doubled["nasa_score"] == pytest.approx(2 * found["nasa_score"])


def test_answers_are_lives():
    task = RemainingLife(60.0, 20.0, 100.0)
    assert task.decode({"value": np.array([-9.0, 0.5, 9.0])}).prediction.tolist() == [0, 70, 100]
    assert task.baselines(ArrayRows(np.zeros((2, 1))))["mean life"].prediction.tolist() == [60, 60]
    assert registry.restore(task.config()) == task


def test_what_is_refused():
    with pytest.raises(DataError, match="row 2 has -3 steps left"):
        RemainingLife.from_domain(domain_of(["4", "-3"]))
    with pytest.raises(SettingsError, match="above 0, found 0"):
        RemainingLife().given({"cap": 0})
    with pytest.raises(DataError, match="every life is 5 or more"):
        RemainingLife().given({"cap": 5}).learned_from(domain_of(["7", "9"]))
