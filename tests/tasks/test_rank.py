from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from acclimate.domains.interactions import SEEN, acquainted, read_interactions
from acclimate.domains.rows import FrameRows
from acclimate.errors import DataError, SettingsError
from acclimate.tasks.rank import SCALE, Rank


def domain(rows, **options):
    table = pd.DataFrame(rows, columns=["user", "item"])
    return read_interactions(table, user="user", item="item", by="users", **options)


@pytest.fixture
def task() -> Rank:
    """Source items a and b, target items c and d."""
    source, _ = acquainted(domain([("u", "a"), ("u", "b")]), domain([("u", "c"), ("v", "d"), ("v", "c")]))
    return Rank.from_domain(source)


def test_the_targets_items_are_offered(task):
    assert task.items == ("a", "b", "c", "d")
    assert (task.offered, task.other) == ((2, 3), (0, 1))


def test_without_a_target_the_sources_items_are_offered():
    alone, _ = acquainted(domain([("u", "a"), ("u", "b")]), None)
    assert Rank.from_domain(alone).offered == (0, 1)


def test_the_loss_is_over_the_items_of_the_rows_own_domain(task):
    scores = torch.tensor([[3.0, 0.0, 1.0, 2.0], [3.0, 0.0, 1.0, 2.0]])
    targets = task.encode(np.array(['["c", "d"]', '["a"]'], dtype=object))
    assert targets.tolist() == [[2, 3], [0, -1]]
    target = torch.tensor([1.0, 2.0]).log_softmax(0).sum()
    source = torch.tensor([3.0, 0.0]).log_softmax(0)[0]
    assert task.loss({"scores": scores}, targets).tolist() == pytest.approx(
        [-target.item() / SCALE, -source.item() / SCALE]
    )


def test_a_row_without_a_known_item_teaches_nothing(task):
    scores = torch.zeros(1, 4, requires_grad=True)
    loss = task.loss({"scores": scores}, task.encode(np.array(['["nobody knows it"]'], dtype=object)))
    loss.sum().backward()
    assert loss.item() == 0
    assert not scores.grad.any()


def test_lists_are_of_offered_items_best_first_without_those_seen(task):
    rows = FrameRows(pd.DataFrame({"user": ["u", "v"], SEEN: ['["d"]', "[]"]}, dtype=object))
    scores = np.array([[9.0, 9.0, 1.0, 2.0], [9.0, 9.0, 1.0, 2.0]])
    lists = [json.loads(text) for text in task.decode({"scores": scores}, rows=rows).prediction]
    assert lists == [["c"], ["d", "c"]]


def test_items_of_a_kind_start_alike_and_a_saved_task_has_the_same_head():
    table = pd.DataFrame({"item": ["a", "b", "c", "d"], "kind": ["x", "y", "x", "y"]})
    source, _ = acquainted(domain([("u", "a"), ("u", "b")], items=table), domain([("u", "c"), ("u", "d")]))
    task = Rank.from_domain(source)
    head = task.head(3)
    assert torch.equal(head.tower.features[1], head.tower.features[3])
    assert not torch.equal(head.tower.features[1], head.tower.features[2])
    again = Rank.from_config(json.loads(json.dumps(task.config())))
    assert again == task
    other = again.head(3)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(torch.ones(1, 3)), head(torch.ones(1, 3)))


def test_rows_that_are_no_users_are_refused():
    table = pd.DataFrame([("u", "a", 1)], columns=["user", "item", "rating"])
    pairs = read_interactions(table, user="user", item="item", rating="rating")
    with pytest.raises(DataError, match="--user and --item"):
        Rank.from_domain(pairs)


def test_there_is_no_convex_head(task):
    with pytest.raises(SettingsError, match="no convex head"):
        task.solve(np.zeros((1, 2)), np.array(["[]"]), 1.0)
