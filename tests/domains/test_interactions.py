from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from acclimate.domains.interactions import (
    ITEMS,
    KNOWN,
    SEEN,
    USERS,
    acquainted,
    beyond,
    read_interactions,
    read_users,
)
from acclimate.errors import DataError

ROWS = [("ann", "x", 5), ("bob", "x", 2), ("ann", "y", 3)]


def frame(rows=ROWS) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user", "item", "rating"])


def pairs(rows=ROWS, **options):
    return read_interactions(frame(rows), user="user", item="item", rating="rating", **options)


def users(rows=ROWS, **options):
    return pairs(rows, by="users", **options)


def everything(domain):
    return domain.rows.take(np.arange(len(domain)))


def test_pairs_carry_their_rating_and_belong_to_their_user():
    domain = pairs()
    assert domain.schema.modality == "pairs"
    assert everything(domain).to_numpy().tolist() == [["ann", "x"], ["bob", "x"], ["ann", "y"]]
    assert domain.labels.tolist() == ["5", "2", "3"]
    assert domain.groups.tolist() == ["ann", "bob", "ann"]


def test_users_carry_the_items_that_they_hit():
    domain = users(hit=3)
    assert everything(domain)["user"].tolist() == ["ann"]
    assert [json.loads(label) for label in domain.labels] == [["x", "y"]]
    assert [json.loads(label) for label in users().labels] == [["x", "y"], ["x"]]


def test_numbers_and_words_are_the_same_ids():
    domain = pairs([(7, 1, 1), ("7", "2", 2), (7.0, 3, 3)])
    assert everything(domain)["user"].tolist() == ["7", "7", "7"]


def test_contradictory_ratings_become_their_mean_and_are_told():
    domain = pairs([*ROWS, ("ann", "x", 1), ("bob", "x", 2)])
    assert domain.labels.tolist() == ["3", "2", "3"]
    assert any("2 pairs" in note and "1 of them with other ratings" in note for note in domain.notes)
    assert not any("more than once" in note for note in pairs().notes)


def test_when_something_was_rated_changes_nothing():
    late = frame().assign(timestamp=[9e12, -1, 9e12])
    read = read_interactions(late, user="user", item="item", rating="rating")
    assert read.fingerprint == pairs().fingerprint


def test_ids_of_users_tell_their_hits_apart_and_not_their_order():
    assert users().ids.tolist() == users([ROWS[2], ROWS[1], ROWS[0]]).ids[[0, 1]].tolist()
    assert users().ids[0] != users([ROWS[0]]).ids[0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("ann", None, 1)], "1 of 1 rows name no 'item'"),
        ([("ann", "x", "good")], "holds 'good', which is not a number"),
    ],
)
def test_rows_that_are_no_interactions_are_refused(rows, said):
    with pytest.raises(DataError, match=said):
        pairs(rows)


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"no column 'artist'.*columns found: user, item, rating"):
        read_interactions(frame(), user="user", item="artist")


def test_nobody_hits_anything():
    with pytest.raises(DataError, match="no rating reaches 6"):
        users(hit=6)


def test_a_table_of_items_with_a_key_twice_is_refused_unless_the_rows_are_equal():
    table = pd.DataFrame({"item": ["x", "x"], "year": [1990, 1991]})
    with pytest.raises(DataError, match="items holds 'x' more than once"):
        pairs(items=table)
    assert pairs(items=table.assign(year=1990)).tables[ITEMS].loc["x", "year"] == 1990


def test_a_table_without_the_key_is_refused():
    with pytest.raises(DataError, match="no column 'item'"):
        pairs(items=pd.DataFrame({"film": ["x"], "year": [1990]}))


def test_both_domains_know_all_users_items_and_interactions():
    table = pd.DataFrame({"item": ["x", "z"], "year": [1990.0, 2000.0]})
    source, target = acquainted(users(items=table), users([("bob", "w", 1), ("cem", "w", 1)]))
    assert source.tables[USERS].index.tolist() == ["ann", "bob", "cem"]
    assert source.tables[ITEMS].index.tolist() == ["w", "x", "y", "z"]
    assert np.array_equal(target.tables[ITEMS]["year"], [np.nan, 1990, np.nan, 2000], equal_nan=True)
    known = target.tables[KNOWN]
    told = sorted(zip(known["user"], known["item"], known["target"], strict=True))
    assert told == [(0, 1, False), (0, 2, False), (1, 0, True), (1, 1, False), (2, 0, True)]


def test_sealed_labels_are_not_told():
    source, target = acquainted(users(), users([("bob", "w", 1)]).sealed())
    assert not source.tables[KNOWN]["target"].any()
    assert target.tables[ITEMS].index.tolist() == ["x", "y"]
    assert target.tables[USERS].index.tolist() == ["ann", "bob"]


def test_known_hits_are_no_longer_asked_for():
    left = beyond(users(), {"ann": ["y"], "bob": ["x"]})
    assert everything(left)["user"].tolist() == ["ann"]
    assert left.labels.tolist() == ['["x"]']
    assert everything(left)[SEEN].tolist() == ['["y"]']
    with pytest.raises(DataError, match="all hits of these users were known"):
        beyond(users(), {"ann": ["x", "y"], "bob": ["x"]})


def test_users_alone_come_once_and_without_labels():
    domain = read_users(frame(), user="user", item="item")
    assert everything(domain)["user"].tolist() == ["ann", "bob"]
    assert domain.labels is None
