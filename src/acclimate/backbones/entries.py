"""The feature cache on disk: entries that are whole or absent, who uses them, and how large it may grow.

An entry is ``BACKBONE--LAYER--PRECISION--KEY/ROWS.npy`` under ``cache_folder("features")``. A process that reads it
holds a shared lock on it for as long as the memory map lives, one that writes holds one on the unfinished file. The
system takes locks back when a process ends, however it ends: a file that nobody has locked is nobody's.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from acclimate.errors import SettingsError
from acclimate.files import SCRATCH, cache_folder

SIZE = "ACCLIMATE_CACHE_SIZE"
"""The environment variable that bounds the cache."""
DEFAULT_SIZE = "20GB"
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BEGUN = 60.0  # seconds within which a process that made a scratch folder has locked the file in it
_SLUG = 60


@dataclass(frozen=True)
class Entry:
    """Features of one set of rows.

    Attributes:
        path: its file.
        backbone: the name, with what no file name can hold replaced by ``_``.
        layer: likewise.
        precision: in which the backbone ran.
        rows: how many.
        width: numbers a row.
        size: bytes on disk.
        used: when it was last read or written, seconds since 1970.
    """

    path: Path
    backbone: str
    layer: str
    precision: str
    rows: int
    width: int
    size: int
    used: float


def root() -> Path:
    """Where the entries are."""
    return cache_folder("features")


def folder_name(backbone: str, layer: str, precision: str, key: str) -> str:
    """The folder of all entries of one layer of one backbone."""
    return "--".join([slug(backbone), slug(layer), precision, key])


def slug(name: str) -> str:
    """A name as part of a file name; of a long one, such as a path, the end."""
    return re.sub(r"-+", "-", re.sub(r"[^A-Za-z0-9._-]+", "_", name))[-_SLUG:].strip("-_") or "_"


def bound() -> int:
    """The bytes that the cache may hold.

    Raises:
        SettingsError: the environment variable is no size.
    """
    text = os.environ.get(SIZE) or DEFAULT_SIZE
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    if found is None:
        raise SettingsError(f"{SIZE}: expected a size such as 500MB, 20GB or 1.5TB, found '{text}'")
    return int(float(found[1]) * UNITS[found[2]])


def load(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """A memory map of an entry, which is marked as used; None where it is absent, damaged or of another shape."""
    try:
        with path.open("rb") as stream:
            found = mapped(stream)
    except (OSError, ValueError, EOFError):
        return None
    if found.shape != shape or found.dtype != np.float32:
        return None
    with suppress(OSError):  # a cache that is not ours to write, or an entry that was removed meanwhile
        os.utime(path)
    return found


def mapped(stream: IO[bytes]) -> np.ndarray:
    """The array of an open .npy file as a memory map that outlives the stream, and the stream's lock with it."""
    share(stream)
    stream.seek(0)
    shape, kind, start = _header(stream)
    return np.memmap(stream, kind, "r", start, shape)


def share(stream: IO[bytes]) -> None:
    """Say that this file is in use, for as long as it is open or mapped, by this process or its forks."""
    with suppress(OSError):  # some network file systems have no locks
        fcntl.flock(stream, fcntl.LOCK_SH)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, int]:
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not written here")
    shape, _, kind = np.lib.format.read_array_header_1_0(stream)
    return shape, kind, stream.tell()


@contextmanager
def making(path: Path) -> Iterator[None]:
    """One process at a time makes an entry; others wait here, and find it made."""
    lock = path.with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("ab")
    except OSError:  # to be told by who tries to write the entry
        yield
        return
    with stream:
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()


def entries() -> list[Entry]:
    """Every entry, the one that was used longest ago first."""
    found = []
    for path in root().glob("*/*.npy"):
        with suppress(OSError, ValueError, EOFError), path.open("rb") as stream:
            (rows, width), _, _ = _header(stream)
            told = os.fstat(stream.fileno())
            named = path.parent.name.split("--")
            backbone, layer, precision = named[:3] if len(named) == 4 else ("_", "_", "_")
            found.append(Entry(path, backbone, layer, precision, rows, width, told.st_size, told.st_mtime))
    return sorted(found, key=lambda entry: (entry.used, str(entry.path)))


def make_room(needed: int) -> None:
    """Remove what a kill left half-written, and entries that were used longest ago until ``needed`` bytes more fit.

    What is in use or being written stays, so the cache may be larger than its `bound` for a while.
    """
    sweep()
    known = entries()
    unfinished = sum(part.stat().st_size for part in root().glob(f"*/{SCRATCH}/part"))
    excess = sum(entry.size for entry in known) + unfinished + needed - bound()
    for entry in known:
        if excess <= 0:
            return
        if remove(entry.path):
            excess -= entry.size


def clear(older_than: float | None = None, backbone: str | None = None) -> tuple[list[Entry], list[Entry]]:
    """Remove entries that were not used for ``older_than`` seconds, those of one backbone, or all.

    Returns:
        The entries that were removed, and those that are in use and were left.
    """
    sweep()
    before = float("inf") if older_than is None else time.time() - older_than
    asked = [e for e in entries() if e.used <= before and backbone in (None, e.backbone)]
    gone = [entry for entry in asked if remove(entry.path)]
    return gone, [entry for entry in asked if entry not in gone]


def remove(path: Path) -> bool:
    """Remove a file that nobody uses, and its folder when that is empty then; False where somebody does."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return not path.exists()
    with suppress(OSError):
        path.parent.rmdir()
    return True


def sweep() -> None:
    """Remove what processes that were killed left: unfinished files and locks."""
    left: list[Any] = [*root().glob(f"*/{SCRATCH}"), *root().glob("*/*.lock")]
    for path in left:
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < _BEGUN:
                continue
            if path.suffix == ".lock":
                remove(path)
            elif not (path / "part").exists() or remove(path / "part"):
                shutil.rmtree(path, ignore_errors=True)
