"""Episodes: small tasks drawn from one labelled domain, as index tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.domains.pools import Pools, pools
from acclimate.errors import SettingsError
from acclimate.seeds import generator

Grouping = Literal["ignore", "within", "tasks"]
Count = int | tuple[int, int]
"""A number, or the least and the most of which one is drawn."""
BLOCK = 64
"""Episodes that are drawn together; episode k is one of block k // BLOCK, whoever asks for it."""
SMALL = 64
"""Rows up to which drawing some of them sorts a key of each."""
UNEVEN = math.log(2.0)
"""Logarithm of the factor by which a class may get more or fewer shots than its size says, where shots vary."""


@dataclass(frozen=True)
class Episodes:
    """Which rows each of many episodes consists of: N ways, K shots, Q queries a class.

    Every episode is a function of (domain, settings, seed, its number): nothing is stored, any part can be drawn again.
    Classes and rows are drawn without replacement, in an order that depends on content alone, for a block of episodes
    at once: few of many by Floyd's algorithm (Bentley and Floyd, Communications of the ACM 30(9), 1987).

    Where shots vary, the support rows of an episode are shared out among its classes unevenly: by their size times a
    factor from 1/2 to 2, at least one each (Triantafillou et al., Meta-Dataset, ICLR 2020, section 3.2).

    Attributes:
        domain: labelled rows; where the group is the task, labels may be numbers.
        ways: classes of an episode, or the least and the most. Where groups are the tasks: all classes; or 1, and rows
            are drawn whatever their label (which may then be a number).
        shots: labelled rows of each class, or the least and the most of their mean over the classes.
        queries: further rows of each class, to be answered.
        seed: from which all draws come.
        groups: "ignore"; "within": the classes of an episode belong to one group, such as one alphabet; "tasks": an
            episode is one group (a user, a machine, a sinusoid), its classes keep their meaning, and support and query
            rows are drawn from it.
        turns: each image turned by 0, 90, 180 and 270 degrees is of a class of its own (Santoro et al., ICML 2016).
        block: episodes that are drawn together; where ways or shots vary, those of a block share them.
    """

    domain: Domain
    ways: Count = 5
    shots: Count = 1
    queries: int = 15
    seed: int = 0
    groups: Grouping = "ignore"
    turns: bool = False
    block: int = BLOCK

    def __post_init__(self) -> None:
        for name in ("ways", "shots", "queries", "block"):
            low, high = span(getattr(self, name))
            if not 1 <= low <= high:
                raise SettingsError(f"episodes.{name} must be at least 1, a range from low to high; found {low}-{high}")
        if self.turns and self.domain.schema.modality != "image":
            raise SettingsError("episodes.turns rotates images, and these rows are none")
        _ = self.pools  # what cannot be drawn is told at once

    @property
    def labelled_by_place(self) -> bool:
        """Whether a row's target is its class' place in the episode; otherwise it is the row's own label."""
        return not (self.groups == "tasks" and self.ways == 1)

    @cached_property
    def pools(self) -> Pools:
        """The rows that may be drawn, by set and class.

        Raises:
            DataError: no labels or groups where they are needed, or too few rows or classes for one episode.
        """
        return pools(self)

    @property
    def varies(self) -> bool:
        """Whether ways or shots are drawn, too."""
        return isinstance(self.ways, tuple) or isinstance(self.shots, tuple)

    @property
    def classes(self) -> int:
        """How many classes episodes are drawn from, turned ones among them."""
        return len(self.pools.names) * self.factor

    @property
    def factor(self) -> int:
        """How many classes one class of images makes."""
        return 4 if self.turns else 1

    @cached_property
    def names(self) -> np.ndarray:
        """What each row ``[n]`` teaches, by which training and evaluation must differ: its class, or its group."""
        labels, groups = self.domain.labels, self.domain.groups
        if self.groups == "ignore" or groups is None:
            return np.asarray(labels).astype(str)
        if self.groups == "tasks":
            return groups.astype(str)
        return np.array([f"{group}/{label}" for group, label in zip(groups, np.asarray(labels), strict=True)])

    @property
    def fewest(self) -> tuple[int, int]:
        """The least ways, and the least rows of a class, that an episode needs."""
        return span(self.ways)[0], span(self.shots)[0] + self.queries

    def draw(self, first: int, count: int = 1) -> Draw:
        """Episodes ``first`` to ``first + count - 1``; where ways or shots vary they must be of one block."""
        blocks = range(first // self.block, (first + count - 1) // self.block + 1)
        drawn = [self._block(block) for block in blocks]
        start = first - blocks.start * self.block
        return Draw(*(np.concatenate(part)[start : start + count] for part in zip(*drawn, strict=True)))

    def _block(self, block: int) -> tuple[np.ndarray, ...]:
        pools, rng = self.pools, generator(self.seed, "episodes", block)
        sets = rng.integers(len(pools.sets), size=self.block)
        starts, sizes = pools.sets[sets, 0], pools.sets[sets, 1]
        low, high = span(self.ways)
        ways = low if low == high else int(rng.integers(low, min(high, sizes.min() * self.factor) + 1))
        if self.groups == "tasks":
            place = np.broadcast_to(np.arange(ways), (self.block, ways))
        else:
            place = distinct(rng, sizes * self.factor, ways)
        chosen = starts[:, None] + place // self.factor
        shots = self._shots(rng, pools.sizes[chosen])
        rows = self._rows(rng, chosen, shots)
        is_support = np.arange(rows.shape[2]) < shots[..., None]
        is_query = np.arange(rows.shape[2]) - shots[..., None]
        is_query = (is_query >= 0) & (is_query < self.queries)
        way = np.broadcast_to(np.arange(ways)[:, None], rows.shape)
        sides = (values[mask].reshape(self.block, -1) for mask in (is_support, is_query) for values in (rows, way))
        return (*sides, chosen, place % self.factor)

    def _shots(self, rng: np.random.Generator, sizes: np.ndarray) -> np.ndarray:
        """Support rows of each class ``[block, ways]``; their sum is the same in every episode of a block."""
        low, high = span(self.shots)
        if low == high:
            return np.full(sizes.shape, low)
        most = sizes - self.queries
        total = min(int(rng.integers(low, high + 1)) * sizes.shape[1], int(most.sum(1).min()))
        return allotted(np.exp(rng.uniform(-UNEVEN, UNEVEN, sizes.shape)) * sizes, total, most)

    def _rows(self, rng: np.random.Generator, chosen: np.ndarray, shots: np.ndarray) -> np.ndarray:
        """Rows of each class, those of the support first: ``[block, ways, most]``; what is beyond is of no class."""
        needs, flat = (shots + self.queries).reshape(-1), chosen.reshape(-1)
        rows = np.full((len(flat), needs.max()), -1, dtype=np.int64)
        for need in np.unique(needs):
            those = needs == need
            drawn = distinct(rng, self.pools.sizes[flat[those]], int(need))
            rows[those, :need] = self.pools.rows[self.pools.starts[flat[those]][:, None] + drawn]
        return rows.reshape(*chosen.shape, -1)


@dataclass(frozen=True)
class Draw:
    """Some episodes, class after class.

    Attributes:
        support: ``[episodes, support]`` rows of the domain.
        support_way: ``[episodes, support]`` each one's place among the classes of its episode.
        query: ``[episodes, query]`` rows of the domain.
        query_way: ``[episodes, query]``.
        pools: ``[episodes, ways]`` which of `Pools.names` each way is.
        turns: ``[episodes, ways]`` quarter turns that make a class of its own.
    """

    support: np.ndarray
    support_way: np.ndarray
    query: np.ndarray
    query_way: np.ndarray
    pools: np.ndarray
    turns: np.ndarray


def distinct(rng: np.random.Generator, sizes: np.ndarray, count: int) -> np.ndarray:
    """For each of n sizes, ``count`` different numbers below it, every ordered choice equally likely: ``[n, count]``.

    Floyd's algorithm takes one draw a number and never rejects; it runs over all n at once. Where sizes are small,
    random keys are sorted, which is quicker.
    """
    largest = int(sizes.max())
    if largest <= SMALL:
        keys = rng.random((len(sizes), largest))
        keys[np.arange(largest) >= sizes[:, None]] = np.inf
        return np.argsort(keys, axis=1)[:, :count]
    found = np.empty((len(sizes), count), dtype=np.int64)
    for k in range(count):
        last = sizes - count + k
        drawn = (rng.random(len(sizes)) * (last + 1)).astype(np.int64)
        taken = (found[:, :k] == drawn[:, None]).any(axis=1)
        found[:, k] = np.where(taken, last, drawn)
    order = np.argsort(rng.random(found.shape), axis=1)
    return np.take_along_axis(found, order, axis=1)


def allotted(weights: np.ndarray, total: int, most: np.ndarray) -> np.ndarray:
    """``total`` seats for each row of ``weights [n, k]`` by highest averages (D'Hondt), 1 to ``most [n, k]`` each."""
    seats = np.ones(weights.shape, dtype=np.int64)
    rows = np.arange(len(weights))
    for _ in range(total - weights.shape[1]):
        seats[rows, np.where(seats < most, weights / (seats + 1), -1.0).argmax(axis=1)] += 1
    return seats


def span(count: Count) -> tuple[int, int]:
    """The least and the most."""
    return count if isinstance(count, tuple) else (count, count)
