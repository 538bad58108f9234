"""Interactions as a trained model reads them, lists for people, and the plain recommenders beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from acclimate.backbones.two_tower import TwoTower
from acclimate.domains.domain import INTERACTIONS, Domain, Schema
from acclimate.domains.frames import stream
from acclimate.domains.interactions import ITEMS, USERS, By, beyond, named, read_interactions, read_users
from acclimate.domains.read import read
from acclimate.errors import SettingsError
from acclimate.methods.recommend.plain import biases, factors, knn, popularity, rated_by_knn
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import Task
from acclimate.tasks.rank import LONGEST
from acclimate.tasks.ranking import TOP, parsed
from acclimate.training.model import Model

if TYPE_CHECKING:
    import pandas as pd

HITS: dict[str, Any] = {"size": 16, "confidence": 3.0, "penalty": 30.0}
RATINGS: dict[str, Any] = {"size": 8, "penalty": 0.3}
"""Settings of matrix factorisation, of the best of a handful on MovieLens 100K (Romance to Sci-Fi, seed 0)."""


def read_labelled(
    data: Any, model: Model, schema: Schema, *, label: str | None, group: str | None = None, hit: float | None = None
) -> Domain:
    """Interactions to judge a model by, as it reads them; of users, those hits that training did not know.

    Raises:
        SettingsError: another group than the user.
        DataError: see `read_interactions`, or nothing is left to judge by.
    """
    user, item = schema.inputs
    if group not in (None, user):
        raise SettingsError(f"group '{group}': the rows of one '{user}' stay together already")
    rating = None if label == item else label
    by: By = "users" if schema.modality == "users" else "pairs"
    domain = data
    if not isinstance(data, Domain):
        domain = read_interactions(data, user=user, item=item, rating=rating, by=by, hit=hit)
    return beyond(domain, _network(model).hits()) if by == "users" else domain


def rated(
    data: Any, columns: list[str] | None, schema: Schema, *, typed: bool
) -> Iterator[tuple[pd.DataFrame, Domain]]:
    """Chunks of a table of pairs: the frame as it stands, and the pairs in it."""
    asked = list(columns or schema.inputs)
    words = Schema("table", tuple(asked), categories=tuple(asked))
    for frame, domain in stream(data, asked, "table", typed=typed, like=words):
        yield frame, replace(named(domain), schema=schema)


def offered(data: Any, model: Model, schema: Schema) -> Domain:
    """The users that lists are asked for, with what they are known to have hit."""
    users = data if isinstance(data, Domain) else read_users(data, user=schema.inputs[0], item=schema.inputs[1])
    return beyond(users.sealed(), _network(model).hits())


def asked(data: Any, model: Model, columns: list[str] | None, schema: Schema) -> Domain:
    """Rows without labels, as the model reads them: users, or pairs of a user and an item."""
    if schema.modality == "users":
        return offered(data, model, schema)
    names = list(columns or schema.inputs)
    words = Schema("table", tuple(names), categories=tuple(names))
    return replace(named(read(data, input=names, modality="table", like=words)), schema=schema)


def listed(domain: Domain, answers: Answers, k: int | None) -> pd.DataFrame:
    """User, rank from 1 and item, a row an item, ``k`` (10) for each user.

    Raises:
        SettingsError: k is not from 1 to 100.
    """
    import pandas as pd

    k = TOP if k is None else k
    if not 1 <= k <= LONGEST:
        raise SettingsError(f"-k {k}: from 1 to {LONGEST} items are offered")
    user, item = domain.schema.inputs
    lists = [parsed(text)[:k] for text in answers.prediction]
    names = domain.rows.take(np.arange(len(domain)))[user]
    sizes = [len(items) for items in lists]
    rank = np.concatenate([np.arange(1, size + 1) for size in sizes]) if sizes else np.zeros(0, dtype=int)
    flat = [name for items in lists for name in items]
    return pd.DataFrame({user: np.repeat(names.to_numpy(dtype=object), sizes), "rank": rank, item: flat})


def unseen(model: Model, domain: Domain) -> dict[str, set[str]]:
    """Users and items of these rows that training never knew: answered by their columns, or by what is usual."""
    network, rows = _network(model), domain.rows.take(np.arange(len(domain)))
    columns = zip((USERS, ITEMS), domain.schema.inputs, strict=True)
    asked = {what: rows[column] for what, column in columns if column in rows}
    return {what: {name for name in names if name not in network.places[what]} for what, names in asked.items()}


def baselines(model: Model, domain: Domain) -> dict[str, Answers]:
    """Answers of the plain recommenders on these rows, from what training knew of both domains; none of other rows.

    Of a ranking: ``popularity`` (of the target's items, the same for everybody), ``knn`` and ``mf`` (which for a user
    without a known hit are popularity). Of ratings: ``bias``, ``knn`` and ``mf``.
    """
    if domain.schema.modality not in INTERACTIONS:
        return {}
    network = _network(model)
    rows = domain.rows.take(np.arange(len(domain)))
    users = _places(network, USERS, rows.iloc[:, 0])
    if domain.schema.modality == "users":
        return _rankings(model.task, network, domain, users)
    return _ratings(model.task, network, users, _places(network, ITEMS, rows.iloc[:, 1]))


def _rankings(task: Task, network: TwoTower, domain: Domain, users: np.ndarray) -> dict[str, Answers]:
    whole, target = _matrix(network), _matrix(network, target=True)
    common = popularity(target if target.nnz else whole)
    tie = common / (common.sum() + 1.0)
    people, things = factors(whole, **HITS)
    cold = (users < 0) | (np.diff(whole.indptr)[users] == 0)
    scores = {
        "popularity": np.broadcast_to(common, (len(users), len(common))),
        "knn": np.where(cold[:, None], 0.0, knn(whole, users)) + 1e-6 * tie,
        "mf": np.where(cold[:, None], common, people[users] @ things.T),
    }
    return {name: task.decode({"scores": values}, rows=domain.rows) for name, values in scores.items()}


def _ratings(task: Task, network: TwoTower, users: np.ndarray, items: np.ndarray) -> dict[str, Answers]:
    whole = _matrix(network)
    mean, of_users, of_items = biases(whole)
    base = mean + np.where(users < 0, 0.0, of_users[users]) + np.where(items < 0, 0.0, of_items[items])
    rest = whole.tocoo()
    rest.data = rest.data - mean - of_users[rest.row] - of_items[rest.col]
    left = sparse.csr_matrix(rest)
    people, things = factors(left, **RATINGS)
    new = (users < 0) | (items < 0)
    more = {
        "bias": np.zeros(len(users)),
        "knn": rated_by_knn(left, np.maximum(users, 0), np.maximum(items, 0)),
        "mf": (people[users] * things[items]).sum(axis=1),
    }
    low, high = task.config()["low"], task.config()["high"]
    return {name: Answers(np.clip(base + np.where(new, 0.0, added), low, high)) for name, added in more.items()}


def _matrix(network: TwoTower, target: bool | None = None) -> sparse.csr_matrix:
    """Users x items of what is known; those without a value are left out."""
    known = network.known(target)
    there = np.isfinite(known["value"])
    shape = len(network.names[USERS]), len(network.names[ITEMS])
    values = known["value"][there].astype(np.float64)
    return sparse.csr_matrix((values, (known["user"][there], known["item"][there])), shape)


def _places(network: TwoTower, what: str, names: Any) -> np.ndarray:
    """Of ids, counted from 0; -1 for one that is not known."""
    return np.array([network.places[what].get(name, 0) - 1 for name in names], dtype=np.int64)


def _network(model: Model) -> TwoTower:
    network = model.backbone
    assert isinstance(network, TwoTower), "no other backbone reads interactions"
    return network
