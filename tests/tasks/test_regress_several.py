from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.domains.domain import ArrayRows, Domain, Schema
from acclimate.domains.ids import hash_array
from acclimate.errors import DataError, SettingsError
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


def made(seed: int, shift: float, n: int = 200) -> Domain:
    """Two numbers of very different size, each linear in two of four columns."""
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n, 4)) + shift).astype(np.float32)
    noise = rng.normal(size=(n, 2)) * [0.1, 5.0]
    y = np.stack([2 * x[:, 0] + x[:, 1], 100 * (x[:, 2] - x[:, 3])], axis=1) + noise
    return Domain(f"made {seed}", Schema("array", ("x",), "y"), ArrayRows(x), hash_array(x), labels(*y.tolist()))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ac.Run:
    source, target = made(0, 0.0), made(1, 1.0).sealed()
    where = tmp_path_factory.mktemp("several") / "run"
    return ac.adapt(source, target, task="regress", backbone="columns", method="source_only", out=where)


def test_a_linear_head_answers_several_numbers_of_a_target(run: ac.Run):
    assert run.evaluate(made(2, 1.0))["metrics"]["r2"] > 0.99
    assert run.result["arms"][0]["source_validation"]["constant"] > 0.5  # the deviation is 1 by the unit


def test_answers_are_written_as_labels_are(run: ac.Run):
    rows = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], np.float32)
    said = [json.loads(text) for text in run.predict(rows)["prediction"]]
    assert said[0] == pytest.approx([2.0, 0.0], abs=3.0)
    assert said[1] == pytest.approx([0.0, 100.0], abs=3.0)


def test_the_labels_of_the_target_change_nothing(run: ac.Run, tmp_path):
    poisoned = replace(made(1, 1.0), labels=labels(*[[9e9, -9e9]] * 200))
    other = ac.adapt(
        made(0, 0.0), poisoned, task="regress", backbone="columns", method="source_only", out=tmp_path / "run"
    )
    rows = made(3, 1.0).rows.take(np.arange(20))
    assert run.predict(rows)["prediction"].tolist() == other.predict(rows)["prediction"].tolist()


def test_what_asks_for_one_number_says_so(tmp_path):
    groups = np.repeat(np.array(["a", "b", "c", "d"], dtype=object), 50)
    with pytest.raises(SettingsError, match="meta-training answers with a class or a number"):
        ac.meta_train(
            replace(made(0, 0.0), groups=groups), task="regress", groups="tasks", method="maml", out=tmp_path / "meta"
        )


def test_numbers_that_have_collapsed_are_named():
    from acclimate.selection.scores import collapse_of_numbers

    known = np.random.default_rng(0).normal(size=(100, 2))
    said = np.stack([known[:, 0], np.zeros(100)], axis=1)
    (reason,) = collapse_of_numbers(said, known)
    assert reason.startswith("number 2: the answers have a standard deviation of 0")
