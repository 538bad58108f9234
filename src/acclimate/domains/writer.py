"""Writing frames one after the other into a file that is whole or absent."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from acclimate import files
from acclimate.domains.tables import TABLES, suffix_of
from acclimate.errors import DataError, SettingsError

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


class FrameWriter:
    """Writes CSV, TSV, JSONL (each also ``.gz``), Parquet or Arrow, by the name's ending.

    The file takes its name when the block ends well; otherwise nothing is left. In CSV and TSV, text cells that a
    spreadsheet would run as a formula (they start with ``= + - @``) get a leading ``'``, numbers excepted. Parquet
    and Arrow take the column types of the first frame.

    Example:
        with FrameWriter("answers.parquet") as out:
            out.write(frame)

    Raises:
        SettingsError: the ending names no known format.
        AcclimateError: the file cannot be written (full disk, no permission).
        DataError: a later frame does not fit the first one's columns and types; or none was written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.format = TABLES.get(suffix_of(self.path))
        self._packed = self.path.name.lower().endswith(".gz")
        if self.format is None or (self._packed and self.format in ("parquet", "arrow")):
            raise SettingsError(
                f"cannot write '{self.path.name}': name it .csv, .tsv, .jsonl (each also .gz), .parquet or .arrow"
            )
        self._stack = ExitStack()
        self._columns: list[str] | None = None
        self._text: IO[str]
        self._binary: Any = None
        self._schema: pa.Schema

    @property
    def typed(self) -> bool:
        """Whether the format holds types, so that every frame must have the same ones."""
        return self.format in ("parquet", "arrow")

    def __enter__(self) -> FrameWriter:
        self._part = self._stack.enter_context(files.writing(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._columns is None:
            error = DataError(f"{self.path}: there are no rows to write")
            self._stack.__exit__(type(error), error, None)
            raise error
        self._stack.__exit__(kind, error, trace)

    def write(self, frame: pd.DataFrame) -> None:
        """Append the rows of a frame, whose columns are those of the first."""
        first = self._columns is None
        if first:
            self._columns = [str(c) for c in frame.columns]
        elif [str(c) for c in frame.columns] != self._columns:
            raise DataError(f"{self.path}: columns changed from {self._columns} to {list(frame.columns)}")
        if self.typed:
            self._write_arrow(frame, first)
            return
        if first:
            self._text = self._open_text()
        if self.format == "jsonl":
            self._write_jsonl(frame)
        else:
            self._write_csv(frame, first)

    def _open_text(self) -> IO[str]:
        raw: Any = self._stack.enter_context(self._part.open("wb"))
        if self._packed:
            raw = self._stack.enter_context(gzip.GzipFile("", "wb", fileobj=raw, mtime=0))
        return self._stack.enter_context(io.TextIOWrapper(raw, encoding="utf-8", errors="replace", newline=""))

    def _write_csv(self, frame: pd.DataFrame, header: bool) -> None:
        out = csv.writer(self._text, delimiter="\t" if self.format == "tsv" else ",", lineterminator="\n")
        if header:
            out.writerow([_safe(c) for c in self._columns or ()])
        out.writerows(zip(*([_cell(v) for v in frame[c].tolist()] for c in frame.columns), strict=True))

    def _write_jsonl(self, frame: pd.DataFrame) -> None:
        names = self._columns or []
        for row in zip(*(frame[c].tolist() for c in frame.columns), strict=True):
            record = {name: _json_value(value) for name, value in zip(names, row, strict=True)}
            self._text.write(json.dumps(record, ensure_ascii=False, default=_plain) + "\n")

    def _write_arrow(self, frame: pd.DataFrame, first: bool) -> None:
        try:
            if first:
                self._schema = _schema(frame)
            table = pa.Table.from_pandas(frame, schema=self._schema, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError, KeyError) as error:
            raise DataError(f"{self.path}: values do not fit the column types of the first rows ({error})") from None
        if first:
            kind = pa.parquet.ParquetWriter if self.format == "parquet" else pa.ipc.new_file
            self._binary = self._stack.enter_context(kind(str(self._part), self._schema))
        self._binary.write_table(table.replace_schema_metadata(None))


def _schema(frame: pd.DataFrame) -> pa.Schema:
    """The frame's types without pandas' own notes; a column without any value is one of text."""
    found = pa.Schema.from_pandas(frame, preserve_index=False).remove_metadata()
    return pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in found])


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return _safe(value)
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return value


def _safe(text: str) -> str:
    if not text.startswith(_DANGEROUS):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _json_value(value: Any) -> Any:
    if value is pd.NA or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def _plain(value: Any) -> Any:
    """What JSON cannot hold: NumPy values as Python's, anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
