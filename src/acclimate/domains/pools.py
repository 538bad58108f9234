"""Rows by class and classes by group: what episodes are drawn from."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from acclimate.errors import DataError

if TYPE_CHECKING:
    from acclimate.domains.episodes import Episodes


@dataclass(frozen=True)
class Pools:
    """Rows by class, classes by set; an episode takes classes of one set.

    Attributes:
        rows: rows of the domain, pool after pool.
        starts: ``[pools]`` where each begins in `rows`.
        sizes: ``[pools]`` how many each has.
        sets: ``[sets, 2]`` the first pool of each set, and how many.
        names: group and class of each pool.
        left_out: how many others have too few rows, or are of a set with too few classes.
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


def pools(asked: Episodes) -> Pools:
    """The rows that episodes may be drawn from.

    Raises:
        DataError: no labels or groups where they are needed, or too few rows or classes for one episode.
    """
    domain, (ways, need) = asked.domain, asked.fewest
    if domain.labels is None:
        raise DataError(f"{domain.name}: episodes need labels; name their column with --label")
    if asked.groups != "ignore" and domain.groups is None:
        raise DataError(f"{domain.name}: episodes by group need groups; name their column with --group")
    blank = np.full(len(domain), "", dtype=object)
    labels = domain.labels if asked.labelled_by_place else blank
    groups = blank if asked.groups == "ignore" or domain.groups is None else domain.groups
    keys: dict[tuple[str, str], list[int]] = {}
    for row in domain.order:
        keys.setdefault((str(groups[row]), str(labels[row])), []).append(int(row))
    large = {key: rows for key, rows in sorted(keys.items()) if len(rows) >= need}
    by_set: dict[str, list[tuple[str, str]]] = {}
    for key in large:
        by_set.setdefault(key[0], []).append(key)
    if asked.groups == "tasks":
        ways = len({label for _, label in keys})
        if asked.ways not in (1, ways):
            raise DataError(f"{domain.name}: where groups are tasks, ways is {ways}, all of their classes, or 1")
    kept = {name: found for name, found in by_set.items() if len(found) * asked.factor >= ways}
    if not kept:
        raise DataError(_too_few(asked, ways, need, keys, large))
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


def _too_few(asked: Episodes, ways: int, need: int, found: Sized, large: Sized) -> str:
    """Why no episode can be drawn."""
    where = "" if asked.groups == "ignore" else " of one group"
    if asked.groups == "ignore" and len(found) * asked.factor < ways:
        return f"{asked.domain.name}: an episode needs {ways} classes, and there are {len(found) * asked.factor}"
    return (
        f"{asked.domain.name}: an episode needs {ways} classes{where} with {need} rows each "
        f"({need - asked.queries} shots and {asked.queries} queries); of {len(found)} classes {len(large)} have as "
        "many; ask for fewer ways, shots or queries"
    )
