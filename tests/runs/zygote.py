"""Reads calls as JSON lines, forks a process for each, and notes its exit status in a file."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers  # noqa: F401 - imported once, for all forks
from sklearn.linear_model import LogisticRegression  # noqa: F401

import acclimate as ac
from acclimate.backbones import cache  # noqa: F401
from acclimate.errors import AcclimateError
from acclimate.runs import execute  # noqa: F401
from acclimate.training import interrupt


def carry_out(call: str, **options: object) -> int:
    torch.set_num_threads(1)
    try:
        with interrupt.graceful():
            getattr(ac, call)(**options)
    except AcclimateError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def note_end(pid: int, note: Path) -> None:
    _, status = os.waitpid(pid, 0)
    part = note.with_suffix(".part")
    part.write_text(str(os.waitstatus_to_exitcode(status)))
    part.rename(note)


def start(options: dict[str, Any], note: Path) -> int:
    """Fork a process that does the work, and one that waits for it; no threads, for forks do not like them."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        pid = os.fork()
        if pid == 0:
            os._exit(carry_out(**options))
        os.write(writing, f"{pid}\n".encode())
        note_end(pid, note)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return int(pipe.readline())


folder = Path(tempfile.mkdtemp())
for number, line in enumerate(sys.stdin):
    options = json.loads(line)
    os.environ.update(options.pop("environment", {}))
    print(start(options, folder / f"{number}"))
    print(folder / f"{number}", flush=True)
