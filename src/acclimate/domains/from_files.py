"""Domains from folders and zips of image, text or sound files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from acclimate.domains import filesets, ids, images
from acclimate.domains.arrays import matching
from acclimate.domains.domain import Domain, Modality, Schema
from acclimate.domains.filesets import FileSet
from acclimate.domains.labels import canonical
from acclimate.domains.locator import Locator
from acclimate.domains.metadata import Metadata, find_metadata
from acclimate.domains.read import Request, finish, said
from acclimate.domains.rows import FileRows, decode_text
from acclimate.domains.tables import need_columns
from acclimate.errors import DataError


def is_one_file(path: Path) -> bool:
    """Whether the path is a single image, text or sound file."""
    return any(path.suffix.lower() in known for known in filesets.KINDS.values())


def read_files(locator: Locator, path: Path, wanted: Request) -> Domain:
    """A domain whose rows are files. Folder names, which may be labels, are read only where a label is asked for."""
    files, names, modality, metadata = choose_files(locator, path, wanted.modality)
    fields = Fields(names, locator.one("name"), metadata, files.where)
    select = locator.rows("folder", "name")
    fields.need(select)
    keep = matching(fields, select, files.where)
    if keep is not None:
        fields.keep(keep)
    fields.need([field for field in (wanted.label, wanted.group) if field is not None])
    rows = FileRows(files, fields.names, modality)
    return finish(
        rows,
        ids.hash_bytes(_checked(files, name, modality) for name in fields.names),
        Schema(modality, ("file",), wanted.label, wanted.group),
        name=locator.name,
        labels=canonical(fields[wanted.label], f"{files.where}: {wanted.label}") if wanted.label else None,
        groups=canonical(fields[wanted.group], f"{files.where}: {wanted.group}") if wanted.group else None,
        locator=locator,
        notes=(*said(modality, f"{len(rows)} {modality} files", wanted.modality is not None), *metadata.notes),
    )


def choose_files(
    locator: Locator, path: Path, modality: Modality | None
) -> tuple[FileSet, list[str], Modality, Metadata]:
    """The files that a locator means, by name, before any selection by fields."""
    if path.is_file() and is_one_file(path):
        files: FileSet = filesets.FolderFiles(path.parent)
        files.names = [path.name]
        listed = files.names
    else:
        files = filesets.open_files(path)
        listed = filesets.visible(files.names)
    names = filesets.in_folders(listed, locator.select.get("folder", ()), files.where)
    metadata = find_metadata(files, names)
    kind, names = filesets.kind_of(names, modality, files.where)
    return files, metadata.listed(names), kind, metadata


class Fields:
    """What is known of each file besides its content, by name; worked out when asked for.

    ``label`` is the folder right above the file, unless the pattern or the metadata have a field of that name.
    """

    def __init__(self, names: Sequence[str], pattern: str | None, metadata: Metadata, where: str):
        self.names = list(names)
        self._pattern = {} if pattern is None else filesets.pattern_fields(pattern, names, where)
        self._metadata = metadata
        self._where = where

    def need(self, fields: Iterable[str]) -> None:
        """Raise a DataError unless all these fields exist; lists those that do."""
        known = ["label", *self._pattern, *self._metadata.columns]
        need_columns(list(fields), known, self._where, "field")

    def __getitem__(self, field: str) -> np.ndarray:
        if field in self._metadata.columns:
            return self._metadata.values(field, self.names)
        if field in self._pattern:
            return np.array(self._pattern[field], dtype=object)
        above = [PurePosixPath(name).parent.name for name in self.names]
        if not all(above):
            raise DataError(f"{self._where}: {self.names[above.index('')]} lies in no class folder, so it has no label")
        return np.array(above, dtype=object)

    def keep(self, index: np.ndarray) -> None:
        """Keep some files."""
        self.names = [self.names[i] for i in index]
        self._pattern = {field: [values[i] for i in index] for field, values in self._pattern.items()}


def _checked(files: FileSet, name: str, modality: Modality) -> bytes:
    data = files.read(name)
    where = f"{files.where}/{name}"
    if not data:
        raise DataError(f"{where}: the file is empty")
    if modality == "image":
        images.check_image(data, where)
    elif modality == "text":
        decode_text(data, where)
    return data
