"""What of a forgotten class is left: its name in files, and how well features still tell its rows."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.seeds import generator
from acclimate.trust.privacy.attacks import measured

FOLDS = 5
FEWEST = 10
"""Rows of either kind below which nothing is measured."""
MOST = 1000
"""Rows of either kind that are read."""
TEXT = (".json", ".md", ".txt", ".yaml", ".csv", ".html", ".jsonl")
LONG = 4
"""Bytes from which a name is looked for in binary files too: a shorter one stands there by chance."""


def named(folder: Path, names: Collection[str]) -> dict[str, list[str]]:
    """In which files of a folder each name stands, of those that stand in any.

    In JSON it is looked for in every key and text, in other text files as a word, in binary files as bytes, and in the
    names of files.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        place = str(path.relative_to(folder))
        for name in _in_file(path, place, names):
            found.setdefault(name, []).append(place)
    return found


def _in_file(path: Path, place: str, names: Collection[str]) -> Iterator[str]:
    content = path.read_bytes()
    texts = [place]
    if path.suffix == ".json":
        try:
            texts += list(_texts(json.loads(content)))
        except ValueError:
            texts.append(content.decode("utf-8", "replace"))
    elif path.suffix in TEXT:
        texts.append(content.decode("utf-8", "replace"))
    for name in names:
        word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        encoded = name.encode()
        if any(word.search(text) for text in texts) or (
            path.suffix not in TEXT and len(encoded) >= LONG and encoded in content
        ):
            yield name


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def sample(labels: np.ndarray, name: str, seed: int) -> np.ndarray | None:
    """Rows to measure a class on: at most so many of it and of the rest; None where either are too few."""
    sides = [np.flatnonzero(labels == name), np.flatnonzero(labels != name)]
    if min(map(len, sides)) < FEWEST:
        return None
    drawn = [generator(seed, "residue", name, k).permutation(side)[:MOST] for k, side in enumerate(sides)]
    return np.sort(np.concatenate(drawn))


def told(features: np.ndarray, there: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """How well a linear probe on features ``[n, d]`` tells rows of a class, ``there`` ``[n]`` bool, out of fold.

    A feature extractor keeps what separates classes that its head has lost (source-free adaptation is no privacy), so
    this is measured, and read beside the same of a network that has never seen the class.

    Returns:
        ``auc`` (0.5 is chance), and its ``interval`` (Hanley & McNeil 1982).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=int(generator(seed, "residue").integers(2**31)))
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    scores = cross_val_predict(probe, features.astype(np.float64), there, cv=folds, method="decision_function")
    found = measured(scores, there)
    return {"auc": found["auc"], "interval": found["auc_interval"]}
