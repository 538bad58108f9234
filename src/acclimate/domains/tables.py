"""Table files in chunks: CSV, TSV, JSONL, Parquet, Arrow. Every fault of a file is a DataError."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, AnyStr

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from acclimate import files
from acclimate.errors import DataError

TABLES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
ROW_BYTES = 32 << 20
"""A row of CSV or JSONL larger than this cannot be read."""
IN_MEMORY = 1 << 30
"""A Parquet or compressed Arrow file with more bytes of values is unpacked into the cache and memory-mapped."""
_FAULTS = (OSError, EOFError, ValueError, zlib.error, pa.ArrowException, csv.Error)


@contextmanager
def explained(where: str | Path) -> Iterator[None]:
    """Errors of readers become a DataError that names the file."""
    try:
        yield
    except DataError:
        raise
    except PermissionError:
        raise DataError(f"{where}: no permission to read it") from None
    except IsADirectoryError:
        raise DataError(f"{where}: is a folder, expected a file") from None
    except _FAULTS as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where}: cannot be read, broken or truncated ({text[:300]})") from None


def open_binary(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where its name ends in ``.gz``."""
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def lines(stream: IO[AnyStr], where: str | Path) -> Iterator[AnyStr]:
    """The lines of an open file.

    Raises:
        DataError: one is longer than any honest row.
    """
    while line := stream.readline(ROW_BYTES + 1):
        if len(line) > ROW_BYTES:
            raise DataError(f"{where}: a row is larger than {ROW_BYTES >> 20} MB, or a quote never ends")
        yield line


def suffix_of(path: Path) -> str:
    """The suffix that says the format, without ``.gz``, in lower case."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def check_utf8(path: Path) -> None:
    """Raise a DataError with line and byte offset where the file stops being UTF-8; nothing where it does not."""
    offset = 0
    with open_binary(path) as stream:
        for number, line in enumerate(lines(stream, path), 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                place = offset + error.start
                raise DataError(
                    f"{path}: line {number} is not UTF-8 (byte {place}: 0x{line[error.start]:02x}); "
                    "convert the file, for example with iconv -f latin1 -t utf8"
                ) from None
            offset += len(line)


class TableFile:
    """One table file: its columns, and its rows as frames of some of them.

    Frames of CSV and TSV hold the text of every cell; those of JSONL hold the JSON values; those of Parquet
    and Arrow hold the file's own types.
    """

    def __init__(self, path: Path):
        self.path = path
        self.format = TABLES[suffix_of(path)]
        self.is_text = self.format in ("csv", "tsv")
        with explained(path):
            self.columns = self._columns()
        doubles = sorted({c for c in self.columns if self.columns.count(c) > 1})
        if doubles:
            raise DataError(f"{path}: column names occur twice: {', '.join(doubles)}")
        if not self.columns:
            raise DataError(f"{path}: no columns; the file is empty")

    def need(self, columns: Sequence[str]) -> None:
        """Raise a DataError unless all columns exist."""
        need_columns(columns, self.columns, str(self.path))

    def chunks(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Frames of the columns, of whatever length the file gives."""
        reader = {"csv": self._csv, "tsv": self._csv, "jsonl": self._jsonl}.get(self.format, self._arrow)
        with explained(self.path):
            yield from reader(list(columns))

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The columns of a Parquet or Arrow file; memory-mapped where they are large."""
        with explained(self.path):
            if self.format == "arrow":
                compressed = self.path.stat().st_size > IN_MEMORY // 4 and _is_compressed(self.path)
                return self._spilled(columns) if compressed else _whole(self.path).select(list(columns))
            meta = pa.parquet.read_metadata(self.path)
            groups = [meta.row_group(g) for g in range(meta.num_row_groups)]
            wanted = {c.split(".")[0] for c in columns}
            size = sum(
                g.column(c).total_uncompressed_size
                for g in groups
                for c in range(g.num_columns)
                if g.column(c).path_in_schema.split(".")[0] in wanted
            )
            return self._spilled(columns) if size > IN_MEMORY else pa.parquet.ParquetFile(self.path).read(list(columns))

    def _columns(self) -> list[str]:
        if self.is_text:
            with open_binary(self.path) as stream:
                text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
                csv.field_size_limit(ROW_BYTES)
                try:
                    rows = csv.reader(lines(text, self.path), delimiter=self._delimiter)
                    return next((row for row in rows if row), [])
                except UnicodeDecodeError:
                    check_utf8(self.path)
                    raise
        if self.format == "jsonl":
            return list(dict.fromkeys(key for record in self._records() for key in record))
        if self.format == "parquet":
            return list(pa.parquet.read_schema(self.path).names)
        return list(_ipc(self.path).schema.names)

    @property
    def _delimiter(self) -> str:
        return "\t" if self.format == "tsv" else ","

    def _csv(self, columns: list[str]) -> Iterator[pd.DataFrame]:
        try:
            with pa.input_stream(str(self.path), compression="detect") as stream:
                reader = pa.csv.open_csv(
                    stream,
                    read_options=pa.csv.ReadOptions(block_size=ROW_BYTES, use_threads=False),
                    parse_options=pa.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                    convert_options=pa.csv.ConvertOptions(
                        include_columns=columns, column_types={c: pa.large_string() for c in columns}
                    ),
                )
                for batch in reader:
                    yield _frame(batch)
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error) or "UTF-8" in str(error):
                check_utf8(self.path)
            if "straddl" in str(error):
                raise DataError(
                    f"{self.path}: a row is larger than {ROW_BYTES >> 20} MB, or a quote never ends"
                ) from None
            raise

    def _records(self) -> Iterator[dict[str, Any]]:
        with open_binary(self.path) as stream:
            for number, line in enumerate(lines(stream, self.path), 1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except UnicodeDecodeError:
                    check_utf8(self.path)
                    raise
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{self.path}: line {number} is not JSON ({error})") from None
                if not isinstance(record, dict):
                    raise DataError(f"{self.path}: line {number} is not a JSON object with one value a column")
                yield record

    def _jsonl(self, columns: list[str], size: int = 16384) -> Iterator[pd.DataFrame]:
        held: list[list[Any]] = []
        for record in self._records():
            held.append([record.get(c) for c in columns])
            if len(held) == size:
                yield _objects(held, columns)
                held = []
        if held:
            yield _objects(held, columns)

    def _arrow(self, columns: list[str]) -> Iterator[pd.DataFrame]:
        if self.format == "parquet":
            with pa.parquet.ParquetFile(self.path, memory_map=True) as source:
                yield from map(_frame, source.iter_batches(batch_size=16384, columns=columns))
        else:
            yield from (_frame(batch.select(columns)) for batch in _batches(_ipc(self.path)))

    def _spilled(self, columns: Sequence[str]) -> pa.Table:
        """The columns unpacked into an uncompressed Arrow file of the cache, memory-mapped."""
        state = self.path.stat()
        key = repr((str(self.path.resolve()), state.st_size, state.st_mtime_ns, list(columns)))
        cached = files.cache_folder("arrow", blake2b(key.encode(), digest_size=16).hexdigest() + ".arrow")
        if not cached.exists():
            with files.writing(cached) as part:
                if self.format == "parquet":
                    source = pa.parquet.ParquetFile(self.path)
                    schema = pa.schema([source.schema_arrow.field(c) for c in columns])
                    batches: Iterator[pa.RecordBatch] = source.iter_batches(batch_size=16384, columns=list(columns))
                else:
                    reader = _ipc(self.path)
                    schema = pa.schema([reader.schema.field(c) for c in columns])
                    batches = (batch.select(list(columns)) for batch in _batches(reader))
                with pa.ipc.new_file(str(part), schema) as writer:
                    for batch in batches:
                        writer.write_batch(batch.cast(schema))
        return _whole(cached)


def need_columns(columns: Sequence[str], found: Sequence[str], where: str, kind: str = "column") -> None:
    """Raise a DataError for a column (array, field) that is not there; names the nearest, and all that are."""
    for column in columns:
        if column not in found:
            near = get_close_matches(column, found, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'? " if near else ""
            if (parts := [part.strip() for part in column.split(",")])[1:] and set(parts) <= set(found):
                hint = "name each by itself, as in --input A --input B; "
            raise DataError(f"{where}: no {kind} '{column}'; {hint}{kind}s found: {', '.join(dict.fromkeys(found))}")


def _frame(batch: pa.RecordBatch) -> pd.DataFrame:
    return batch.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)


def _objects(rows: list[list[Any]], columns: list[str]) -> pd.DataFrame:
    values = list(zip(*rows, strict=True))
    return pd.DataFrame({c: pd.Series(v, dtype=object) for c, v in zip(columns, values, strict=True)}, columns=columns)


def _ipc(path: Path) -> Any:
    """A reader of an Arrow file or stream, memory-mapped."""
    source = pa.memory_map(str(path))
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    """The batches of a reader, each one checked: a broken file may hold offsets that lead out of its buffers."""
    found = (reader.get_batch(i) for i in range(reader.num_record_batches)) if hasattr(reader, "get_batch") else reader
    for batch in found:
        batch.validate(full=True)
        yield batch


def _whole(path: Path) -> pa.Table:
    reader = _ipc(path)
    return pa.Table.from_batches(_batches(reader), schema=reader.schema)


def _is_compressed(path: Path) -> bool:
    """Whether reading a mapped file has to allocate memory for its values."""
    before = pa.total_allocated_bytes()
    first = next(_batches(_ipc(path)), None)
    return first is not None and pa.total_allocated_bytes() - before > first.nbytes // 2
