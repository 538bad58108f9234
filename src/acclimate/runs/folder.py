"""The folder of a run: what a run writes there, whether it is free, and that one process at a time works on it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from acclimate.errors import AcclimateError, SettingsError
from acclimate.files import SCRATCH
from acclimate.runs.log import tidy
from acclimate.training.device import Place

WRITTEN = (
    "data.json",
    "recipe.yaml",
    "metrics.jsonl",
    "checkpoints",
    "arms",
    "rows.npz",
    "model",
    "result.json",
    "trust",
    "report.json",
    "audit.json",
    "report.html",
    "encoder",
    "pretraining.json",
    "learner",
    "meta.json",
    "inputs.json",
    "controller.json",
    "control.json",
)
"""What a run writes into its folder, in this order."""
LOCK = ".lock"
"""The file that is locked while a process works on the run."""


def check_free(folder: Path, force: bool) -> None:
    """Refuse a folder that holds anything, or with ``force`` anything but a run.

    Raises:
        SettingsError: says what it holds.
    """
    if folder.is_file():
        raise SettingsError(f"{folder} is a file; -o names a folder for the run")
    if not folder.is_dir():
        return
    held = {path.name for path in folder.iterdir()} - {path.name for path in folder.glob(SCRATCH)} - {LOCK}
    foreign = held.difference(WRITTEN) if WRITTEN[0] in held else held
    if foreign:
        shown = ", ".join(sorted(foreign)[:3]) + (", ..." if len(foreign) > 3 else "")
        raise SettingsError(f"{folder} is not empty, and no run wrote {shown}; name another folder with -o")
    if held and not force:
        raise SettingsError(f"{folder} holds a run; --force replaces it, `acclimate resume {folder}` continues it")


def clear(folder: Path) -> None:
    """Remove an older run, and nothing else.

    Raises:
        AcclimateError: the file system refuses.
    """
    tidy(folder)
    try:
        for old in (folder / name for name in reversed(WRITTEN)):
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink(missing_ok=True)
    except OSError as error:
        raise AcclimateError(f"cannot write {folder}: {error.strerror}") from None


class Lock:
    """Holds a run's folder, which it makes if it is not there; of several processes the first one does.

    It goes to workers as they are started, and is free again when all of them have ended, however their parent did.

    Raises:
        AcclimateError: another process holds it, or the file system refuses.
    """

    def __init__(self, folder: Path, where: Place):
        self._folder, self._first, self._file = folder, where.rank == 0, -1

    def __enter__(self) -> Lock:
        if not self._first:
            return self
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise AcclimateError(
                f"{self._folder}: another process works on this run; wait for it, or stop it"
            ) from None
        except OSError as error:
            raise AcclimateError(f"cannot write {self._folder}: {error.strerror}") from None
        return self

    def __exit__(self, *error: object) -> None:
        if self._first:
            os.close(self._file)

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _held, (DupFd(self._file),)


def _held(file: Any) -> int:
    """What a worker gets: a descriptor of the same lock, open until the worker ends."""
    return file.detach()
