"""Domains from arrays: NPZ and NPY files, svmlight, arrays and lists in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from acclimate.domains.arrays import ArrayFile, array_rows, matching, parse_svmlight
from acclimate.domains.domain import Domain, Modality, Rows, Schema, Subset
from acclimate.domains.filesets import BOMB_BYTES, BOMB_RATIO, ZipFiles
from acclimate.domains.from_files import are_paths, read_paths
from acclimate.domains.labels import canonical
from acclimate.domains.locator import Locator, column_of
from acclimate.domains.request import Request, checked_ids, finish, said
from acclimate.domains.tables import explained, open_binary, suffix_of
from acclimate.errors import DataError, SettingsError

CLASS_NAMES = "class_names"
"""The array of an NPZ that names the classes of ``y``."""
SVMLIGHT = (".svmlight", ".libsvm", ".svm")


def read_arrays(locator: Locator, path: Path, wanted: Request) -> Domain:
    """A domain from an NPZ or NPY file."""
    arrays = named_classes(ArrayFile(path))
    where = str(path)
    x = locator.one("x") or input_array(wanted, arrays)
    rows, modality = array_rows(arrays[x], _array_modality(wanted.modality), f"{where}: array '{x}'")
    select = locator.rows("x", "y")
    for key in map(column_of, select):
        same_length(arrays[key], len(rows), f"{where}: array '{key}'")
    keep = matching(arrays, select, where)
    label = None if wanted.label is None else locator.one("y") or label_array(wanted.label, arrays)

    def side(name: str | None, what: str, partial: bool = False) -> np.ndarray | None:
        if name is None:
            return None
        values = same_length(arrays[name], len(rows), f"{where}: array '{name}'")
        return canonical(values if keep is None else values[keep], f"{where}: {what} '{name}'", partial)

    schema = Schema(modality, (), label, wanted.group)
    labels, groups = side(label, "label", wanted.partial), side(wanted.group, "group")
    return _domain(rows, keep, schema, wanted, where, locator, labels, groups)


class NamedClasses(Mapping[str, np.ndarray]):
    """The arrays of a file whose classes have names: the whole numbers of ``y`` are places in ``class_names``."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self._arrays = arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> np.ndarray:
        values = self._arrays[name]
        if name != "y" or values.dtype.kind not in "iu" or values.size == 0:
            return values
        names = self._arrays[CLASS_NAMES]
        fits = names.ndim == 1 and names.dtype.kind in "UO" and values.min() >= 0 and values.max() < len(names)
        return names[values] if fits else values


def named_classes(arrays: ArrayFile) -> Mapping[str, np.ndarray]:
    """The arrays of a file, classes by their names where it has an array ``class_names`` of texts."""
    return NamedClasses(arrays) if CLASS_NAMES in arrays else arrays


def input_array(wanted: Request, arrays: Mapping[str, Any]) -> str:
    """The array that holds the inputs."""
    if wanted.input and len(wanted.input) > 1:
        raise SettingsError(f"an NPZ file has one array of inputs, found {', '.join(wanted.input)}")
    if wanted.input and wanted.input != ("*",):
        return wanted.input[0]
    return "x"


def label_array(label: str, arrays: Mapping[str, Any]) -> str:
    """The array that holds the labels."""
    return label if label in arrays or label not in ("label", "y") else "y"


def _array_modality(modality: Modality | None) -> Modality | None:
    return "array" if modality == "table" else modality


def same_length(values: np.ndarray, n: int, where: str) -> np.ndarray:
    """One value for each row ``[n]``.

    Raises:
        DataError: of another shape.
    """
    if values.ndim == 0 or len(values) != n or values.size != n:
        raise DataError(f"{where} has shape {list(values.shape)}, expected one value for each of {n} rows")
    return values.reshape(n)


def holds_svmlight(locator: Locator, path: Path) -> bool:
    """Whether a zip is one of svmlight files."""
    return "member" in locator.select or all(name.endswith(SVMLIGHT) for name in ZipFiles(path).names)


def read_svmlight(locator: Locator, path: Path, wanted: Request) -> Domain:
    """A domain from an svmlight file, or from ``member=`` of a zip of them."""
    others = locator.rows("features", "member")
    if others:
        raise SettingsError(f"{locator}: svmlight has no columns to select by ({', '.join(others)})")
    data, where = _svmlight_bytes(locator, path)
    matrix, tokens = parse_svmlight(data, _features(locator), where)
    rows, modality = array_rows(matrix, _array_modality(wanted.modality), where)
    labels = None if wanted.label is None else canonical(tokens, f"{where}: labels")
    return _domain(rows, None, Schema(modality, (), wanted.label), wanted, where, locator, labels, None)


def _svmlight_bytes(locator: Locator, path: Path) -> tuple[bytes, str]:
    if suffix_of(path) != ".zip":
        return _unpacked(path), str(path)
    archive = ZipFiles(path)
    asked = locator.select.get("member", ())
    by_name = {alias: name for name in archive.names for alias in (name, str(PurePosixPath(name).with_suffix("")))}
    if not archive.names:
        raise DataError(f"{path}: the zip is empty")
    if not asked and len(archive.names) == 1:
        asked = (archive.names[0],)
    lost = [member for member in asked if member not in by_name]
    if lost or not asked:
        fault = f"no member '{lost[0]}'" if lost else "several members; choose with ?member="
        raise DataError(f"{path}: {fault}; members: {', '.join(archive.names)}")
    parts = [archive.read(by_name[member]) for member in asked]
    return b"".join(part if part.endswith(b"\n") else part + b"\n" for part in parts), f"{path}: {', '.join(asked)}"


def _unpacked(path: Path) -> bytes:
    """The bytes of a file that may be a gz; what grows too much is refused before memory is full."""
    with explained(path), open_binary(path) as stream:
        data, allowed = bytearray(), max(BOMB_BYTES, BOMB_RATIO * path.stat().st_size)
        while block := stream.read(1 << 20):
            data += block
            if len(data) > allowed:
                raise DataError(f"{path}: grows to more than {allowed:,} bytes (a decompression bomb?); refused")
    return bytes(data)


def _features(locator: Locator) -> int | None:
    text = locator.one("features")
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{locator}: features={text}; expected the number of columns")
    return int(text)


def read_pair(inputs: Any, labels: Any, wanted: Request) -> Domain:
    """A domain from inputs in memory, and labels that are looked at only where ``label`` asks for them."""
    import pandas as pd

    if isinstance(inputs, pd.DataFrame):
        return _frame_pair(inputs, labels, wanted)
    if are_paths(inputs):
        if labels is None:
            return read_paths(inputs, wanted)
        return _labelled(read_paths(inputs, replace(wanted, label=None)), labels, wanted, "list of files")
    if isinstance(inputs, (list, tuple)):
        inputs = _as_object_array(inputs)
    if wanted.modality == "molecule":
        smiles = _numbered_columns(np.asarray(inputs, dtype=object)[:, None])
        return _frame_pair(smiles, labels, replace(wanted, input=("x0",), strict=True))
    where = "list" if getattr(inputs, "dtype", None) == np.dtype(object) else "array"
    if wanted.modality == "table":
        return _frame_pair(_numbered_columns(inputs), labels, wanted)
    if wanted.modality == "series":
        from acclimate.domains.from_series import read_stack

        return _labelled(read_stack(inputs, replace(wanted, label=None)), labels, wanted, where)
    rows, modality = array_rows(inputs, wanted.modality, where)
    if wanted.group is not None:
        raise DataError(f"{where}: has no column '{wanted.group}' for group; give a DataFrame instead")
    found = _pair_labels(labels, len(rows), where, wanted.partial) if wanted.label else None
    return _domain(rows, None, Schema(modality, (), wanted.label), wanted, where, None, found, None)


def _pair_labels(labels: Any, n: int, where: str, partial: bool) -> np.ndarray:
    if labels is None:
        raise DataError(f"{where}: a label is asked for, but there are inputs only; give a pair (inputs, labels)")
    found = canonical(labels, f"{where}: labels", partial)
    if len(found) != n:
        raise DataError(f"{where}: {n} inputs, but {len(found)} labels")
    return found


def _frame_pair(inputs: Any, labels: Any, wanted: Request) -> Domain:
    """Inputs in a DataFrame with labels beside it."""
    from acclimate.domains.from_tables import read_frame

    domain = read_frame(inputs, replace(wanted, input=wanted.input or ("*",), label=None))
    return _labelled(domain, labels, wanted, "DataFrame")


def _labelled(domain: Domain, labels: Any, wanted: Request, where: str) -> Domain:
    """The domain with the labels beside it, if they are asked for."""
    if wanted.label is None:
        return domain
    found = _pair_labels(labels, len(domain), where, wanted.partial)
    return replace(domain, labels=found, schema=replace(domain.schema, label=wanted.label))


def _numbered_columns(inputs: Any) -> Any:
    import pandas as pd

    values = np.asarray(inputs)
    if values.ndim != 2:
        raise DataError(f"array: a table has two dimensions, found {values.ndim}")
    return pd.DataFrame({f"x{i}": values[:, i] for i in range(values.shape[1])})


def _as_object_array(items: Any) -> np.ndarray:
    """A list of texts, or of images given as arrays or Pillow images; nested lists of numbers become an array."""
    if items and all(isinstance(item, (list, tuple, int, float)) for item in items):
        try:
            return np.asarray(items, dtype=np.float64)
        except (ValueError, TypeError):
            raise DataError("list: rows of numbers must have the same length") from None
    result = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        result[i] = _pixels(item) if hasattr(item, "convert") and hasattr(item, "size") else item
    return result


def _pixels(image: Any) -> np.ndarray:
    from acclimate.domains.images import to_pixels

    return to_pixels(image)


def _domain(
    rows: Rows,
    keep: np.ndarray | None,
    schema: Schema,
    wanted: Request,
    where: str,
    locator: Locator | None,
    labels: np.ndarray | None,
    groups: np.ndarray | None,
) -> Domain:
    kept = rows if keep is None else Subset(rows, keep)
    if not len(kept):
        raise DataError(f"{where}: no rows")
    return finish(
        kept,
        checked_ids(kept, schema.modality, where),
        schema,
        name=where if locator is None else locator.name,
        labels=labels,
        groups=groups,
        locator=locator,
        notes=said(schema.modality, _reason(kept, schema.modality), wanted.modality is not None),
    )


def _reason(rows: Rows, modality: Modality) -> str:
    first = rows.take(np.arange(1))
    if modality == "text":
        return "a list of texts"
    if modality == "image":
        return f"whole numbers 0 to 255, {'x'.join(map(str, first[0].shape))} an image"
    return f"numbers, {'x'.join(map(str, first.shape[1:]))} a row"
