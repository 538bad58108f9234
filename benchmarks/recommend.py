"""Recommendation across domains: films of one genre to films of another, and films to music.

Users who hit at least five things in both domains are shared; of 20, 50 or 80 % of them what they hit in the target is
hidden (cold users), and is what lists are judged by. Nothing is searched: every arm has the same settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np
import pandas as pd

import acclimate as ac
from benchmarks.common import DATA, SEEDS, say, write

FOLDER = DATA / "recsys"
PAIRS = (("Romance", "Sci-Fi"), ("Comedy", "Thriller"), ("Children's", "Action"), ("Drama", "Adventure"))
HIDDEN = (0.2, 0.5, 0.8)
HIT = 4
FEWEST = 5
"""Hits that a shared user has in each domain."""
METHODS = ("target_only", "joint", "finetune", "cmf", "emcdr", "ptupcdr")
PROTOCOL = __doc__
TRAINING = {"epochs": 60, "batch_size": 64, "weight_decay": 3.0}


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


def split(source: pd.DataFrame, target: pd.DataFrame, hidden: float, seed: int) -> Split:
    """Hide a share of the shared users in the target."""
    many = [set(counts.index[counts >= FEWEST]) for counts in (d["user"].value_counts() for d in (source, target))]
    shared = np.array(sorted(many[0] & many[1]))
    cold = np.random.default_rng([seed, 5]).permutation(shared)[: round(hidden * len(shared))]
    away = target["user"].isin(cold)
    return Split(source, target[~away], target[away])


def arm(drawn: Split, method: str, seed: int, **options: Any) -> dict[str, dict[str, float]]:
    """Metrics of a method, of source_only and of the plain recommenders on the cold users."""
    given = {"user": "user", "item": "item", "task": "rank", "seed": seed, "training": TRAINING, **options}
    run = ac.adapt(drawn.source, drawn.warm, method=method, **given)
    found = run.evaluate(drawn.cold)
    return {name: row["metrics"] for name, row in {**found["arms"], **found["baselines"]}.items()}
