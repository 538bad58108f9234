"""Tables and arrays as numbers: missing values, categories, scales; learned from the source, kept as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from acclimate.domains.domain import Domain
from acclimate.domains.labels import canonical_one
from acclimate.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_READ = 65_536
_CATEGORIES = 100
"""Categories a column keeps, the most frequent ones; all others share the slot of the unknown ones."""
_CLIP = 20.0
"""Standardised values are cut off here: a unit mistaken by a factor of a thousand must not drown the rest."""
_MISSING = "(missing)"


@dataclass(frozen=True)
class Numbers:
    """Statistics of numeric columns, each list as long as there are columns.

    Attributes:
        fill: median of the values that are there, put in place of the missing ones.
        flag: columns that had missing values in the source; each gives one indicator column.
        mean, scale: standardised value = (value - mean) / scale.
    """

    fill: list[float]
    flag: list[int]
    mean: list[float]
    scale: list[float]

    def encode(self, values: np.ndarray) -> np.ndarray:
        """``[n, d]`` float64 with NaN for missing -> ``[n, d + len(flag)]`` without."""
        missing = ~np.isfinite(values)
        filled = np.where(missing, np.asarray(self.fill), values)
        scaled = (filled - np.asarray(self.mean)) / np.asarray(self.scale)
        return np.hstack([scaled, missing[:, self.flag].astype(np.float64)])

    @property
    def width(self) -> int:
        return len(self.fill) + len(self.flag)


@dataclass(frozen=True)
class ColumnEncoder:
    """Turns a table, a dense array or a sparse matrix into float32 columns.

    - Numbers: missing (and infinite) values become the source's median, with an indicator column where
      the source had any; then standardised by the source's mean and standard deviation, cut at +-20.
    - Categories (every column that is neither number nor boolean): one-hot over the 100 most frequent of
      the source, missing being one of them; unseen and rarer ones share one slot.
    - Sparse matrices are divided by each column's largest absolute value, so that zeros stay zero.

    Attributes:
        kind: "table", "array" or "sparse".
        names: numeric columns of a table, in the order of `numbers`.
        categories: category column -> its categories, most frequent first.
        numbers: statistics of the numeric columns.
        standardize: False leaves numbers as they are.
        binarize: values become 1 where they are not 0 (presence of a word instead of its count).
        shape: shape of one row of an array.
    """

    kind: str
    names: list[str]
    categories: dict[str, list[str]]
    numbers: Numbers
    standardize: bool
    binarize: bool
    shape: list[int]

    @property
    def size(self) -> int:
        """Number of columns that come out."""
        return self.numbers.width + sum(len(known) + 1 for known in self.categories.values())

    @property
    def idle(self) -> int:
        """See `acclimate.backbones.linked_columns.LinkedEncoder`: none here."""
        return 0

    @property
    def columns(self) -> list[str]:
        """Names of the columns of a table."""
        return [*self.names, *self.categories]

    @property
    def owners(self) -> list[str]:
        """The name of the raw column that each column which comes out is of; of arrays its number, from 1."""
        numbers = self.names if self.kind == "table" else [str(k + 1) for k in range(len(self.numbers.fill))]
        found = [*numbers, *(numbers[k] for k in self.numbers.flag)]
        return [*found, *(name for name, known in self.categories.items() for _ in range(len(known) + 1))]

    def typical(self) -> dict[str, Any] | np.ndarray:
        """What stands for columns that rows cannot have: by name, or a row of an array.

        A number is the source's mean (its median where numbers are not standardised), a category the most frequent one.
        """
        numbers = self.numbers.mean if self.standardize else self.numbers.fill
        if self.kind != "table":
            return np.array(numbers).reshape(self.shape)
        words = {name: next((k for k in known if k != _MISSING), None) for name, known in self.categories.items()}
        return {**dict(zip(self.names, numbers, strict=True)), **words}

    @property
    def blank(self) -> np.ndarray:
        """`typical` as it comes out, ``[size]`` float32; of sparse matrices zeros."""
        numbers = np.zeros(len(self.numbers.fill)) if self.standardize else np.asarray(self.numbers.fill)
        flags = np.zeros(len(self.numbers.flag))
        words = [
            np.eye(len(known) + 1)[int(len(known) > 1 and known[0] == _MISSING)] for known in self.categories.values()
        ]
        return np.concatenate([numbers, flags, *words]).astype(np.float32)

    def encode(self, raw: Any) -> np.ndarray | sparse.csr_matrix:
        """Raw rows -> ``[n, size]`` float32; sparse rows stay sparse.

        Raises:
            DataError: other columns or another width than in the source, words among numbers, numbers beyond float32.
        """
        if self.kind == "table":
            blocks = [self.numbers.encode(_numeric(raw, self._require(raw, self.names)))]
            self._require(raw, list(self.categories))
            blocks += [_one_hot(raw[name], known) for name, known in self.categories.items()]
            values = np.hstack(blocks)
        elif sparse.issparse(raw):
            self._check_width(raw.shape[1:])
            return self._scale_sparse(raw)
        else:
            self._check_width(raw.shape[1:])
            flat = np.asarray(raw, dtype=np.float64).reshape(len(raw), -1)
            values = self.numbers.encode((flat != 0).astype(np.float64) if self.binarize else flat)
        if self.standardize:
            values = np.clip(values, -_CLIP, _CLIP)
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise DataError("numbers too large for 32-bit floats; set backbone.standardize=true or rescale them")
        return values

    def _scale_sparse(self, raw: sparse.csr_matrix) -> sparse.csr_matrix:
        values = sparse.csr_matrix(raw, dtype=np.float32, copy=True)
        if self.binarize:
            values.data = (values.data != 0).astype(np.float32)
        else:
            values = sparse.csr_matrix(values @ sparse.diags(1 / np.asarray(self.numbers.scale, dtype=np.float32)))
        if not np.isfinite(values.data).all():
            raise DataError("the sparse matrix contains NaN or infinite values")
        return values

    def _require(self, raw: pd.DataFrame, names: list[str]) -> list[str]:
        lacking = [name for name in names if name not in raw.columns]
        if lacking:
            raise DataError(f"column '{lacking[0]}' is missing; found: {', '.join(map(str, raw.columns))}")
        return names

    def _check_width(self, shape: tuple[int, ...]) -> None:
        if list(shape) != self.shape:
            raise DataError(f"rows of shape {tuple(shape)}, but the source has {tuple(self.shape)}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ColumnEncoder:
        return cls(**{**value, "numbers": Numbers(**value["numbers"])})


def fit(
    domain: Domain, *, standardize: bool = True, binarize: bool = False, only: Sequence[str] | None = None
) -> ColumnEncoder:
    """Learn a `ColumnEncoder` from the inputs of a domain, in an order that depends on content alone.

    Args:
        domain: the rows.
        standardize: see `ColumnEncoder`.
        binarize: see `ColumnEncoder`.
        only: columns of a table that are learned; None: all.

    Raises:
        DataError: no rows, or a column of dates.
    """
    if not len(domain):
        raise DataError(f"{domain.name}: no rows to learn columns from")
    first = domain.rows.take(domain.order[:1])
    options = {"standardize": standardize, "binarize": binarize}
    if sparse.issparse(first):
        largest = np.max([abs(chunk).max(axis=0).toarray()[0] for chunk in _chunks(domain)], axis=0)
        width = len(largest)
        usable = (largest > 0) & np.isfinite(largest) if standardize else np.zeros(width, dtype=bool)
        numbers = Numbers([0.0] * width, [], [0.0] * width, np.where(usable, largest, 1.0).astype(float).tolist())
        return ColumnEncoder("sparse", [], {}, numbers, shape=[width], **options)
    if isinstance(first, np.ndarray):
        flat = np.concatenate([np.asarray(c, dtype=np.float64).reshape(len(c), -1) for c in _chunks(domain)])
        flat = (flat != 0).astype(np.float64) if binarize else flat
        return ColumnEncoder("array", [], {}, _statistics(flat, standardize), shape=list(first.shape[1:]), **options)
    names, texts = _columns(first if only is None else first[list(only)], domain)
    counts: dict[str, Counter[str]] = {name: Counter() for name in texts}
    values = []
    for chunk in _chunks(domain):
        values.append(_numeric(chunk, names))
        for name in texts:
            counts[name].update(_categories(chunk[name]))
    categories = {name: [k for k, _ in _most_common(counts[name])] for name in texts}
    return ColumnEncoder(
        "table", names, categories, _statistics(np.concatenate(values), standardize), shape=[], **options
    )


def _chunks(domain: Domain) -> Iterator[Any]:
    for start in range(0, len(domain), _READ):
        yield domain.rows.take(domain.order[start : start + _READ])


def _statistics(values: np.ndarray, standardize: bool) -> Numbers:
    known = np.where(np.isfinite(values), values, np.nan)
    present = np.isfinite(known).any(axis=0)
    fill = np.zeros(values.shape[1])
    fill[present] = np.nanmedian(known[:, present], axis=0)
    filled = np.where(np.isnan(known), fill, known)
    flag = np.flatnonzero(np.isnan(known).any(axis=0) & present)
    mean, scale = np.zeros_like(fill), np.ones_like(fill)
    if standardize:
        mean, deviation = filled.mean(axis=0), filled.std(axis=0)
        scale = np.where(deviation > 1e-12 * np.maximum(np.abs(mean), 1.0), deviation, 1.0)
    return Numbers(fill.tolist(), flag.tolist(), mean.tolist(), scale.tolist())


def _columns(first: pd.DataFrame, domain: Domain) -> tuple[list[str], list[str]]:
    """Numeric and category columns, by type alone (of joined tables: the type in the first one)."""
    from pandas.api import types

    names: list[str] = []
    texts: list[str] = []
    for name in first.columns:
        if types.is_datetime64_any_dtype(first[name]):
            raise DataError(f"{domain.name}: column '{name}' holds dates; turn it into numbers (such as days) first")
        number = types.is_numeric_dtype(first[name]) and name not in domain.schema.categories
        (names if number else texts).append(str(name))
    return names, texts


def _numeric(table: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Numeric columns ``[n, d]`` float64, NaN where there is nothing."""
    columns = [_number_column(table[name]) for name in names]
    return np.stack(columns, axis=1) if columns else np.zeros((len(table), 0))


def _number_column(column: pd.Series) -> np.ndarray:
    """Cells that are empty or blank are missing; a word is an error, not a missing number."""
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    words = [cell for cell in column[np.isnan(values) & column.notna()] if str(cell).strip().lower() not in ("", "nan")]
    if words:
        raise DataError(
            f"column '{column.name}' holds numbers in the source, but {len(words)} of {len(column)} rows here do not, "
            f"such as {str(words[0])[:40]!r}; leave cells empty where the number is not known"
        )
    return values


def _categories(column: pd.Series) -> list[str]:
    """Categories as text: 1, 1.0 and "1" are one."""
    import pandas as pd

    codes, distinct = pd.factorize(column)
    texts = [canonical_one(value) or _MISSING for value in distinct]
    return [_MISSING if code < 0 else texts[code] for code in codes]


def _most_common(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_CATEGORIES]


def _one_hot(column: pd.Series, known: list[str]) -> np.ndarray:
    """``[n, len(known) + 1]``; the last slot is for everything else."""
    slots = {category: k for k, category in enumerate(known)}
    index = np.array([slots.get(text, len(known)) for text in _categories(column)], dtype=np.int64)
    return np.eye(len(known) + 1)[index]
