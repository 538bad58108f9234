from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from acclimate.backbones import registry
from acclimate.backbones.towers import Tower, features
from acclimate.backbones.two_tower import TwoTower
from acclimate.domains.interactions import acquainted, read_interactions
from acclimate.errors import DataError, SettingsError

SOURCE = [("ann", "a", 5), ("ann", "b", 4), ("bob", "a", 1)]
TARGET = [("ann", "c", 2), ("cem", "d", 3)]
ITEMS = pd.DataFrame({"item": ["a", "c", "e"], "kind": ["x", "x", "y"], "year": [1990, 2000, 2010]})


def domains(by="pairs", **options):
    both = []
    for rows in (SOURCE, TARGET):
        table = pd.DataFrame(rows, columns=["user", "item", "rating"])
        both.append(read_interactions(table, user="user", item="item", rating="rating", by=by, items=ITEMS, **options))
    return acquainted(*both)


def network(by="pairs", fit=None, **settings) -> TwoTower:
    made = registry.create("two_tower", by, {"size": 4, **settings}, seed=0)
    made.fit(domains(by)[0] if fit is None else fit)
    return made.eval()


def ids(*rows):
    return pd.DataFrame(rows, dtype=object)


def test_features_leave_out_columns_that_only_name():
    table = pd.DataFrame(
        {"title": ["p", "q", "r", "s"], "kind": ["x", "x", "y", "y"], "year": [1.0, 1, 3, 3]}, index=list("abcd")
    )
    table["title"] = table["title"].astype(object)
    table["kind"] = table["kind"].astype(object)
    found = features(table)
    assert found.tolist() == features(table.drop(columns="title")).tolist()
    assert found[0].tolist() == found[1].tolist() != found[2].tolist()


def test_an_unknown_id_is_zero_and_an_item_without_rows_follows_from_its_features():
    made = network()
    vectors = made(made.collate(ids(("nobody", "nothing"), ("ann", "e"))))["pair"]
    assert not vectors[0].any()
    assert vectors[1, 4:].any()


def test_users_start_at_zero_and_items_do_not():
    made = network(side=False, history=False)
    vectors = made(made.collate(ids(("ann", "a"))))["pair"][0]
    assert not vectors[:4].any()
    assert vectors[4:].any()


def test_a_users_history_is_what_the_source_tells_and_not_the_target():
    made = network("users", side=False)
    found = made(made.collate(ids(("ann",), ("bob",), ("cem",))))["user"]
    weight = made.history.vectors.weight
    assert torch.allclose(found[0], (weight[0] + weight[1]) / 2**0.5)
    assert torch.allclose(found[1], weight[0])
    assert not found[2].any()


def test_without_a_target_there_is_no_history_that_could_hold_the_answers():
    alone, _ = acquainted(domains("users")[0], None)
    made = network("users", fit=alone, side=False)
    assert not made(made.collate(ids(("ann",))))["user"].any()


def test_hidden_users_are_answered_from_what_is_left_of_them():
    torch.manual_seed(0)
    tower = Tower(3, 4, 2, start=1.0, hidden=0.5)
    tower.know(np.ones((3, 2), dtype=np.float32))
    index = torch.ones(200, dtype=torch.int64)
    alone = tower.side(torch.ones(1, 2))[0]
    hidden = torch.isclose(tower.train()(index), alone).all(1)
    assert 60 < hidden.sum() < 140
    assert not torch.isclose(tower.eval()(index), alone).all(1).any()


def test_it_remembers_who_hit_what():
    assert network("users").hits() == {"ann": ["a", "b", "c"], "bob": ["a"], "cem": ["d"]}
    assert network().known(True)["value"].tolist() == [2, 3]


def test_a_saved_one_gives_the_same_bits(tmp_path):
    made = network("pairs")
    made.assets(tmp_path)
    save_file({name: value.clone() for name, value in made.state_dict().items()}, tmp_path / "w.safetensors")
    again = registry.restore(made.config(), tmp_path)
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    rows = ids(("ann", "a"), ("bob", "e"), ("nobody", "c"))
    assert torch.equal(again.eval()(again.collate(rows))["pair"], made(made.collate(rows))["pair"])
    assert again.hits() == made.hits()


def test_features_do_not_depend_on_the_rest_of_the_batch():
    made = network("users")
    rows = ids(("ann",), ("cem",), ("nobody",), ("bob",))
    whole = made(made.collate(rows))["user"]
    single = torch.cat([made(made.collate(rows.iloc[[k]]))["user"] for k in range(4)])
    assert torch.equal(whole, single)


def test_rows_of_no_interactions_are_refused():
    domain = read_interactions(pd.DataFrame(SOURCE, columns=["user", "item", "r"]), user="user", item="item")
    with pytest.raises(DataError, match="--user and --item"):
        registry.create("two_tower", "pairs").fit(domain)


@pytest.mark.parametrize("settings", [{"size": 0}, {"start": 0}, {"hidden": 1.0}])
def test_settings_out_of_range(settings):
    with pytest.raises(SettingsError):
        registry.create("two_tower", "users", settings)
