"""Domains of interactions: who rated, bought or heard what, and what is known of users and items.

Rows are either pairs of a user and an item (modality "pairs", the label is the rating), or users (modality "users",
the label is the list of items that the user hit, as JSON). Both carry tables of users and items by id, so that a model
knows also what no row speaks of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from acclimate.domains import ids
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.labels import as_numbers, canonical_one
from acclimate.domains.read import read
from acclimate.domains.rows import FrameRows
from acclimate.errors import DataError

By = Literal["pairs", "users"]
USERS, ITEMS, KNOWN = "users", "items", "known"
"""Names of the tables that a domain of interactions carries."""
SEEN = "(seen)"
"""The column that holds the items, as JSON, that a user is known to have hit."""


@dataclass(frozen=True)
class Columns:
    """What interactions are called where they are read.

    Attributes:
        user: column of the users' ids.
        item: column of the items' ids.
        rating: column of ratings or counts; None: every row is a hit.
        hit: the smallest rating that is a hit, where rows are users; None: every row is one.
    """

    user: str
    item: str
    rating: str | None = None
    hit: float | None = None


def read_interactions(
    source: Any,
    *,
    user: str,
    item: str,
    rating: str | None = None,
    items: Any = None,
    users: Any = None,
    by: By = "pairs",
    hit: float | None = None,
    name: str | None = None,
) -> Domain:
    """Read interactions as pairs with a rating, or as users with the items that they hit.

    Ids are text: 7, 7.0 and "7" are one user, and equal ids of two domains are the same user or item. A pair that is
    there twice counts once, with the mean of its ratings; a note says how many contradict each other. No other column
    is read: not when something was rated either.

    Args:
        source: whatever `acclimate.read` reads tables from.
        user: column of the users' ids.
        item: column of the items' ids.
        rating: column of ratings or counts, None where there is none (or it is to stay sealed).
        items: table (or several) of what is known of items, with the column ``item``; further columns are features.
        users: the same of users.
        by: "pairs": a row is a user and an item, its label the rating; "users": a row is a user, its label the list of
            items that the user hit.
        hit: by users, the smallest rating that is a hit; None: every row is one.
        name: of the domain, for people.

    Raises:
        DataError: a column that is not there, a row without user or item, a rating that is no number, an id that a
            table of users or items holds twice, or no hit at all.
    """
    called = Columns(user, item, rating, hit)
    frame, read_as = _pairs(source, called)
    where = name or read_as.name
    domain = _by_user(frame, called, where) if by == "users" else _by_pair(frame, called, where)
    notes = tuple(note for note in read_as.notes if not note.startswith("modality"))
    tables = {}
    for what, key, places in ((USERS, user, users), (ITEMS, item, items)):
        if (table := _table(places, key, what)) is not None:
            tables[what] = table
    return replace(domain, tables=tables, notes=(*notes, *_repeated(frame, rating)))


def read_users(source: Any, *, user: str, item: str) -> Domain:
    """Read the users of a table, each once in the order of their first row, without what they hit.

    Args:
        source: whatever `acclimate.read` reads tables from.
        user: column of the users' ids.
        item: what the items are called that answers name; no such column is read.

    Raises:
        DataError: no such column, or a row without a user.
    """
    domain = read(source, input=[user], modality="table", like=_words(user))
    names = pd.unique(_named(domain, user)[user])
    return _users(pd.DataFrame({user: names}, dtype=object), Schema("users", (user, item)), domain.name)


def named(domain: Domain) -> Domain:
    """A table whose columns all are ids, which every row has, in canonical form."""
    return replace(domain, rows=FrameRows(_named(domain, *domain.schema.inputs)))


def _words(*columns: str) -> Schema:
    return Schema("table", columns, categories=columns)


def _named(domain: Domain, *columns: str) -> pd.DataFrame:
    """All rows; every one must name what these columns name, in canonical form."""
    frame = domain.rows.take(np.arange(len(domain)))
    for column in columns:
        known = {name: canonical_one(name) for name in frame[column].dropna().unique()}
        frame[column] = frame[column].map(known).astype(object)
        lacking = np.flatnonzero(frame[column].isna())
        if len(lacking):
            raise DataError(
                f"{domain.name}: {len(lacking)} of {len(frame)} rows name no '{column}', the first is row "
                f"{lacking[0] + 1}; remove them"
            )
    return frame


def _pairs(source: Any, called: Columns) -> tuple[pd.DataFrame, Domain]:
    """User, item, rating (float64, 1 where there is none) and how often and how differently, a row a pair."""
    inputs = [called.user, called.item]
    if called.user == called.item:
        raise DataError(f"user and item are the same column, '{called.user}'")
    domain = read(source, input=inputs, label=called.rating, modality="table", like=_words(*inputs))
    frame = _named(domain, *inputs).set_axis(["user", "item"], axis=1)
    told = f"{domain.name}: rating '{called.rating}'"
    frame["value"] = 1.0 if domain.labels is None else as_numbers(domain.labels, told)
    grouped = frame.groupby(["user", "item"], sort=False)["value"]
    found = grouped.agg(["mean", "size", "min", "max"]).reset_index().astype({"user": object, "item": object})
    return found.rename(columns={"mean": "value", "size": "times"}), domain


def _repeated(frame: pd.DataFrame, rating: str | None) -> tuple[str, ...]:
    twice = int((frame["times"] > 1).sum())
    if not twice:
        return ()
    apart = int((frame["min"] < frame["max"]).sum())
    said = f"; {apart} of them with other ratings, of which the mean is taken" if rating is not None and apart else ""
    return (f"{twice} pairs of user and item are there more than once{said}",)


def _by_pair(frame: pd.DataFrame, called: Columns, where: str) -> Domain:
    rows = frame[["user", "item"]].set_axis([called.user, called.item], axis=1)
    labels = None
    if called.rating is not None:
        labels = np.array([f"{value:.6g}" for value in frame["value"]], dtype=object)
    schema = Schema("pairs", (called.user, called.item), called.rating)
    found = ids.hash_frame(frame[["user", "item"]])
    return Domain(where, schema, FrameRows(rows), found, labels, frame["user"].to_numpy(dtype=object))


def _by_user(frame: pd.DataFrame, called: Columns, where: str) -> Domain:
    least = -np.inf if called.hit is None else called.hit
    hits = frame[frame["value"] >= least]
    if not len(hits):
        raise DataError(f"{where}: no rating reaches {least:g}, so that nobody hit anything; lower --hit")
    lists = hits.groupby("user", sort=False)["item"].agg(lambda items: json.dumps(sorted(items), ensure_ascii=False))
    rows = pd.DataFrame({called.user: lists.index.to_numpy(dtype=object)}, dtype=object)
    labels = lists.to_numpy(dtype=object)
    schema = Schema("users", (called.user, called.item), called.rating or called.item)
    domain = _users(rows, schema, where)
    # Other hits of a user are another row: what training knew of a warm user does not forbid to evaluate on the rest.
    own = pd.DataFrame({"user": rows[called.user], "hits": labels}, dtype=object)
    return replace(domain, ids=ids.hash_frame(own), labels=labels)


def _users(rows: pd.DataFrame, schema: Schema, where: str) -> Domain:
    return Domain(where, schema, FrameRows(rows), ids.hash_frame(rows.set_axis(["user"], axis=1)))


def _table(places: Any, key: str, what: str) -> pd.DataFrame | None:
    """What is known of users or items, by id; numbers are float64, categories text; None where nothing is."""
    several = list(places) if isinstance(places, list | tuple) else [] if places is None else [places]
    frames = []
    for place in several:
        domain = read(place, input="*", modality="table", like=_words(key))
        if key not in domain.schema.inputs:
            raise DataError(f"{domain.name}: no column '{key}' that says which of the {what} each row speaks of")
        frames.append(_named(domain, key).drop_duplicates())
    if not frames:
        return None
    whole = pd.concat(frames, ignore_index=True).drop_duplicates()
    twice = whole[key][whole[key].duplicated()]
    if len(twice):
        raise DataError(
            f"the table of {what} holds '{twice.iloc[0]}' more than once, with other values ({twice.nunique()} such "
            f"ids); keep one row of each '{key}'"
        )
    return whole.set_index(key)


def acquainted(source: Domain | None, target: Domain | None) -> tuple[Domain | None, Domain | None]:
    """Both domains with the same tables: all users and items, and the interactions that labels tell.

    ``known`` has a row for each interaction: places of user and item in their tables, value, and whether it is of the
    target. Labels that a domain does not have are not told.
    """
    domains = [domain for domain in (source, target) if domain is not None]
    told = [_interactions(domain) for domain in domains]
    known = pd.concat(
        [frame.assign(target=domain is target) for frame, domain in zip(told, domains, strict=True)], ignore_index=True
    )
    tables = {}
    for what, column in ((USERS, "user"), (ITEMS, "item")):
        side = next((domain.tables[what] for domain in domains if what in domain.tables), None)
        seen = set(known[column].dropna()) | ({*()} if side is None else set(side.index))
        names = pd.Index(sorted(seen), dtype=object, name=what)
        tables[what] = pd.DataFrame(index=names) if side is None else side.reindex(names)
        known[column] = names.get_indexer(known[column])
    known = known[(known["user"] >= 0) & (known["item"] >= 0)]
    tables[KNOWN] = known.sort_values(["target", "user", "item"], ignore_index=True)
    pair = [None if domain is None else replace(domain, tables=tables) for domain in (source, target)]
    return pair[0], pair[1]


def _interactions(domain: Domain) -> pd.DataFrame:
    """User, item (None where labels hide it) and value of every interaction that a domain tells."""
    rows = domain.rows.take(np.arange(len(domain)))
    people = rows[domain.schema.inputs[0]].to_numpy(dtype=object)
    if domain.schema.modality == "pairs":
        things = rows[domain.schema.inputs[1]].to_numpy(dtype=object)
        value = np.full(len(rows), np.nan) if domain.labels is None else as_numbers(domain.labels)
        return pd.DataFrame({"user": people, "item": things, "value": value})
    if domain.labels is None:
        return pd.DataFrame({"user": people, "item": np.full(len(people), None), "value": 1.0})
    hits = [json.loads(label) for label in domain.labels]
    return pd.DataFrame(
        {
            "user": np.repeat(people, [len(items) for items in hits]),
            "item": np.array([item for items in hits for item in items], dtype=object),
            "value": 1.0,
        }
    )


def beyond(domain: Domain, seen: Mapping[str, Sequence[str]]) -> Domain:
    """Rows of users with what they are ``seen`` to have hit as a column, and without it in their labels.

    Raises:
        DataError: all hits are known.
    """
    user = domain.schema.inputs[0]
    frame = domain.rows.take(np.arange(len(domain)))
    before = [seen.get(name, ()) for name in frame[user]]
    frame[SEEN] = pd.Series([json.dumps(list(items), ensure_ascii=False) for items in before], dtype=object)
    whole = replace(domain, rows=FrameRows(frame))
    if domain.labels is None:
        return whole
    new = [
        [i for i in json.loads(label) if i not in set(old)] for label, old in zip(domain.labels, before, strict=True)
    ]
    labels = np.array([json.dumps(items, ensure_ascii=False) for items in new], dtype=object)
    left = np.flatnonzero([bool(items) for items in new])
    if not len(left):
        raise DataError(f"{domain.name}: all hits of these users were known in training; nothing is left to judge by")
    return replace(whole, labels=labels).select(left)
