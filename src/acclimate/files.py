"""Files that are either whole or absent, and where caches live."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acclimate.errors import AcclimateError


def cache_folder(*parts: str) -> Path:
    """``$XDG_CACHE_HOME/acclimate/...`` (default ``~/.cache``); not created."""
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser().joinpath("acclimate", *parts)


def path_name(text: str) -> str:
    """A file name for a text: what some file system refuses becomes a comma (``mcc,strength=0.3``)."""
    return re.sub(r"[^\w.+=-]", ",", text)


SCRATCH = ".*.part"
"""What the folders that `writing` works in are called; a kill leaves one behind."""


@contextmanager
def writing(path: Path | str, suffix: str = "") -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends well, and vanishes otherwise.

    The block may create a file or a folder there. Errors of the file system (full disk, no
    permission) become an `AcclimateError` that names the path.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SCRATCH[2:], dir=path.parent))
    except OSError as error:
        raise AcclimateError(f"cannot write {path}: {error.strerror or error}") from None
    part, old = scratch / f"part{suffix}", scratch / "old"
    try:
        yield part
        if part.is_dir() and path.is_dir():  # a folder cannot be renamed over a full one
            path.rename(old)
        os.replace(part, path)
    except OSError as error:
        raise AcclimateError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(path: Path | str, value: Any) -> None:
    """JSON, indented, UTF-8, atomically."""
    with writing(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """The value in a JSON file; OSError and ValueError are the caller's to explain."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
