"""Rows of every kind of source, read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.domains.audio import decode_audio
from acclimate.domains.domain import Domain, Joined, Modality, Rows, Subset
from acclimate.domains.images import decode_image
from acclimate.domains.labels import row_name
from acclimate.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from acclimate.domains.filesets import FileSet


BLOCK = 4096
"""Texts that are taken together."""


@dataclass(frozen=True)
class ListRows:
    """Texts or images held in memory: an object array ``[n]``, or images of one size as a uint8 array
    ``[n, height, width]`` or ``[n, height, width, channels]``; ``numbers`` of the rows in their file, if some are left
    out.
    """

    values: np.ndarray
    numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: np.ndarray) -> list[Any]:
        return list(self.values[index])

    def place(self, index: int) -> str:
        return row_name(index if self.numbers is None else self.numbers[index])


@dataclass(frozen=True)
class FrameRows:
    """Typed columns held in memory."""

    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, index: np.ndarray) -> pd.DataFrame:
        return self.frame.take(index).reset_index(drop=True)

    def place(self, index: int) -> str:
        return row_name(self.frame.index[index])


@dataclass(frozen=True)
class ArrowRows:
    """Columns of an Arrow table, which may be memory-mapped and larger than memory."""

    table: pa.Table
    modality: Modality
    where: str
    categories: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def _parts(self) -> tuple[list[Any], np.ndarray]:
        batches = self.table.to_batches()
        return batches, np.cumsum([0, *(len(batch) for batch in batches)])

    def raw(self, index: np.ndarray) -> pd.DataFrame:
        """The rows as the file's own types; the frame's index is the row's place in the file."""
        import pandas as pd
        import pyarrow as pa

        # Batch by batch: taking from a chunked column may copy all of it.
        batches, starts = self._parts
        index = np.asarray(index)
        order = np.argsort(index, kind="stable")
        owner = np.searchsorted(starts, index[order], side="right") - 1
        pieces = [batches[k].take(pa.array(index[order][owner == k] - starts[k])) for k in np.unique(owner)]
        table = pa.Table.from_batches(pieces, schema=self.table.schema)
        frame = table.take(pa.array(np.argsort(order))).to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
        frame.index = pd.Index(index)
        return frame

    def take(self, index: np.ndarray) -> Any:
        from acclimate.domains.columns import texts, typed

        frame = self.raw(index)
        if self.modality == "text":
            return list(texts(frame, self.where))
        if self.modality == "table":
            return typed(frame, from_text=False, where=self.where, categories=self.categories).reset_index(drop=True)
        name = frame.columns[0]
        places = [f"{self.where}: column '{name}', row {i + 1}" for i in frame.index]
        return [decode(cell_bytes(v, at), self.modality, at) for v, at in zip(frame[name], places, strict=True)]


@dataclass(frozen=True)
class FileRows:
    """Files of a folder or zip: images, texts or sounds."""

    files: FileSet
    names: Sequence[str] = field(repr=False)
    modality: Modality

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: np.ndarray) -> list[Any]:
        return [decode(self.files.read(n), self.modality, f"{self.files.where}/{n}") for n in self._names(index)]

    def _names(self, index: np.ndarray) -> list[str]:
        return [self.names[int(i)] for i in np.asarray(index)]


@dataclass(frozen=True)
class SentenceRows:
    """Texts as features of their sentences: ``take`` gives of every text the features and places of its sentences.

    Attributes:
        values: features ``[m, d]`` of all sentences, those of a text together.
        starts: ``[n + 1]``, where those of each text begin.
        places: ``[m, 2]``, the characters from which to which each reaches.
        texts: the rows as they were.
    """

    values: Any
    starts: np.ndarray
    places: np.ndarray
    texts: Rows

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, index: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        own = [slice(self.starts[row], self.starts[row + 1]) for row in np.asarray(index)]
        return [(np.asarray(self.values[part], dtype=np.float32), self.places[part]) for part in own]


def texts_of(rows: Rows) -> list[str]:
    """The texts of rows, also of those whose features are read in their place."""
    if isinstance(rows, Subset):
        whole = rows.rows.texts if isinstance(rows.rows, SentenceRows) else rows.rows
        rows = Subset(whole, rows.index)
    elif isinstance(rows, SentenceRows):
        rows = rows.texts
    blocks = (np.arange(k, min(k + BLOCK, len(rows))) for k in range(0, len(rows), BLOCK))
    return [text for block in blocks for text in rows.take(block)]


def name_of(rows: Rows, index: int) -> str | None:
    """The file that a row came from; None where rows are not files of their own."""
    if isinstance(rows, Subset):
        return name_of(rows.rows, int(rows.index[index]))
    if isinstance(rows, Joined):
        for part in rows.parts:
            if index < len(part):
                return name_of(part, index)
            index -= len(part)
    return f"{rows.files.where}/{rows.names[index]}" if isinstance(rows, FileRows) else None


def place_of(domain: Domain, index: int) -> str:
    """A row for people: its file, or the data and which row there, counted from 1."""
    if (name := name_of(domain.rows, index)) is not None:
        return name
    rows, name = domain.rows, domain.name
    while True:
        if isinstance(rows, Subset):
            index, rows = int(rows.index[index]), rows.rows
        elif isinstance(rows, Joined):
            ends = np.cumsum([len(part) for part in rows.parts])
            part = int(np.searchsorted(ends, index, side="right"))
            names = name.split(" + ")
            name = names[part] if len(names) == len(ends) else name
            index, rows = index - int(ends[part]) + len(rows.parts[part]), rows.parts[part]
        else:
            return f"{name}, {row_of(rows, index)}"


def row_of(rows: Rows, index: int) -> str:
    """Which row of its file, or which window of series, counted from 1."""
    if isinstance(rows, Subset):
        return row_of(rows.rows, int(rows.index[index]))
    place = getattr(rows, "place", None)
    return row_name(index) if place is None else place(index)


def check_texts_with_labels(domain: Domain, look: Callable[[str, str], object]) -> None:
    """Call ``look`` with each text and its label; a DataError that it raises is said to be of that row."""
    assert domain.labels is not None
    for row, (text, label) in enumerate(zip(texts_of(domain.rows), domain.labels, strict=True)):
        try:
            look(text, label)
        except DataError as error:
            raise DataError(f"{place_of(domain, row)}: {error}") from None


def decode(data: bytes, modality: Modality, where: str) -> Any:
    """The example behind a file's bytes.

    Raises:
        DataError: broken content; names the file.
    """
    if modality == "image":
        return decode_image(data, where)
    if modality == "audio":
        return decode_audio(data, where)
    return decode_text(data, where)


def decode_text(data: bytes, where: str, allowed: int | None = None) -> str:
    """UTF-8 text, without a byte order mark.

    Raises:
        DataError: not UTF-8 (line and byte), or more than the ``allowed`` bytes (10 MB).
    """
    from acclimate.domains.columns import TEXT_BYTES

    allowed = allowed or TEXT_BYTES
    if len(data) > allowed:
        raise DataError(f"{where}: a text of {len(data):,} bytes; at most {allowed:,} are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where}: line {line} is not UTF-8 (byte {error.start}: 0x{data[error.start]:02x})") from None


def cell_bytes(value: Any, where: str) -> bytes:
    """The file that a cell holds: bytes, or the ``{"bytes": ..., "path": ...}`` of Hugging Face data sets."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise DataError(f"{where}: holds no file content (its bytes are not in the table)")
    return data
