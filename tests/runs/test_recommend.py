"""Recommendation end to end: what is read, permitted, known, offered, judged and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import acclimate as ac
from acclimate.domains.interactions import read_interactions
from acclimate.errors import DataError, SettingsError
from acclimate.runs import result
from acclimate.runs.prepare import prepare
from acclimate.runs.reading import read_source, read_target
from acclimate.runs.recipe import parse

NAMES = {"user": "user", "item": "item"}
Rank = Callable[..., ac.Run]


@pytest.fixture
def world(planted):
    return planted(users=90, items=24, hits=6, warm=60)


@pytest.fixture
def rank(world, tmp_path) -> Rank:
    """``rank(method, source=..., target=..., **options)``: a short run on the planted hits."""
    count = 0

    def adapt(method: str = "joint", **options: Any) -> ac.Run:
        nonlocal count
        count += 1
        source, target = options.pop("source", world["source"]), options.pop("target", world["warm"])
        given = {"task": "rank", **NAMES, "training": {"steps": 40}, **options}
        return ac.adapt(source, target, method=method, out=tmp_path / f"{count}", **given)

    return adapt


@pytest.fixture
def ratings() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Ratings from 1 to 5 of a planted rank of two that source and target share by user; cold users are the last."""
    rng = np.random.default_rng(0)
    tastes, frames = rng.normal(size=(120, 2)), []
    for name in "ab":
        score = 3 + 1.2 * tastes @ rng.normal(size=(30, 2)).T + rng.normal(0, 0.2, (120, 30))
        users, items = np.nonzero(rng.random((120, 30)) < 0.5)
        values = np.clip(np.round(score[users, items]), 1, 5)
        named = {"user": [f"u{u}" for u in users], "item": [f"{name}{i}" for i in items], "rating": values}
        frames.append(pd.DataFrame(named))
    cold = frames[1]["user"].isin([f"u{u}" for u in range(90, 120)])
    return frames[0], frames[1][~cold], frames[1][cold]


def metric(value: dict[str, Any], name: str) -> dict[str, float]:
    return {arm: found["metrics"][name] for arm, found in {**value["arms"], **value["baselines"]}.items()}


def test_ratings_of_cold_users_follow_from_the_source(ratings, tmp_path):
    source, warm, cold = ratings
    options = {"task": "rate", **NAMES, "rating": "rating", "backbone": {"name": "two_tower", "size": 8}}
    run = ac.adapt(source, warm, method="joint", out=tmp_path / "run", training={"epochs": 60}, **options)
    found = metric(run.evaluate(cold), "rmse")
    assert found["joint"] < 0.85 * found["bias"]
    assert found["joint"] < 0.85 * found["source_only"]
    assert run.decision == "adapt"


def test_popularity_is_beaten_where_tastes_carry_over(rank, world):
    value = rank(training={"epochs": 40}).evaluate(world["cold"])
    found = metric(value, "ndcg_at_10")
    assert value["primary"] == "ndcg_at_10"
    assert found["joint"] > found["popularity"] + 0.05
    assert set(value["baselines"]) == {"popularity", "knn", "mf"}
    low, high = value["baselines"]["popularity"]["intervals"]["ndcg_at_10"]
    assert low < found["popularity"] < high


def test_naming_the_columns_is_the_permission_and_is_recorded(rank, tmp_path):
    run = rank()
    recipe = yaml.safe_load((run.folder / "recipe.yaml").read_text())
    assert run.result["setting"] == "inductive"
    assert (recipe["label"], recipe["target_label"]) == ("item", "item")
    assert parse({"task": "rate", **NAMES, "rating": "r", "target": ["t"]}).target_label == "r"
    assert parse({"task": "rank", **NAMES, "source": ["s"]}).target_label is None


def test_the_same_bits_whatever_the_order_of_the_rows(rank, world):
    turned = {name: world[name].sample(frac=1, random_state=1) for name in ("source", "warm")}
    one, other = rank("ptupcdr"), rank("ptupcdr", source=turned["source"], target=turned["warm"])
    weights = [(run.folder / "model" / "weights.safetensors").read_bytes() for run in (one, other)]
    assert weights[0] == weights[1]


def test_labels_that_are_not_permitted_change_nothing(rank, world):
    """A Domain with hits, and the same users with others: without target_label nobody looks."""
    poisoned = world["warm"].assign(item=world["warm"]["item"].to_numpy()[::-1])
    runs = []
    for frame in (world["warm"], poisoned):
        source, target = (read_interactions(f, **NAMES, by="users") for f in (world["source"], frame))
        runs.append(rank("dann", source=source, target=target, user=None, item=None))
    assert runs[0].result["setting"] == "transductive"
    weights = [(run.folder / "model" / "weights.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1]


def test_a_loaded_model_offers_what_is_not_known_yet(rank, world):
    run = rank()
    offered = ac.load(run.folder).predict(world["warm"], k=3)
    pd.testing.assert_frame_equal(offered, run.predict(world["warm"], k=3))
    assert offered.columns.tolist() == ["user", "rank", "item"]
    assert offered["rank"].tolist() == [1, 2, 3] * world["warm"]["user"].nunique()
    assert not offered.merge(world["warm"], on=["user", "item"]).size
    assert not offered.merge(world["source"], on=["user", "item"]).size
    assert set(offered["item"]) <= set(world["warm"]["item"])


def test_ratings_are_answered_row_by_row_also_for_strangers(ratings, tmp_path):
    source, warm, cold = ratings
    run = ac.adapt(source, warm, task="rate", **NAMES, rating="rating", out=tmp_path / "run", training={"steps": 20})
    asked = pd.DataFrame({"note": ["x", "y", "z"], "item": ["b1", "b1", "new"], "user": ["u1", "stranger", "stranger"]})
    found = run.predict(asked)
    assert found.columns.tolist() == ["note", "item", "user", "prediction"]
    assert found["prediction"].between(1, 5).all()
    value = run.evaluate(pd.concat([cold, pd.DataFrame({"user": ["q"], "item": ["never"], "rating": [3]})]))
    assert np.isfinite(value["metrics"]["rmse"])


def test_users_without_anything_known_are_offered_the_same(rank):
    offered = rank("target_only").predict(pd.DataFrame({"user": ["p", "q", "p"]}), k=5)
    lists = offered.groupby("user")["item"].agg(list)
    assert offered["user"].nunique() == 2
    assert lists["p"] == lists["q"]


def test_warm_users_are_judged_by_what_training_did_not_know(rank, world):
    kept = world["warm"].groupby("user").head(4)
    run = rank(target=kept)
    value = run.evaluate(world["warm"])
    assert value["n"] == world["warm"]["user"].nunique()
    found = metric(value, "recall_at_10")
    assert 0 < found["joint"] < 1
    with pytest.raises(DataError, match="all hits of these users were known in training"):
        run.evaluate(kept)


def test_a_rating_below_the_smallest_hit_is_none(rank, ratings):
    source, warm, cold = ratings
    run = rank(source=source, target=warm, rating="rating", hit=4)
    value = run.evaluate(cold)
    hits = cold[cold["rating"] >= 4]
    assert value["n"] == hits["user"].nunique()
    data = prepared(source, warm, hit=4)
    told = sum(len(json.loads(label)) for label in data.source.labels)
    assert told == (source["rating"] >= 4).sum()


def prepared(source, target, **options):
    recipe = parse({"task": "rank", **NAMES, "rating": "rating", "source": ["memory"], "target": ["memory"], **options})
    labelled = read_source(recipe, [source])
    return prepare(recipe, labelled, read_target(recipe, labelled, [target])).data


def test_a_cold_users_source_is_never_held_out(ratings):
    source, warm, _ = ratings
    data = prepared(source, warm)
    assert data.source_validation is None
    assert len(data.source) == source["user"].nunique()
    assert data.labelled_target_validation is not None


def test_items_that_nobody_hit_follow_from_their_features(rank, world):
    """Target items of the kind that a user likes in the source are put first, though no target row was permitted."""
    rng = np.random.default_rng(0)
    kinds = {name: f"k{k % 2}" for k, name in enumerate([f"{d}{i}" for d in "ab" for i in range(20)])}
    rows = [(f"u{u}", f"a{i}") for u in range(80) for i in rng.choice(np.arange(u % 2, 20, 2), 5, replace=False)]
    source = pd.DataFrame(rows, columns=["user", "item"])
    items = pd.DataFrame({"item": list(kinds), "kind": list(kinds.values())})
    options = {"backbone": {"name": "two_tower", "size": 8}, "training": {"epochs": 60}}
    run = ac.adapt(
        read_interactions(source, **NAMES, by="users", items=items), method="source_only", task="rank",
        out=rank().folder.parent / "alone", **options,
    )  # fmt: skip
    asked = pd.DataFrame({"user": ["u0", "u1"]})
    offered = run.predict(asked, k=4)
    for user, kind in (("u0", "k0"), ("u1", "k1")):
        assert {kinds[item] for item in offered.loc[offered["user"] == user, "item"]} == {kind}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"item": None}, "both --user and --item"),
        ({"task": "rate"}, "needs --rating"),
        ({"task": "classify"}, "are for --task rate and --task rank"),
        ({"backbone": "mlp"}, "does not read users input; these do: two_tower"),
        ({"tune": "frozen"}, "starts from scratch"),
        ({"method": "mcc"}, "needs classes"),
    ],
)
def test_what_has_no_meaning_is_refused(rank, options, said):
    method = options.pop("method", "joint")
    with pytest.raises(SettingsError, match=said):
        rank(method, **options)


def test_recommenders_are_refused_where_there_are_no_users(tables):
    with pytest.raises(SettingsError, match="'emcdr' needs target labels, users, which are not given"):
        ac.adapt(**tables(), method="emcdr")


def test_more_than_a_hundred_items_or_none_are_not_offered(rank, world):
    run = rank()
    for k in (0, 101):
        with pytest.raises(SettingsError, match="from 1 to 100"):
            run.predict(world["cold"], k=k)


def test_a_label_plan_has_no_meaning(rank, world, tmp_path):
    with pytest.raises(SettingsError, match="label-plan asks for classes and numbers"):
        rank().label_plan(3, tmp_path / "plan.csv", source=world["source"], target=world["warm"])


def test_inspect_says_what_works_and_sees_no_gap(world):
    found = ac.inspect(world["source"], world["warm"], task="rank", **NAMES)
    assert found["gap"] is None
    assert {"joint", "cmf", "emcdr", "ptupcdr"} <= set(found["methods"])


def test_a_run_is_finished_and_its_result_can_be_read_again(rank, world):
    run = rank("emcdr")
    run.evaluate(world["cold"])
    assert result.load(Path(run.folder))["verdict"] in ("helped", "no_evidence", "hurt")


def test_films_of_one_genre_tell_of_another(rank, shared_data):
    """MovieLens 100K, Romance to Sci-Fi, every other shared user hidden."""
    ratings = pd.read_csv(shared_data / "recsys" / "ml100k_ratings.csv.gz")
    genres = pd.read_csv(shared_data / "recsys" / "ml100k_items.csv.gz")[["item", "Romance", "Sci-Fi"]]
    films = ratings[ratings["rating"] >= 4].merge(genres, on="item")
    source = films[(films["Romance"] == 1) & (films["Sci-Fi"] == 0)]
    target = films[(films["Romance"] == 0) & (films["Sci-Fi"] == 1)]
    shared = sorted({*source["user"]} & {*target["user"]})[::2]
    cold = target["user"].isin(shared)
    run = rank(source=source, target=target[~cold], training={"epochs": 10})
    found = metric(run.evaluate(target[cold]), "ndcg_at_10")
    assert found["joint"] > found["popularity"] + 0.05


def test_a_model_that_adapts_to_a_new_user_from_ten_ratings(tmp_path):
    """MeLU on a plain table: users are tasks whose taste is linear in what items are."""
    rng = np.random.default_rng(0)
    frames = []
    for user in range(120):
        films = rng.normal(size=(30, 3))
        rating = 3 + films @ rng.normal(size=3) + rng.normal(0, 0.1, 30)
        frames.append(pd.DataFrame(films, columns=["a", "b", "c"]).assign(user=f"u{user}", rating=rating))
    old, new = pd.concat(frames[:90]), pd.concat(frames[90:])
    columns = {"input": ["a", "b", "c"], "label": "rating", "group": "user"}
    old, new = (ac.read(frame, **columns) for frame in (old, new))
    run = ac.meta_train(
        old, method="anil", groups="tasks", shots=10, queries=10, task="regress", backbone="mlp", validation=0.0,
        training={"steps": 150}, out=tmp_path / "melu",
    )  # fmt: skip
    value = run.evaluate(new, episodes=60)
    assert value["verdict"] == "helped"
    assert value["baselines"]["support mean"]["difference"]["high"] < -0.05


def test_killed_while_the_bridge_is_learned(planted, tmp_path, processes, own_cache, everything):
    """What the stages before kept is there again."""
    found = planted(users=60, items=16, hits=5, warm=40)
    paths = {name: str(tmp_path / f"{name}.csv") for name in ("source", "warm")}
    for name, path in paths.items():
        found[name].to_csv(path, index=False)
    training = {"steps": 20, "batch_size": 8, "checkpoint_seconds": 0}
    options = {"source": paths["source"], "target": paths["warm"], "task": "rank", **NAMES, "method": "ptupcdr"}
    options = {**options, "training": training, "backbone": {"name": "two_tower", "size": 4}}
    whole = ac.adapt(**options, out=tmp_path / "whole")
    folder = tmp_path / "killed"

    def bridging() -> bool:
        return any(path.parent.name != "0" for path in folder.glob("checkpoints/ptupcdr/*-bridge/*/state.json"))

    environment = {"XDG_CACHE_HOME": str(own_cache)}
    assert processes.run("adapt", bridging, 9, environment=environment, out=str(folder), **options) == -9
    assert not (folder / "result.json").exists()
    ac.resume(folder)
    assert everything(folder) == everything(whole.folder)
