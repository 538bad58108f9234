"""The objects that carry examples: rows, labels and the domain they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, Protocol

import numpy as np

from acclimate.errors import DataError

Modality = Literal["text", "image", "table", "array", "audio", "series", "molecule", "pairs", "users"]
MODALITIES: tuple[Modality, ...] = ("text", "image", "table", "array", "audio", "series", "molecule")
Shapes = Literal["", "masks", "boxes"]
"""What labels of images are, where they are not words: `acclimate.domains.masks`, `acclimate.domains.boxes`."""
INTERACTIONS: tuple[Modality, ...] = ("pairs", "users")
"""What `acclimate.domains.interactions` reads: pairs of a user and an item, or users."""


class Rows(Protocol):
    """The inputs of n examples, read when asked for.

    ``take(index)`` gives raw inputs in the order asked, by modality:

    - text: ``list[str]``
    - image: ``list`` of uint8 arrays ``[height, width]`` or ``[height, width, channels]``
    - table: ``pandas.DataFrame`` with the input columns, a fresh ``RangeIndex``
    - array: ``numpy.ndarray`` ``[n, ...]`` float32, or a ``scipy.sparse.csr_matrix`` ``[n, d]``
    - audio: ``list`` of ``(float32 array [samples], rate in Hz)``
    - series: ``numpy.ndarray`` ``[n, channels, length]`` float32; a channel that a recording lacks is NaN
    - molecule: ``list[str]``, SMILES as written
    - pairs, users: ``pandas.DataFrame`` of ids as text, of a user and an item, or of a user
    """

    def __len__(self) -> int: ...

    def take(self, index: np.ndarray) -> Any: ...


@dataclass(frozen=True)
class ArrayRows:
    """Rows held in one array (in memory, memory-mapped, or sparse)."""

    values: Any

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def take(self, index: np.ndarray) -> Any:
        return self.values[index]


@dataclass(frozen=True)
class Subset:
    """Some of other rows, in an order of their own."""

    rows: Rows
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def take(self, index: np.ndarray) -> Any:
        return self.rows.take(self.index[index])


@dataclass(frozen=True)
class Windows:
    """How series are cut.

    Attributes:
        length: steps of a window.
        stride: steps from one window to the next.
        recording: of a long table, the column that tells recordings apart.
        time: of a long table, the column by which the steps of a recording are ordered; None: as they stand.
    """

    length: int
    stride: int
    recording: str | None = None
    time: str | None = None


@dataclass(frozen=True)
class Schema:
    """What is input, label and group, by column (or array, or file field).

    Attributes:
        categories: inputs of a table that hold categories; the others hold numbers.
        windows: how series are cut; None of anything else.
        legend: what the values of masks mean, value and category (None: not labelled), where masks were read.
    """

    modality: Modality
    inputs: tuple[str, ...] = ()
    label: str | None = None
    group: str | None = None
    categories: tuple[str, ...] = ()
    windows: Windows | None = None
    legend: tuple[tuple[int, str | None], ...] = ()


@dataclass(frozen=True)
class Domain:
    """Rows of one place.

    Attributes:
        name: for people: file name and selection.
        schema: modality and columns.
        rows: the inputs.
        ids: content hash of each row's input, ``[n]`` of dtype ``S32``. Equal inputs have equal ids.
        labels: ``[n]`` canonical strings (object dtype), or None: absent or sealed.
        groups: ``[n]`` canonical strings, or None.
        locator: where exactly these rows can be read again, None when they came from memory or were selected.
        origin: ``[n]`` int64, which of the joined domains each row came from, or None: never joined.
        tables: what is known beside the rows, of the users and items of `acclimate.domains.interactions`.
        sensitive: ``[n]`` canonical strings by column: groups of people, by which results are told apart.
    """

    name: str
    schema: Schema
    rows: Rows
    ids: np.ndarray
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    locator: str | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)
    origin: np.ndarray | None = None
    tables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sensitive: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        state = "no labels" if self.labels is None else f"labels {self.schema.label!r}"
        return f"Domain({self.name!r}, {len(self)} rows of {self.schema.modality}, {state})"

    def select(self, index: np.ndarray) -> Domain:
        """The rows at ``index``, in that order."""
        index = np.asarray(index)
        if isinstance(self.rows, Subset):
            rows: Rows = Subset(self.rows.rows, self.rows.index[index])
        else:
            rows = Subset(self.rows, index)
        return replace(
            self,
            rows=rows,
            ids=self.ids[index],
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            origin=None if self.origin is None else self.origin[index],
            sensitive={name: values[index] for name, values in self.sensitive.items()},
            locator=None,
        )

    def sealed(self) -> Domain:
        """The same rows without labels."""
        return replace(self, labels=None, schema=replace(self.schema, label=None, legend=()))

    @cached_property
    def order(self) -> np.ndarray:
        """The rows in an order that depends on content alone (id, then label): file order can carry labels."""
        labels = np.zeros(len(self)) if self.labels is None else self.labels.astype(str)
        return np.lexsort((labels, self.ids))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the set of rows and labels, whatever their order."""
        digest = blake2b(digest_size=16)
        digest.update(np.ascontiguousarray(self.ids[self.order]).tobytes())
        if self.labels is not None:
            digest.update("\0".join(map(str, self.labels[self.order])).encode())
        for name in sorted(self.tables):
            from pandas.util import hash_pandas_object

            digest.update(name.encode() + hash_pandas_object(self.tables[name]).to_numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Joined:
    """The rows of several domains, one after the other."""

    parts: tuple[Rows, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def take(self, index: np.ndarray) -> Any:
        import pandas as pd
        from scipy import sparse

        index = np.asarray(index, dtype=np.intp)
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        owner = np.searchsorted(starts, index, side="right") - 1
        asked = np.unique(owner) if len(index) else [0]
        taken = [self.parts[k].take(index[owner == k] - starts[k]) for k in asked]
        inverse = np.argsort(np.argsort(owner, kind="stable"), kind="stable")
        first = taken[0]
        if isinstance(first, list):
            flat = [row for chunk in taken for row in chunk]
            return [flat[i] for i in inverse]
        if isinstance(first, pd.DataFrame):
            return pd.concat(taken, ignore_index=True).iloc[inverse].reset_index(drop=True)
        if sparse.issparse(first):
            return sparse.vstack(taken, format="csr")[inverse]
        return np.concatenate(taken)[inverse]


def join(domains: Sequence[Domain]) -> Domain:
    """Several domains as one, for example several sources.

    Raises:
        DataError: a model of the first one's inputs cannot read all the others, or only some have labels or groups.
    """
    from acclimate.domains.schema import check_pair

    first = domains[0]
    if len(domains) == 1:
        return first
    for domain in domains[1:]:
        check_pair(first, domain)

    def stack(name: str) -> np.ndarray | None:
        values = [getattr(domain, name) for domain in domains]
        if all(value is None for value in values):
            return None
        if any(value is None for value in values):
            lacking = [d.name for d, v in zip(domains, values, strict=True) if v is None]
            raise DataError(f"{', '.join(lacking)}: no {name}, but the other domains have them")
        return np.concatenate(values)

    return replace(
        first,
        name=" + ".join(domain.name for domain in domains),
        rows=Joined(tuple(domain.rows for domain in domains)),
        ids=np.concatenate([domain.ids for domain in domains]),
        labels=stack("labels"),
        groups=stack("groups"),
        locator=None,
        notes=tuple(dict.fromkeys(note for domain in domains for note in domain.notes)),
        origin=_origins(domains),
        sensitive=_sensitive(domains),
    )


def _sensitive(domains: Sequence[Domain]) -> dict[str, np.ndarray]:
    """Of the rows one after the other."""
    names = {name for domain in domains for name in domain.sensitive}
    for domain in domains:
        if lacking := sorted(names - set(domain.sensitive)):
            raise DataError(f"{domain.name}: no sensitive column '{lacking[0]}', but the other domains have it")
    return {name: np.concatenate([domain.sensitive[name] for domain in domains]) for name in sorted(names)}


def _origins(domains: Sequence[Domain]) -> np.ndarray:
    """Of the rows one after the other; a domain that is itself joined counts as its members."""
    own = [np.zeros(len(d), dtype=np.int64) if d.origin is None else d.origin for d in domains]
    starts = np.cumsum([0, *(int(values.max(initial=0)) + 1 for values in own[:-1])])
    return np.concatenate([values + start for values, start in zip(own, starts, strict=True)])
