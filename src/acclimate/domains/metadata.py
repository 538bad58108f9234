"""``metadata.csv`` and ``metadata.jsonl`` beside files: one row a file, found by its column ``file_name``."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acclimate.domains.filesets import FileSet
from acclimate.domains.locator import METADATA
from acclimate.domains.rows import decode_text
from acclimate.errors import DataError

METADATA_BYTES = 256 << 20
"""A larger metadata file is refused."""


@dataclass(frozen=True)
class Metadata:
    """Fields of files: the metadata files with the rows that each holds. Values are parsed on demand.

    Attributes:
        where: the folder or zip.
        rows: record of each file, by the file's name.
        columns: the fields that there are.
        notes: for people.
    """

    where: str
    rows: dict[str, dict[str, object]]
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def listed(self, names: Sequence[str]) -> list[str]:
        """The names that the metadata list; all where there are no metadata.

        Raises:
            DataError: a listed file is not there.
        """
        if not self.rows:
            return list(names)
        there = set(names)
        lost = [name for name in self.rows if name not in there]
        if lost:
            raise DataError(f"{self.where}: the metadata list {lost[0]}, which is not there ({len(lost)} such files)")
        return [name for name in names if name in self.rows]

    def values(self, field: str, names: Sequence[str]) -> np.ndarray:
        """A field of each file ``[n]``, None where its record has none."""
        return np.array([self.rows[name].get(field) for name in names], dtype=object)


def find_metadata(files: FileSet, names: Sequence[str], prefixes: tuple[str, ...] = ("",)) -> Metadata:
    """The metadata among the names, of the files whose names begin with one of the prefixes.

    Raises:
        DataError: malformed, without the column ``file_name``, or a file is listed twice.
    """
    rows: dict[str, dict[str, object]] = {}
    columns: dict[str, None] = {}
    found: dict[str, None] = {}
    for name in names:
        if posixpath.basename(name) not in METADATA:
            continue
        where = f"{files.where}/{name}"
        text = decode_text(files.read(name), where, METADATA_BYTES)
        for record in _csv(text, where) if name.endswith(".csv") else _jsonl(text, where):
            listed = record.pop("file_name", None)
            if not isinstance(listed, str):
                raise DataError(f"{where}: expected a column file_name; columns found: {', '.join(record)}")
            file = posixpath.normpath(posixpath.join(posixpath.dirname(name), listed))
            if not file.startswith(prefixes):
                continue
            if file in rows:
                raise DataError(f"{where}: {file} is listed twice in the metadata; keep one of its rows")
            columns.update(dict.fromkeys(record))
            found[name] = None
            rows[file] = record
    notes = (f"only the files that {', '.join(found)} list are rows",) if rows else ()
    return Metadata(files.where, rows, tuple(columns), notes)


def _csv(text: str, where: str) -> list[dict[str, object]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="")
        records: list[dict[str, object]] = [dict(record) for record in reader]
    except csv.Error as error:
        raise DataError(f"{where}: not CSV ({error})") from None
    for i, record in enumerate(records):
        if "" in record and isinstance(record[""], list):
            raise DataError(f"{where}: row {i + 1} has more cells than the header")
    return records


def _jsonl(text: str, where: str) -> list[dict[str, object]]:
    records = []
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines(): JSON strings may hold U+2028
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: line {number} is not JSON ({error})") from None
        if not isinstance(record, dict):
            raise DataError(f"{where}: line {number} is not a JSON object")
        records.append(record)
    return records
