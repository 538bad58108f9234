"""Folders and zips of files: safe names, bytes on demand, fields from names and metadata."""

from __future__ import annotations

import os
import re
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from acclimate.domains import images
from acclimate.domains.domain import Modality
from acclimate.errors import DataError, SettingsError

TEXT = frozenset({".txt"})
AUDIO = frozenset({".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff", ".aif"})
KINDS: dict[Modality, frozenset[str]] = {"image": images.EXTENSIONS, "text": TEXT, "audio": AUDIO}
BOMB_BYTES = 64 << 20
BOMB_RATIO = 200
"""A zip member larger than BOMB_BYTES that shrank more than BOMB_RATIO times is refused."""


class FileSet(Protocol):
    """Names (relative, with ``/``) and their bytes."""

    where: str
    names: list[str]

    def read(self, name: str) -> bytes: ...


class FolderFiles:
    """The files of a folder, or those ``names`` of it.

    Links that lead out of it are ignored, folders behind links are not entered.
    """

    def __init__(self, root: Path, names: Sequence[str] | None = None):
        self.where = str(root)
        self.root = root
        self.names = sorted(self._walk(root) if names is None else names)

    @staticmethod
    def _walk(root: Path) -> Iterator[str]:
        real = root.resolve()
        for folder, _, files in os.walk(root, onerror=_refuse):
            for file in files:
                path = Path(folder, file)
                if path.is_symlink() and not path.resolve().is_relative_to(real):
                    continue
                yield path.relative_to(root).as_posix()

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise DataError(f"{self.where}/{name}: cannot be read ({error.strerror})") from None


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from None


class ZipFiles:
    """The members of a zip, opened once per process, safe to read from threads."""

    def __init__(self, path: Path):
        self.where = str(path)
        self._path = path
        self._pid = -1
        self._lock = threading.Lock()
        with self._open() as handle:
            self.infos = {info.filename: info for info in handle.infolist() if not info.is_dir()}
        for name, info in self.infos.items():
            check_member(self.where, name, info)
        self.names = sorted(self.infos)

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self._path)
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DataError(f"{self.where}: not a readable zip file ({error})") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"where": self.where, "_path": self._path, "infos": self.infos, "names": self.names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _pid=-1, _lock=threading.Lock())

    def read(self, name: str) -> bytes:
        if self._pid != os.getpid():  # a handle shared with a parent process would share its file position
            self._lock = threading.Lock()
            self._handle, self._pid = self._open(), os.getpid()
        try:
            with self._lock:
                return self._handle.read(name)
        except Exception as error:  # zlib.error, BadZipFile, EOFError, RuntimeError (encrypted), ...
            raise DataError(f"{self.where}: member {name} is broken ({error})") from None


def check_member(where: str, name: str, info: zipfile.ZipInfo, allowed: int = BOMB_BYTES) -> None:
    """Refuse members of a zip that no honest archive holds.

    Raises:
        DataError: the name leads out of the archive, the member is encrypted, or it would explode.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        raise DataError(f"{where}: member '{name}' leads out of the archive; refused")
    if info.flag_bits & 1:
        raise DataError(f"{where}: member '{name}' is encrypted; unpack it first")
    if info.file_size > allowed and info.file_size > BOMB_RATIO * max(info.compress_size, 1):
        raise DataError(
            f"{where}: member '{name}' would grow from {info.compress_size:,} to {info.file_size:,} bytes "
            "(a decompression bomb?); refused"
        )


def open_files(path: Path) -> FileSet:
    """The files of a folder or zip."""
    return FolderFiles(path) if path.is_dir() else ZipFiles(path)


def visible(names: Sequence[str]) -> list[str]:
    """Names without hidden files and what macOS leaves in archives."""
    return [n for n in names if not any(part.startswith((".", "__MACOSX")) for part in n.split("/"))]


def in_folders(names: Sequence[str], folders: Sequence[str], where: str) -> list[str]:
    """The names below any of the folders (all where none is given).

    Raises:
        DataError: a folder without files; lists the folders there are.
    """
    starts = prefixes(folders)
    for folder, prefix in zip(folders, starts, strict=False):
        if not any(name.startswith(prefix) for name in names):
            tops = sorted({name.split("/")[0] for name in names if "/" in name})
            raise DataError(f"{where}: no folder '{folder}'; folders found: {', '.join(tops[:20]) or 'none'}")
    return [name for name in names if name.startswith(starts)]


def prefixes(folders: Sequence[str]) -> tuple[str, ...]:
    """How the names below any of the folders begin; every name where no folder is given."""
    return tuple(folder.strip("/") + "/" for folder in folders) or ("",)


def kind_of(names: Sequence[str], modality: Modality | None, where: str) -> tuple[Modality, list[str]]:
    """What kind of files these are, and the files of that kind.

    Raises:
        DataError: no files of a known kind, or several kinds and ``modality`` does not say which.
    """
    by_kind = {kind: [n for n in names if PurePosixPath(n).suffix.lower() in ext] for kind, ext in KINDS.items()}
    found = {kind: files for kind, files in by_kind.items() if files}
    if modality is not None:
        if modality not in found:
            have = ", ".join(f"{len(v)} {k} files" for k, v in found.items()) or "no image, text or sound files"
            raise DataError(f"{where}: no {modality} files; found {have}")
        return modality, found[modality]
    if len(found) == 1:
        return next(iter(found.items()))
    if not found:
        raise DataError(f"{where}: no image, text or sound files among its {len(names)} files")
    have = ", ".join(f"{len(v)} {k}" for k, v in found.items())
    raise DataError(f"{where}: files of several kinds ({have}); pass modality, or choose a subfolder with ?folder=")


def pattern_fields(pattern: str, names: Sequence[str], where: str) -> dict[str, list[str]]:
    """The fields that a pattern such as ``{label}_{speaker}_{index}`` finds in file names (without extension).

    A pattern with ``/`` is held against as many folders as it names.

    Raises:
        SettingsError: the pattern has no field, one twice, or one that is no plain name.
        DataError: a name does not fit; shows it.
    """
    pieces = re.split(r"\{(\w+)\}", pattern)
    fields = pieces[1::2]
    if not fields or len(set(fields)) != len(fields) or not all(map(str.isidentifier, fields)):
        raise SettingsError(
            f"name={pattern}: expected fields in braces, each once and a plain name, such as {{label}}_{{speaker}}"
        )
    # every field but the last is as short as it can be, so that the last one takes what is left
    expression = "".join(f"(?P<{p}>[^/]+?)" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
    matcher = re.compile(expression)
    depth = pattern.count("/") + 1
    values: dict[str, list[str]] = {field: [] for field in fields}
    for name in names:
        match = matcher.fullmatch("/".join(PurePosixPath(name).with_suffix("").parts[-depth:]))
        if not match:
            raise DataError(f"{where}: the file name '{name}' does not fit the pattern '{pattern}'")
        for field in fields:
            values[field].append(match[field])
    return values
