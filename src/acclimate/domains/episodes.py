"""Episodes: small tasks drawn from one labelled domain, as index tensors."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.errors import DataError, SettingsError
from acclimate.seeds import generator

Grouping = Literal["ignore", "within", "tasks"]
BLOCK = 64
"""Episodes that are drawn together; episode k is one of block k // BLOCK, whoever asks for it."""


@dataclass(frozen=True)
class Episodes:
    """Which rows each of many episodes consists of: N ways, K shots, Q queries a class.

    Every episode is a function of (domain, settings, seed, its number): nothing is stored, any part can be drawn again.
    Classes and rows are drawn without replacement, in an order that depends on content alone, by Floyd's algorithm
    (Bentley and Floyd, Communications of the ACM 30(9), 1987), for a block of episodes at once.

    Attributes:
        domain: labelled rows; where the group is the task, labels may be numbers.
        ways: classes of an episode; without meaning where groups are the tasks of a regression.
        shots: labelled rows of each class.
        queries: further rows of each class, to be answered.
        seed: from which all draws come.
        groups: "ignore"; "within": the classes of an episode belong to one group, such as one alphabet; "tasks": an
            episode is one group (a user, a machine, a sinusoid), its classes keep their meaning, and support and query
            rows are drawn from it.
        turns: each image turned by 0, 90, 180 and 270 degrees is of a class of its own (Santoro et al., ICML 2016).
    """

    domain: Domain
    ways: int = 5
    shots: int = 1
    queries: int = 15
    seed: int = 0
    groups: Grouping = "ignore"
    turns: bool = False

    def __post_init__(self) -> None:
        for name, least in (("ways", 1), ("shots", 1), ("queries", 1)):
            if getattr(self, name) < least:
                raise SettingsError(f"episodes.{name} must be at least {least}, found {getattr(self, name)}")
        if self.turns and self.domain.schema.modality != "image":
            raise SettingsError("episodes.turns rotates images, and these rows are none")
        _ = self.pools  # what cannot be drawn is told at once

    @property
    def labelled_by_place(self) -> bool:
        """Whether a row's target is its class' place in the episode; otherwise it is the row's own number."""
        return not (self.groups == "tasks" and self.ways == 1)

    @cached_property
    def pools(self) -> Pools:
        """The rows that may be drawn, by set and class.

        Raises:
            DataError: no labels or groups where they are needed, or too few rows or classes for one episode.
        """
        return _pools(self)

    @property
    def classes(self) -> int:
        """How many classes episodes are drawn from, turned ones among them."""
        return len(self.pools.names) * (4 if self.turns else 1)

    def draw(self, first: int, count: int = 1) -> Draw:
        """Episodes ``first`` to ``first + count - 1``."""
        blocks = range(first // BLOCK, (first + count - 1) // BLOCK + 1)
        drawn = [self._block(block) for block in blocks]
        start = first - blocks.start * BLOCK
        rows, chosen, turns = (np.concatenate(part)[start : start + count] for part in zip(*drawn, strict=True))
        return Draw(rows[..., : self.shots], rows[..., self.shots :], chosen, turns)

    def _block(self, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pools, rng = self.pools, generator(self.seed, "episodes", block)
        factor = 4 if self.turns else 1
        sets = rng.integers(len(pools.sets), size=BLOCK)
        starts, sizes = pools.sets[sets, 0], pools.sets[sets, 1]
        if self.groups == "tasks":
            place = np.broadcast_to(np.arange(self.ways), (BLOCK, self.ways))
        else:
            place = distinct(rng, sizes * factor, self.ways)
        chosen = starts[:, None] + place // factor
        counts = pools.sizes[chosen].reshape(-1)
        rows = distinct(rng, counts, self.shots + self.queries).reshape(BLOCK, self.ways, -1)
        return pools.rows[pools.starts[chosen][..., None] + rows], chosen, place % factor


@dataclass(frozen=True)
class Draw:
    """Some episodes.

    Attributes:
        support: ``[episodes, ways, shots]`` rows of the domain.
        query: ``[episodes, ways, queries]`` rows of the domain.
        pools: ``[episodes, ways]`` which of `Pools.names` each way is.
        turns: ``[episodes, ways]`` quarter turns that make a class of its own.
    """

    support: np.ndarray
    query: np.ndarray
    pools: np.ndarray
    turns: np.ndarray


@dataclass(frozen=True)
class Pools:
    """Rows by class, classes by set; an episode takes classes of one set.

    Attributes:
        rows: rows of the domain, pool after pool.
        starts: ``[pools]`` where each begins in `rows`.
        sizes: ``[pools]`` how many each has.
        sets: ``[sets, 2]`` the first pool of each set, and how many.
        names: group and class of each pool.
        left_out: pools with too few rows, and those of sets with too few classes.
    """

    rows: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    sets: np.ndarray
    names: tuple[tuple[str, str], ...]
    left_out: int

    @property
    def classes(self) -> set[str]:
        """The labels that occur."""
        return {name for _, name in self.names}


def distinct(rng: np.random.Generator, sizes: np.ndarray, count: int) -> np.ndarray:
    """For each of n sizes, ``count`` different numbers below it, every ordered choice equally likely: ``[n, count]``.

    Floyd's algorithm takes one draw a number and never rejects; it runs over all n at once.
    """
    found = np.empty((len(sizes), count), dtype=np.int64)
    for k in range(count):
        last = sizes - count + k
        drawn = (rng.random(len(sizes)) * (last + 1)).astype(np.int64)
        taken = (found[:, :k] == drawn[:, None]).any(axis=1)
        found[:, k] = np.where(taken, last, drawn)
    order = np.argsort(rng.random(found.shape), axis=1)
    return np.take_along_axis(found, order, axis=1)


def _pools(asked: Episodes) -> Pools:
    domain, need = asked.domain, asked.shots + asked.queries
    if domain.labels is None:
        raise DataError(f"{domain.name}: episodes need labels; name their column with --label")
    if asked.groups != "ignore" and domain.groups is None:
        raise DataError(f"{domain.name}: episodes by group need groups; name their column with --group")
    single = asked.groups == "tasks" and asked.ways == 1
    order = domain.order
    blank = np.full(len(domain), "", dtype=object)
    labels = blank if single else domain.labels
    groups = blank if asked.groups == "ignore" or domain.groups is None else domain.groups
    keys: dict[tuple[str, str], list[int]] = {}
    for row in order:
        keys.setdefault((str(groups[row]), str(labels[row])), []).append(int(row))
    large = {key: rows for key, rows in sorted(keys.items()) if len(rows) >= need}
    by_set: dict[str, list[tuple[str, str]]] = {}
    for key in large:
        by_set.setdefault(key[0], []).append(key)
    factor = 4 if asked.turns else 1
    kept = {name: found for name, found in by_set.items() if len(found) * factor >= asked.ways}
    if not kept:
        raise DataError(_too_few(asked, keys, large))
    names = [key for found in kept.values() for key in found]
    sizes = np.array([len(large[key]) for key in names])
    counts = np.array([len(found) for found in kept.values()])
    return Pools(
        rows=np.concatenate([large[key] for key in names]),
        starts=np.cumsum(sizes) - sizes,
        sizes=sizes,
        sets=np.stack([np.cumsum(counts) - counts, counts], axis=1),
        names=tuple(names),
        left_out=len(keys) - len(names),
    )


def _too_few(asked: Episodes, found: Sized, large: Sized) -> str:
    """Why no episode can be drawn."""
    where = "" if asked.groups == "ignore" else " of one group"
    return (
        f"{asked.domain.name}: an episode needs {asked.ways} classes{where} with {asked.shots + asked.queries} rows "
        f"each ({asked.shots} shots and {asked.queries} queries); of {len(found)} classes {len(large)} have as many; "
        "ask for fewer ways, shots or queries"
    )
