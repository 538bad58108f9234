"""Recommendation across domains: films of one genre to films of another, and films to music.

MovieLens 100K, hits are ratings of 4 and 5, films of both genres are left out. Users with at least five hits in both
domains are shared; of 20, 50 or 80 % of them the hits in the target are hidden (cold users), and lists are judged by
these, against all items of the target. Films to music: no user is shared, half of Last.fm's listeners are hidden,
artists with fewer than five listeners are left out. Every arm has the backbone's own settings, which were chosen on
Romance to Sci-Fi, seed 0, half of the users hidden. cmf, emcdr and ptupcdr are as published, on vectors of ids alone;
joint, target_only and joint+dann read what a user hit in the source, too.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import acclimate as ac
from benchmarks.common import DATA, RESULTS, SEEDS, say, write

FOLDER = DATA / "recsys"
PAIRS = (("Romance", "Sci-Fi"), ("Comedy", "Thriller"), ("Children's", "Action"), ("Drama", "Adventure"))
APART = "films to music"
HIDDEN = (0.5, 0.2, 0.8)
"""In this order, so that a run that is stopped has seen every pair."""
HIT, FEWEST = 4, 5
PLAIN: dict[str, Any] = {"name": "two_tower", "history": False}
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "joint": ("joint", {}),
    "target_only": ("target_only", {}),
    "joint+dann": ("joint+dann", {}),
    "cmf": ("cmf", {"backbone": PLAIN}),
    "emcdr": ("emcdr", {"backbone": PLAIN}),
    "ptupcdr": ("ptupcdr", {"backbone": {**PLAIN, "size": 16}}),
}
"""By name: the method, and what is not as by default."""
ALONE = ("joint", "joint+dann", "target_only")
"""Those that need no shared users."""


@dataclass(frozen=True)
class Split:
    """One draw: source, target of warm users, and the hidden part of cold users."""

    source: pd.DataFrame
    warm: pd.DataFrame
    cold: pd.DataFrame


def genres(source: str, target: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hits on films of either genre; those of both are in neither domain."""
    ratings = pd.read_csv(FOLDER / "ml100k_ratings.csv.gz")
    items = pd.read_csv(FOLDER / "ml100k_items.csv.gz")
    hits = ratings[ratings["rating"] >= HIT].merge(items[["item", source, target]], on="item")
    one = hits[(hits[source] == 1) & (hits[target] == 0)]
    other = hits[(hits[target] == 1) & (hits[source] == 0)]
    return one[["user", "item"]], other[["user", "item"]]


def music() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hits on all films, and artists that users of another site listen to; no id is shared."""
    films = pd.read_csv(FOLDER / "ml100k_ratings.csv.gz").query("rating >= @HIT")[["user", "item"]]
    heard = pd.read_csv(FOLDER / "lastfm2k_user_artists.csv.gz")
    heard = heard[heard.groupby("artistID")["userID"].transform("size") >= FEWEST]
    artists = pd.DataFrame({"user": "l" + heard["userID"].astype(str), "item": "a" + heard["artistID"].astype(str)})
    return films, artists


def split(source: pd.DataFrame, target: pd.DataFrame, hidden: float, seed: int) -> Split:
    """Hide a share of the users that are known well in both domains; where there are none, of those of the target."""
    many = [set(counts.index[counts >= FEWEST]) for counts in (d["user"].value_counts() for d in (source, target))]
    shared = np.array(sorted(many[0] & many[1] or many[1]))
    cold = np.random.default_rng([seed, 5]).permutation(shared)[: round(hidden * len(shared))]
    away = target["user"].isin(cold)
    return Split(source, target[~away], target[away])


def measure(drawn: Split, arm: str, seed: int) -> dict[str, Any]:
    """Metrics of an arm, of source_only and of the plain recommenders on the cold users."""
    method, options = ARMS[arm]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            drawn.source, drawn.warm, task="rank", user="user", item="item", method=method, seed=seed,
            out=Path(folder) / "run", **options,
        )  # fmt: skip
        seconds = time.monotonic() - begun
        found = run.evaluate(drawn.cold)
    return {
        "seconds": round(seconds, 1),
        "decision": found["decision"],
        "users": found["n"],
        "adapted": found["arms"][method]["metrics"],
        "interval": found["arms"][method]["intervals"][found["primary"]],
        "source_only": found["arms"]["source_only"]["metrics"],
        "baselines": {name: value["metrics"] for name, value in found["baselines"].items()},
    }


def cell(source: pd.DataFrame, target: pd.DataFrame, hidden: float, seed: int, arms: Any) -> dict[str, Any]:
    """All arms on one draw."""
    drawn = split(source, target, hidden, seed)
    return {"hidden": hidden, "seed": seed, "arms": {name: measure(drawn, name, seed) for name in arms}}


def main() -> None:
    """Every pair, share and seed; draws that the result file has are kept (remove it to begin anew)."""
    pairs = {f"{source} to {target}": genres(source, target) for source, target in PAIRS}
    pairs[APART] = music()
    file = RESULTS / "recommend.json"
    found: dict[str, list[dict[str, Any]]] = json.loads(file.read_text())["pairs"] if file.is_file() else {}
    for hidden, name, seed in product(HIDDEN, pairs, SEEDS):
        cells = found.setdefault(name, [])
        done = any(cell["hidden"] == hidden and cell["seed"] == seed for cell in cells)
        if done or (name == APART and hidden != HIDDEN[0]):
            continue
        new = cell(*pairs[name], hidden, seed, ALONE if name == APART else tuple(ARMS))
        cells.append(new)
        cells.sort(key=lambda cell: (cell["hidden"], cell["seed"]))
        write("recommend", {"protocol": __doc__, "pairs": {name: found[name] for name in pairs if found.get(name)}})
        say(name, hidden, seed, {arm: round(v["adapted"]["ndcg_at_10"], 3) for arm, v in new["arms"].items()})


if __name__ == "__main__":
    main()
