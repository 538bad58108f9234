"""Arrays as rows: NPZ and NPY files, svmlight, and arrays in memory."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from acclimate.domains.columns import check_texts
from acclimate.domains.domain import ArrayRows, Modality, Rows
from acclimate.domains.filesets import check_member
from acclimate.domains.labels import ABSURD, canonical_one, canonical_with_missing
from acclimate.domains.locator import column_of
from acclimate.domains.rows import ListRows
from acclimate.domains.tables import need_columns
from acclimate.errors import DataError

NPZ_BYTES = 4 << 30


@dataclass(frozen=True)
class NumberRows:
    """A numeric array ``[n, ...]`` of any type, in memory or mapped, given out as float32."""

    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: np.ndarray) -> np.ndarray:
        return np.asarray(self.values[index], dtype=np.float32)


class ArrayFile(Mapping[str, np.ndarray]):
    """The arrays of an NPZ file, each read when asked for; an NPY file is one array ``x``, memory-mapped."""

    def __init__(self, path: Path):
        self.path = path
        self._one = path.suffix.lower() == ".npy"
        self._held: dict[str, np.ndarray] = {}
        if not self._one:
            try:
                with zipfile.ZipFile(path) as archive:
                    for info in archive.infolist():
                        check_member(str(path), info.filename, info, allowed=NPZ_BYTES)
                    self._names = [name.removesuffix(".npy") for name in archive.namelist()]
            except (OSError, zipfile.BadZipFile) as error:
                raise DataError(f"{path}: not a readable NPZ file ({error})") from None
        else:
            self._names = ["x"]

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> np.ndarray:
        need_columns([name], self._names, str(self.path), "array")
        if name not in self._held:
            self._held[name] = self._read(name)
        return self._held[name]

    def _read(self, name: str) -> np.ndarray:
        try:
            if self._one:
                return np.load(self.path, mmap_mode="r", allow_pickle=False)
            with np.load(self.path, allow_pickle=False) as arrays:
                return np.asarray(arrays[name])
        except Exception as error:  # zlib.error, BadZipFile, EOFError, ValueError, tokenize errors of a broken header
            if "allow_pickle" in str(error):
                raise DataError(
                    f"{self.path}: array '{name}' holds Python objects, which can carry code; "
                    "save it as numbers or fixed-width strings. Rows of unequal length: pad them to one; of series "
                    "with NaN, or give a CSV with a row for each step and --group"
                ) from None
            raise DataError(f"{self.path}: array '{name}' cannot be read, broken or truncated ({error})") from None


class Columns(Protocol):
    """Anything that gives a column by its name: a frame, an NPZ file, the fields of files."""

    def __getitem__(self, name: str) -> Any: ...


def matching(columns: Columns, select: Mapping[str, Sequence[str]], where: str) -> np.ndarray | None:
    """Places of the rows where every column has one of its values; None where nothing is selected.

    Raises:
        DataError: no row is left; lists values that there are.
    """
    if not select:
        return None
    keep: Any = True
    for key, values in select.items():
        mask = selected(columns, {key: values})
        if not mask.any():
            some = sorted(set(canonical_with_missing(columns[column_of(key)])[0]))[:12]
            raise DataError(f"{where}: no row has {key}={' or '.join(values)}; values found: {', '.join(some)}")
        keep = keep & mask
    if not keep.any():
        raise DataError(f"{where}: no row fits all of {', '.join(select)}")
    return np.flatnonzero(keep)


def selected(columns: Columns, select: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Mask ``[n]`` of the rows where every column of ``select``, which is not empty, has one of its values, or none of
    them where the key says so (`locator.column_of`).
    """
    masks = []
    for key, values in select.items():
        wanted, name = {canonical_one(value) for value in values}, column_of(key)
        found = np.array([value in wanted for value in canonical_with_missing(columns[name])[0]], dtype=bool)
        masks.append(found if name == key else ~found)
    return np.logical_and.reduce(masks)


def array_rows(values: Any, modality: Modality | None, where: str) -> tuple[Rows, Modality]:
    """Rows of an array, and what they are: strings are texts, uint8 of three or four dimensions are images,
    numbers of two dimensions are arrays.

    Raises:
        DataError: the shape or type fits no modality, or fits two and none is given.
    """
    from scipy import sparse

    if sparse.issparse(values):
        _expect(modality, ("array",), where, "a sparse matrix")
        return ArrayRows(values.tocsr().astype(np.float32)), "array"
    values = np.asanyarray(values)
    if values.dtype.kind in "UOT" and values.ndim == 1:
        return _object_rows(values, modality, where)
    shape = "x".join(map(str, values.shape))
    if values.dtype.kind not in "biuf" or values.ndim < 2:
        raise DataError(f"{where}: an array of {shape} {values.dtype}; expected numbers [n, d], uint8 images or texts")
    pixels = values.ndim == 3 or (values.ndim == 4 and values.shape[3] in (1, 3))
    if modality == "image" or (modality is None and values.dtype == np.uint8 and pixels):
        return ListRows(_as_pixels(values, pixels, shape, where)), "image"
    if modality is None and values.ndim > 2:
        raise DataError(
            f"{where}: an array of {shape} {values.dtype} could be images or numbers; pass modality array, "
            "modality series for [n, channels, length], or modality image with uint8 values [n, height, width] or "
            "[n, height, width, 3]"
        )
    _expect(modality, ("array",), where, f"an array of {shape} {values.dtype}")
    return NumberRows(values), "array"


def _object_rows(values: np.ndarray, modality: Modality | None, where: str) -> tuple[Rows, Modality]:
    if all(isinstance(value, str) for value in values):
        _expect(modality, ("text",), where, "texts")
        check_texts(values, range(len(values)), where)
        return ListRows(values.astype(object)), "text"
    if all(isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim in (2, 3) for value in values):
        _expect(modality, ("image",), where, "images")
        return ListRows(values), "image"
    kinds = sorted({type(value).__name__ for value in values})
    raise DataError(f"{where}: holds {', '.join(kinds)}; expected texts, or uint8 images")


def _as_pixels(values: np.ndarray, pixels: bool, shape: str, where: str) -> np.ndarray:
    if not pixels:
        raise DataError(
            f"{where}: images of shape {shape}; expected [n, height, width] or [n, height, width, 1 or 3] "
            "(channels last)"
        )
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "biu" or values.min(initial=0) < 0 or values.max(initial=0) > 255:
        raise DataError(f"{where}: images of {values.dtype}; expected whole numbers 0 to 255 (uint8): scale them first")
    return values.astype(np.uint8)


def _expect(modality: Modality | None, fitting: tuple[Modality, ...], where: str, what: str) -> None:
    if modality is not None and modality not in fitting:
        raise DataError(f"{where}: {what} cannot be read as modality {modality}, only as {' or '.join(fitting)}")


def check_finite(values: Any, where: str, first_row: int = 0) -> None:
    """Raise a DataError where a number is NaN, infinite or beyond 1e30; names the first row."""
    numbers = values.data if hasattr(values, "tocsr") else values
    bad = ~(np.abs(numbers) <= ABSURD)
    if not bad.any():
        return
    if hasattr(values, "tocsr"):
        row = int(np.searchsorted(values.indptr, np.flatnonzero(bad)[0], side="right")) - 1
    else:
        row = int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
    raise DataError(
        f"{where}: row {first_row + row + 1} holds NaN, infinite or absurd numbers (beyond {ABSURD:g}); "
        "only a table (modality table) may have missing values"
    )


_FIRST = re.compile(rb"^[ \t]*([^\s#]+)", re.MULTILINE)


def parse_svmlight(data: bytes, features: int | None, where: str) -> tuple[Any, list[str]]:
    """A CSR matrix ``[n, d]`` float32 (indices count from 0) and the label of each row as text.

    The matrix is parsed from a copy without labels, so that nothing of them can matter where none are asked for.

    Raises:
        DataError: malformed, or wider than ``features``.
    """
    from sklearn.datasets import load_svmlight_file

    labels = _FIRST.findall(data)
    if not labels:
        raise DataError(f"{where}: no rows")
    try:
        matrix, _ = load_svmlight_file(
            io.BytesIO(_FIRST.sub(b"0", data)), n_features=features, dtype=np.float32, zero_based=True
        )
    except (ValueError, OverflowError) as error:
        if features is not None and "n_features" in str(error):
            raise DataError(f"{where}: has columns beyond features={features} ({error})") from None
        raise DataError(f"{where}: not svmlight ({error}); expected lines such as '1 0:2 17:0.5'") from None
    if not matrix.nnz:
        raise DataError(f"{where}: no row has a feature; expected lines such as '1 0:2 17:0.5'")
    return matrix.tocsr(), [label.decode("utf-8", "replace") for label in labels]
