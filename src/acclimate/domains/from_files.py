"""Domains from folders and zips of image, text or sound files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from acclimate.domains import audio, filesets, ids, images
from acclimate.domains.arrays import matching
from acclimate.domains.boxes import Listed, listed, read_boxes
from acclimate.domains.domain import Domain, Modality, Schema, Shapes
from acclimate.domains.filesets import FileSet
from acclimate.domains.labels import canonical, canonical_one
from acclimate.domains.layouts import Layout, layout
from acclimate.domains.locator import Locator, column_of
from acclimate.domains.mask_files import read_masks
from acclimate.domains.metadata import Metadata, find_metadata
from acclimate.domains.request import Request, finish, said
from acclimate.domains.rows import FileRows, decode_text
from acclimate.domains.tables import need_columns
from acclimate.errors import DataError

LONGEST = 1000
"""Characters up to which a text may be the path of a file."""


def is_one_file(path: Path) -> bool:
    """Whether the path is a single image, text or sound file."""
    return any(path.suffix.lower() in known for known in filesets.KINDS.values())


def read_files(locator: Locator, path: Path, wanted: Request) -> Domain:
    """A domain whose rows are files. Folder names, which may be labels, are read only where a label is asked for."""
    if wanted.shapes:
        return _with_shapes(locator, path, wanted)
    files, fields, modality, notes = _chosen(locator, path, wanted.modality)
    fields.need([field for field in (wanted.label, wanted.group) if field is not None])

    def side(field: str | None, partial: bool = False) -> np.ndarray | None:
        return None if field is None else canonical(fields[field], f"{files.where}: {field}", partial)

    domain = of_names(files, fields.names, modality, locator)
    return replace(
        domain,
        schema=replace(domain.schema, label=wanted.label, group=wanted.group),
        labels=side(wanted.label, wanted.partial),
        groups=side(wanted.group),
        notes=(*said(modality, f"{len(domain)} {modality} files", wanted.modality is not None), *notes),
    )


def _with_shapes(locator: Locator, path: Path, wanted: Request) -> Domain:
    """Images, with what lies beside them as labels where it is asked for."""
    files = _files(path)
    names, found = _images(files, locator, wanted.shapes)
    if wanted.group is not None:
        raise DataError(f"{locator}: images with {wanted.shapes} have no field '{wanted.group}' for group")
    domain = of_names(files, names, "image", locator)
    if wanted.label is None:
        return domain
    if isinstance(found, Layout):
        labels, legend = read_masks(files, found, names, wanted.label, locator.one("legend"))
        schema = replace(domain.schema, label=wanted.label, legend=tuple(sorted(legend.items())))
        return replace(domain, schema=schema, labels=labels)
    labels, notes = read_boxes(files, found, names)
    return replace(domain, schema=replace(domain.schema, label=wanted.label), labels=labels, notes=notes)


def _images(files: FileSet, locator: Locator, shapes: Shapes) -> tuple[list[str], Layout | Listed]:
    """The images that a locator selects, and what lies beside them; no annotation of a pixel or box is looked at."""
    names = filesets.visible(files.names)
    found = layout(names, files.where)
    images = filesets.in_folders(found.images, locator.select.get("folder", ()), files.where)
    select = locator.rows("folder", "legend")
    if shapes == "masks":
        need_columns(list(select), [], files.where, "field")
        return images, found
    boxes = listed(files, names)
    need_columns(list(select), boxes.fields, files.where, "field")
    entries = {name: boxes.of(name) for name in images} if select else {}
    return [
        name
        for name in images
        if all((e := entries[name]) and canonical_one(e.fields.get(key)) in values for key, values in select.items())
    ], boxes


def are_paths(rows: Any) -> bool:
    """Whether a list names files of images, texts or sounds, and is not one of texts."""
    first = rows[0] if isinstance(rows, Sequence | np.ndarray) and len(rows) else None
    if isinstance(first, Path):
        return True
    return isinstance(first, str) and len(first) < LONGEST and is_one_file(Path(first)) and Path(first).is_file()


def read_paths(paths: Sequence[str | Path], wanted: Request) -> Domain:
    """A domain of files that are named one by one, in that order; their label is the folder right above.

    Raises:
        DataError: one of them is missing, empty or of another kind.
    """
    places = [Path(path).expanduser().absolute() for path in paths]
    root = Path(os.path.commonpath([place.parent for place in places]))
    names = [place.relative_to(root).as_posix() for place in places]
    modality, known = filesets.kind_of(names, wanted.modality, str(root))
    if len(known) < len(names):
        odd = min(set(names) - set(known))
        raise DataError(f"{root}/{odd}: the other files are of modality {modality}, and this is not")
    if wanted.group is not None:
        raise DataError(f"{root}: a list of files has no field '{wanted.group}' for group; give their folder instead")
    files = filesets.FolderFiles(root, names)
    labels = None if wanted.label is None else np.array([place.parent.name for place in places], dtype=object)
    domain = of_names(files, names, modality, Locator(str(root)))
    notes = said(modality, f"a list of {len(domain)} {modality} files", wanted.modality is not None)
    schema = replace(domain.schema, label=wanted.label)
    return replace(domain, locator=None, schema=schema, labels=labels, notes=notes)


def of_names(files: FileSet, names: Sequence[str], modality: Modality, locator: Locator) -> Domain:
    """A domain of some files, each of which is opened once to be checked and hashed."""
    found = ids.hash_bytes(_checked(files, name, modality) for name in names)
    return finish(FileRows(files, list(names), modality), found, Schema(modality), name=locator.name, locator=locator)


def selected_files(
    locator: Locator, path: Path, modality: Modality | None, shapes: Shapes = ""
) -> tuple[FileSet, list[str], Modality]:
    """The files that a locator selects, by name, and their modality."""
    if shapes:
        files = _files(path)
        return files, _images(files, locator, shapes)[0], "image"
    files, fields, kind, _ = _chosen(locator, path, modality)
    return files, fields.names, kind


def _chosen(
    locator: Locator, path: Path, modality: Modality | None
) -> tuple[FileSet, Fields, Modality, tuple[str, ...]]:
    files = _files(path)
    names, folders = filesets.visible(files.names), locator.select.get("folder", ())
    metadata = find_metadata(files, names, filesets.prefixes(folders))
    names = filesets.in_folders(names, folders, files.where)
    kind, names = filesets.kind_of(names, modality, files.where)
    fields = Fields(metadata.listed(names), locator.one("name"), metadata, files.where)
    select = locator.rows("folder", "name")
    fields.need(map(column_of, select))
    keep = matching(fields, select, files.where)
    if keep is not None:
        fields.keep(keep)
    return files, fields, kind, metadata.notes


def _files(path: Path) -> FileSet:
    one = path.is_file() and is_one_file(path)
    return filesets.FolderFiles(path.parent, [path.name]) if one else filesets.open_files(path)


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
    elif modality == "audio":
        audio.check_audio(data, where)
    elif modality == "text":
        decode_text(data, where)
    return data
