"""Reading a domain from wherever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.domain import MODALITIES, Domain, Modality, Schema, Shapes
from acclimate.domains.locator import parse
from acclimate.domains.request import Request
from acclimate.errors import DataError, SettingsError, unknown


def read(
    source: Any,
    *,
    input: str | Sequence[str] | None = None,
    label: str | bool | None = None,
    group: str | None = None,
    modality: Modality | None = None,
    exclude: Sequence[str] = (),
    name: str | None = None,
    partial: bool = False,
    optional: Sequence[str] = (),
    like: Schema | None = None,
    structured: bool = False,
    shapes: Shapes = "",
    sensitive: Sequence[str] = (),
) -> Domain:
    """Read a domain. Labels are loaded only where ``label`` asks for them.

    Args:
        source: a locator (``file?key=value``, see `Locator`), a pandas DataFrame, a NumPy or SciPy sparse array
            ``[n, ...]``, a pair ``(inputs, labels)``, a list of texts, images, dicts or paths of files, a Hugging Face
            ``datasets.Dataset``, or a Domain (its rows stay as they are; it may get another ``name``).
        input: of tables: a column, several, or ``"*"``: all but label, group, ``exclude``, the columns that
            the locator selects by, and row numbers that pandas wrote. Of NPZ: the array, where the locator has no
            ``x=``.
        label: of tables: the column. Of NPZ: any name; the array is the locator's ``y=``, else the one of this
            name, else ``y``. Of files: a field of the name pattern or the metadata; ``label`` is the folder right
            above the file. Of svmlight and of pairs: any name. True stands for ``label``.
        group: column, array or field whose values must stay together in a split.
        modality: needed only where the data could be two things.
        exclude: columns that ``"*"`` leaves out.
        name: of the domain, for people; default: file name and selection.
        partial: rows may lack a label; theirs is None.
        optional: input columns of a table that it may lack, as long as it has one of those named.
        like: the schema of another table, whose columns of categories are read as categories here too, also where
            all their cells look like numbers ("01234") or like nothing ("None").
        structured: of tables: a label may be a list or a mapping (the answers to a question), which is kept as JSON.
        shapes: of files: images have ``masks`` or ``boxes`` in files beside them, which are no rows. The label is then
            the folder of masks (``masks``: the only one there is), or ``boxes``.

        sensitive: of tables: columns of the groups of people that results are told apart by, kept beside the rows; no
            inputs unless ``input`` names them one by one.

    Raises:
        DataError: anything missing or broken in the data, with the place.
        MissingAssetError: an extra that the format needs.
    """
    if isinstance(source, Domain):
        for what, wish, held in (("label", label, source.labels), ("group", group, source.groups)):
            if wish and held is None:
                raise DataError(f"{source.name}: no {what}s; read it again with {what}=")
        return source if name is None else replace(source, name=name)
    if modality is not None and modality not in MODALITIES:
        raise SettingsError(unknown("modality", str(modality), MODALITIES))
    inputs = (input,) if isinstance(input, str) else None if input is None else tuple(input)
    if inputs == ():
        raise SettingsError("input names no column")
    asked = "label" if label is True else label or None
    wanted = Request(
        inputs, asked, group, modality, tuple(exclude), partial, structured, shapes, frozenset(optional), like
    )
    wanted = replace(wanted, sensitive=tuple(sensitive))
    domain = _located(source, wanted) if isinstance(source, (str, Path)) else _in_memory(source, wanted)
    if wanted.sensitive and not domain.sensitive:
        raise DataError(f"{domain.name}: sensitive columns are those of tables; these rows have none")
    return domain if name is None else replace(domain, name=name)


def _located(source: str | Path, wanted: Request) -> Domain:
    locator = parse(source)
    if locator.on_hub:
        from acclimate.domains.hub import load_hub, read_dataset

        return read_dataset(load_hub(locator), wanted, locator)
    path = locator.existing()
    from acclimate.domains import from_arrays, from_files, from_tables
    from acclimate.domains.tables import TABLES, suffix_of

    suffix = suffix_of(path)
    if wanted.modality == "series" and suffix in (*TABLES, ".npz", ".npy"):
        from acclimate.domains import from_series

        return (from_series.read_table if suffix in TABLES else from_series.read_arrays)(locator, path, wanted)
    if path.is_dir():
        return from_files.read_files(locator, path, wanted)
    if suffix in TABLES:
        return from_tables.read_table(locator, path, wanted)
    if suffix in (".npz", ".npy"):
        return from_arrays.read_arrays(locator, path, wanted)
    if suffix in from_arrays.SVMLIGHT:
        return from_arrays.read_svmlight(locator, path, wanted)
    if suffix == ".zip":
        if from_arrays.holds_svmlight(locator, path):
            return from_arrays.read_svmlight(locator, path, wanted)
        return from_files.read_files(locator, path, wanted)
    if from_files.is_one_file(path):
        return from_files.read_files(locator, path, wanted)
    raise DataError(
        f"{path}: unknown format '{suffix or path.name}'; known: csv, tsv, jsonl (each also .gz), parquet, arrow, "
        "npz, npy, svmlight, zip, and folders of images, texts or sounds"
    )


def _in_memory(source: Any, wanted: Request) -> Domain:
    import pandas as pd
    from scipy import sparse

    from acclimate.domains import from_arrays, from_tables

    if isinstance(source, pd.DataFrame):
        if wanted.modality == "series":
            from acclimate.domains import from_series

            return from_series.read_frame(source, wanted)[1]
        return from_tables.read_frame(source, wanted)
    if isinstance(source, tuple) and len(source) == 2:
        return from_arrays.read_pair(source[0], source[1], wanted)
    if isinstance(source, np.ndarray) or sparse.issparse(source):
        return from_arrays.read_pair(source, None, wanted)
    if isinstance(source, pd.Series):
        return from_arrays.read_pair(source.to_numpy(dtype=object), None, wanted)
    if isinstance(source, list) and source and all(isinstance(row, dict) for row in source):
        return from_tables.read_frame(pd.DataFrame(source), wanted)
    if isinstance(source, list):
        return from_arrays.read_pair(source, None, wanted)
    if type(source).__module__.startswith("datasets."):
        from acclimate.domains.hub import read_dataset

        return read_dataset(source, wanted)
    raise DataError(
        f"cannot read a domain from {type(source).__name__}; expected a path, DataFrame, array, pair of arrays, "
        "list of texts or images, datasets.Dataset or Domain"
    )
