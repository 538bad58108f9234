from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from acclimate.domains.interactions import acquainted, read_interactions
from acclimate.tasks.rate import Product, Rate


def domain(ratings):
    table = pd.DataFrame({"user": "u", "item": [f"i{k}" for k in range(len(ratings))], "rating": ratings})
    return read_interactions(table, user="user", item="item", rating="rating")


def test_answers_stay_within_the_ratings_of_both_domains():
    source, _ = acquainted(domain([2, 4]), domain([1, 3]))
    task = Rate.from_domain(source)
    assert (task.mean, task.scale, task.low, task.high) == (3, 1, 1, 4)
    assert task.decode({"value": np.array([-9.0, 0.5, 9.0])}).prediction.tolist() == [1, 3.5, 4]
    assert Rate.from_config(json.loads(json.dumps(task.config()))) == task


def test_the_head_is_the_product_of_user_and_item_and_biases():
    head = Product(4)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 10.0]]))
        head.linear.bias.fill_(0.5)
    assert head(torch.tensor([[1.0, 2.0, 3.0, 4.0]])).tolist() == [1 * 3 + 2 * 4 + 1 + 40 + 0.5]


def test_alignment_acts_on_users_and_items_apart():
    task = Rate(3.0, 1.0, 1.0, 5.0)
    sites = task.sites(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), {})
    assert sites["user"].values.tolist() == [[1, 2]]
    assert sites["item"].values.tolist() == [[3, 4]]


def test_metrics_are_those_of_numbers():
    task = Rate(3.0, 1.0, 1.0, 5.0)
    found = task.metrics(task.decode({"value": np.array([0.0, 1.0])}), np.array(["5", "4"]))
    assert found["mae"] == pytest.approx(1)
    assert found["rmse"] == pytest.approx(np.sqrt(2))
