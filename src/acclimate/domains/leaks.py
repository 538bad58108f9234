"""Exact and near duplicates, inside one domain and between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from acclimate.domains import near
from acclimate.domains.domain import Domain
from acclimate.domains.request import MEDIA_BLOCK

CAP = {
    "text": 50_000, "image": 5_000, "table": 1_000_000, "array": 100_000, "audio": 0, "series": 20_000, "molecule": 0,
    "pairs": 0, "users": 0,
}  # fmt: skip
"""Rows of each domain that are looked at for near duplicates."""
EXAMPLES = 10


@dataclass(frozen=True)
class Leak:
    """What a scan found.

    Attributes:
        exact: rows with the same input as an earlier row (of two domains: rows of the first whose input the second
            has too).
        near: further rows that are nearly the same as another one (as one of the other domain).
        conflicting: rows whose input also occurs with another label; 0 where labels are not known.
        examples: pairs of row numbers (row, its twin), exact ones first.
        note: what was not looked at, for people; empty where all was.
    """

    exact: int
    near: int
    conflicting: int = 0
    examples: tuple[tuple[int, int], ...] = ()
    note: str = ""


def scan(domain: Domain, other: Domain | None = None) -> Leak:
    """Duplicates inside a domain, or between it and another. Labels are not needed.

    Near duplicates are: texts that differ in case, punctuation and spaces only, or whose sets of five-word shingles
    have a Jaccard similarity of 0.8 or more (Broder 1997; found by MinHash, each pair checked exactly); images whose
    64-bit difference hashes differ by 3 bits at most and whose thumbnails are alike; numbers that agree to six
    significant digits.
    """
    exact = _twins(domain.ids, None if other is None else other.ids)
    twins, note = _near(domain, other, exact >= 0)
    pairs = [(int(i), int(table[i])) for table in (exact, twins) for i in np.flatnonzero(table >= 0)[:EXAMPLES]]
    return Leak(
        exact=int((exact >= 0).sum()),
        near=int((twins >= 0).sum()),
        conflicting=_conflicting(domain, other),
        examples=tuple(pairs[:EXAMPLES]),
        note=note,
    )


def _twins(keys: np.ndarray, others: np.ndarray | None) -> np.ndarray:
    """For each key ``[n]`` the first row with the same one (an earlier row, or a row of others), else -1."""
    pool = keys if others is None else others
    distinct, first = np.unique(pool, return_index=True)
    place = np.minimum(np.searchsorted(distinct, keys), max(len(distinct) - 1, 0))
    twin = np.where(distinct[place] == keys, first[place], -1)
    if others is None:
        twin[twin == np.arange(len(keys))] = -1
    return twin


def _conflicting(domain: Domain, other: Domain | None) -> int:
    parts = [domain] if other is None else [domain, other]
    if any(part.labels is None for part in parts):
        return 0
    ids = np.concatenate([part.ids for part in parts])
    labels = np.concatenate([part.labels for part in parts if part.labels is not None]).astype(str)
    _, group = np.unique(ids, return_inverse=True)
    _, code = np.unique(labels, return_inverse=True)
    low = np.full(group.max() + 1, code.max() + 1)
    high = np.full(group.max() + 1, -1)
    np.minimum.at(low, group, code)
    np.maximum.at(high, group, code)
    return int((low != high)[group][: len(domain)].sum())


def _near(domain: Domain, other: Domain | None, exact: np.ndarray) -> tuple[np.ndarray, str]:
    """The near twin of each row, -1 where it has none or an exact one, and what was left out."""
    modality = domain.schema.modality
    twins = np.full(len(domain), -1)
    cap = CAP[modality]
    if not cap or (other is not None and other.schema.modality != modality):
        return twins, f"near duplicates of {modality} rows are not looked for"
    if exact.all():
        return twins, ""
    mine, complete = _sample(domain.ids, cap, exact)
    if other is None:
        found, pool = near.twins(modality, _inputs(domain, mine), None), mine
    else:
        pool, all_theirs = _sample(other.ids, cap, np.zeros(len(other), dtype=bool))
        complete = complete and all_theirs
        found = near.twins(modality, _inputs(domain, mine), _inputs(other, pool))
    twins[mine] = np.where(found >= 0, pool[found], -1)
    return twins, "" if complete else f"near duplicates were looked for among {cap:,} rows of each domain"


def _inputs(domain: Domain, index: np.ndarray) -> Any:
    """The rows at ``index``; images one after the other, a few of them in memory at a time."""
    if domain.schema.modality != "image":
        return domain.rows.take(index)
    blocks = (index[start : start + MEDIA_BLOCK] for start in range(0, len(index), MEDIA_BLOCK))
    return (image for block in blocks for image in domain.rows.take(block))


def _sample(ids: np.ndarray, cap: int, leave_out: np.ndarray) -> tuple[np.ndarray, bool]:
    """At most ``cap`` rows, chosen by content, and whether these are all; ids are hashes, so the smallest ones are a
    random sample.
    """
    rows = np.flatnonzero(~leave_out)
    if len(rows) <= cap:
        return rows, True
    return np.sort(rows[np.argsort(ids[rows], kind="stable")[:cap]]), False
