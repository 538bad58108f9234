"""Two domains with other columns in one encoder."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from acclimate.backbones import column_encoder, linked_columns, registry
from acclimate.backbones.layers import ignore_last
from acclimate.errors import DataError, SettingsError

FIRST = pd.DataFrame({"a": [1.0, 3.0, np.nan, 5.0], "s": [10.0, 10.0, 40.0, 20.0], "c": ["x", "y", "y", None]})
OTHER = pd.DataFrame({"t": [0.0, 2.0], "a": [3.0, np.nan]})


@pytest.fixture
def linked(make_domain):
    first = column_encoder.fit(make_domain(FIRST, "table"))
    return linked_columns.link(first, make_domain(OTHER, "table"))


def test_rows_of_either_domain_by_hand(linked):
    ordinary = linked.first.encode(FIRST)
    assert linked.lacking == ["s", "c"] and linked.own.columns == ["t"]
    assert linked.size == ordinary.shape[1] + 2 and linked.idle == 2
    values = linked.encode(FIRST)
    assert values.dtype == np.float32
    assert (values[:, :-2] == ordinary).all(), "the first domain's rows are what they would be alone"
    assert (values[:, -2:] == 0).all()
    values = linked.encode(OTHER)
    assert values[0, 0] == 0 and values[1, 0] == 0, "3 is the mean of a, and what a missing one becomes"
    assert values[:, 1].tolist() == [0, 0], "the mean of s stands for it"
    assert values[:, 2].tolist() == [0, 1], "a is missing in one row; s is lacking, not missing"
    assert values[:, 3:7].tolist() == [[1, 0, 0, 0]] * 2, "y is the most frequent category"
    assert values[:, 7:].tolist() == [[-1, 1], [1, 1]], "its own column by its own statistics, and its bias"


def test_the_typical_value_without_standardisation_is_the_median(make_domain):
    plain = column_encoder.fit(make_domain(FIRST, "table"), standardize=False)
    assert plain.typical() == {"a": 3.0, "s": 15.0, "c": "y"}
    assert column_encoder.fit(make_domain(FIRST, "table")).typical() == {"a": 3.0, "s": 20.0, "c": "y"}


def test_only_lacking_columns(make_domain):
    first = column_encoder.fit(make_domain(FIRST, "table"))
    linked = linked_columns.link(first, make_domain(FIRST[["c", "a"]], "table"))
    assert linked.own is None and linked.lacking == ["s"]
    values = linked.encode(FIRST[["c", "a"]])
    assert (values[:, -1] == 1).all() and (values[:, 1] == 0).all()
    kept = [0, *range(2, first.size)]
    assert (values[:, kept] == first.encode(FIRST)[:, kept]).all()
    with pytest.raises(DataError, match="column 'a' is missing"):
        linked.encode(FIRST[["c"]])


def test_only_more_columns(make_domain):
    first = column_encoder.fit(make_domain(FIRST[["a"]], "table"))
    linked = linked_columns.link(first, make_domain(OTHER, "table"))
    assert linked.lacking == [] and linked.encode(OTHER)[:, -1].tolist() == [1, 1]
    assert linked.encode(FIRST[["a"]])[:, -1].tolist() == [0] * 4


def test_arrays_share_nothing(make_domain):
    rows = np.array([[1, 2], [3, 6]], dtype=np.float32)
    others = np.array([[[1], [1], [0]], [[3], [1], [0]]], dtype=np.float32)
    linked = linked_columns.link(column_encoder.fit(make_domain(rows, "array")), make_domain(others, "array"))
    assert linked.idle == 0, "zero weights would make all rows of the other alike"
    assert linked.encode(rows).tolist() == [[-1, -1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]]
    assert linked.encode(others).tolist() == [[0, 0, -1, 0, 0, 1], [0, 0, 1, 0, 0, 1]]
    with pytest.raises(DataError, match="rows of shape"):
        linked.encode(np.zeros((1, 5), np.float32))
    counts = make_domain(sparse.csr_matrix(rows), "array")
    with pytest.raises(DataError, match="features=N"):
        linked_columns.link(column_encoder.fit(counts), counts)


def test_json(linked):
    again = linked_columns.restore(json.loads(json.dumps(linked.to_json(), allow_nan=False)))
    assert again == linked
    assert linked_columns.restore(linked.first.to_json()) == linked.first


@pytest.mark.parametrize("raw", [FIRST, OTHER], ids=["first", "other"])
@pytest.mark.parametrize("name", ["mlp", "columns"])
def test_round_trip_of_both_kinds_of_rows(name, raw, make_domain, round_trip):
    backbone = registry.create(name, "table")
    with pytest.raises(DataError, match="call fit"):
        backbone.link(make_domain(OTHER, "table"))
    backbone.fit(make_domain(FIRST, "table"))
    backbone.link(make_domain(OTHER, "table"))
    round_trip(backbone, raw)


def test_an_untrained_net_imputes(make_domain):
    backbone = registry.create("mlp", "table", seed=3)
    backbone.fit(make_domain(FIRST, "table"))
    backbone.link(make_domain(OTHER, "table"))
    imputed = pd.DataFrame({"a": OTHER["a"], "s": 20.0, "c": "y"})
    found, expected = (backbone(backbone.collate(rows))["hidden_1"] for rows in (OTHER, imputed))
    assert torch.equal(found, expected)


def test_ignore_last():
    layer = torch.nn.Linear(4, 2)
    before = layer.weight.detach().clone()
    ignore_last(layer, 0)
    assert torch.equal(layer.weight, before)
    ignore_last(layer, 3)
    assert torch.equal(layer.weight[:, :1], before[:, :1]) and (layer.weight[:, 1:] == 0).all()
    ignore_last(torch.nn.ReLU(), 3)


def test_other_backbones_refuse(make_domain):
    backbone = registry.create("small_cnn", "image")
    with pytest.raises(SettingsError, match="'small_cnn' reads one kind of row only"):
        backbone.link(make_domain(OTHER, "table"))
