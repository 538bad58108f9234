"""A random forest as a head: grown by scikit-learn, kept as arrays, and answered with by torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.seeds import derive

Link = Literal["log", "logit", "none"]
LINKS: Mapping[str, Link] = {"class": "log", "labels": "logit", "number": "none", "numbers": "none"}
"""By kind of answers, how shares of leaves become the outputs that a task expects of its head."""
ARRAYS = ("feature", "threshold", "left", "right", "value", "owner")
"""What a `Forest` is made of."""
SMALLEST = 1e-3
"""Shares are kept this far from 0 and 1: a forest that never saw a class in a leaf does not know that it cannot be."""
MOST_ROWS = 20_000
"""Rows that each tree is drawn from at most."""
FEWEST = 50
"""Trees of each label at least, where several share them."""


class Forest(nn.Module):
    """Trees as arrays ``[trees, nodes]``: a row goes left where its feature is at most the threshold.

    Leaves lead to themselves. Each tree adds the share of its leaf to the answers of its ``owner``, one of several
    labels, or the only one.

    Args:
        arrays: ``feature``, ``left``, ``right`` (int32), ``threshold`` (float32) ``[trees, nodes]``, ``value``
            ``[trees, nodes, answers]``, divided by the number of its owner's trees, and ``owner [trees]``.
        link: what becomes of the sums.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    value: Tensor
    owner: Tensor

    def __init__(self, arrays: Mapping[str, Tensor], link: Link):
        super().__init__()
        self.link = link
        for name in ARRAYS:
            self.register_buffer(name, arrays[name])

    def forward(self, features: Tensor) -> Tensor:
        """``[n, d]`` to ``[n, answers]``: logits of classes or labels, or numbers."""
        tree = torch.arange(len(self.owner), device=features.device)
        node = torch.zeros(len(features), len(tree), dtype=torch.int64, device=features.device)
        while True:
            seen = features.gather(1, self.feature[tree, node].long())
            below = torch.where(seen <= self.threshold[tree, node], self.left[tree, node], self.right[tree, node])
            if torch.equal(below.long(), node):
                break
            node = below.long()
        leaves = self.value[tree, node]
        total = torch.cat([leaves[:, self.owner == label].sum(dim=1) for label in self.owner.unique()], dim=1)
        if self.link == "none":
            return total
        share = total.clamp(SMALLEST, 1 - SMALLEST)
        return share.log() if self.link == "log" else share.logit()


def grow(
    kind: str, features: np.ndarray, targets: np.ndarray, classes: int, *, trees: int, leaf: int, seed: int
) -> Forest:
    """A forest that is fitted to labelled rows.

    Breiman, Random Forests, Machine Learning 2001: each tree on rows drawn with replacement, each split the best of
    some features drawn (the square root of their number; where numbers are asked for, a third).

    Args:
        kind: of the task's answers, a key of `LINKS`.
        features: ``[n, d]`` float32.
        targets: what the task encodes: ``[n]`` class indices or numbers, ``[n, labels]`` of 0, 1 and NaN, or
            ``[n, numbers]``.
        classes: how many there are; of other kinds it means nothing.
        trees: in all; several labels share them, with `FEWEST` for each at least.
        leaf: rows of a leaf at least.
        seed: of rows and features drawn.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    asked: dict[str, Any] = {"min_samples_leaf": leaf, "random_state": derive(seed, "forest") % 2**32}
    if kind in ("number", "numbers"):
        drawn = MOST_ROWS if len(features) > MOST_ROWS else None
        grown = RandomForestRegressor(trees, max_features=1 / 3, max_samples=drawn, **asked).fit(features, targets)
        return Forest(_arrays([(0, tree.tree_, tree.tree_.value[:, :, 0] / trees) for tree in grown]), LINKS[kind])
    columns = targets[:, None] if kind == "class" else targets
    each, parts = max(FEWEST, trees // columns.shape[1]) if columns.shape[1] > 1 else trees, []
    for owner, column in enumerate(columns.T):
        known = ~np.isnan(column.astype(np.float64))
        drawn = MOST_ROWS if known.sum() > MOST_ROWS else None
        fresh = RandomForestClassifier(each, max_samples=drawn, **asked)
        forest = fresh.fit(features[known], column[known].astype(np.int64))
        of = np.arange(classes) if kind == "class" else np.ones(1)
        said = (forest.classes_[:, None] == of).astype(np.float64)
        parts += [(owner, tree.tree_, _shares(tree.tree_.value[:, 0]) @ said / each) for tree in forest]
    return Forest(_arrays(parts), LINKS[kind])


def _shares(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _arrays(parts: Sequence[tuple[int, Any, np.ndarray]]) -> dict[str, Tensor]:
    """The trees, each with its owner and the answers of its nodes, filled up with nodes that nothing leads to."""
    shape = len(parts), max(tree.node_count for _, tree, _ in parts)
    found: dict[str, np.ndarray] = {name: np.zeros(shape, dtype=np.int32) for name in ("feature", "left", "right")}
    found["threshold"] = np.zeros(shape, dtype=np.float32)
    found["value"] = np.zeros((*shape, parts[0][2].shape[1]), dtype=np.float32)
    for k, (_, tree, value) in enumerate(parts):
        n, leaf, own = tree.node_count, tree.children_left < 0, np.arange(tree.node_count)
        found["feature"][k, :n] = np.where(leaf, 0, tree.feature)
        found["left"][k, :n] = np.where(leaf, own, tree.children_left)
        found["right"][k, :n] = np.where(leaf, own, tree.children_right)
        found["threshold"][k, :n] = _below(tree.threshold)
        found["value"][k, :n] = value
    found["owner"] = np.array([owner for owner, _, _ in parts], dtype=np.int64)
    return {name: torch.from_numpy(array) for name, array in found.items()}


def _below(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 up to each threshold: float32 features are at most that exactly where they were before."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
