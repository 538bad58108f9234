from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Tables = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture
def tables(tmp_path, points, write_csv) -> Tables:
    """``tables(n=60)`` writes the files of the points and gives the options of `ac.adapt` that read them."""

    def make(n: int = 60) -> dict[str, Any]:
        source = write_csv(tmp_path / "source.csv", "x0,x1,label", points(n))
        target = write_csv(tmp_path / "target.csv", "x0,x1,label", points(n, where="target"))
        return {"source": str(source), "target": str(target), "input": ["x0", "x1"], "label": "label"}

    return make


@pytest.fixture
def timeless() -> Callable[[Any], Any]:
    """``timeless(value)`` is a result without what the clock says."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key != "seconds"}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return strip


@pytest.fixture
def everything(timeless) -> Callable[[Path], dict[str, Any]]:
    """``everything(folder)`` is all that a run wrote, but for the clock."""

    def read(path: Path) -> Any:
        if path.name in ("result.json", "arm.json", "pretraining.json", "meta.json"):
            return timeless(json.loads(path.read_text()))
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                return {key: arrays[key].tobytes() for key in arrays.files}
        return path.read_bytes()

    return lambda folder: {str(p.relative_to(folder)): read(p) for p in sorted(folder.rglob("*")) if p.is_file()}


class Processes:
    """Starts real processes quickly: one has imported everything and forks the others."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("zygote.py")
        self.parent = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, call: str, until: Callable[[], bool] | None = None, sign: int = 9, **options: Any) -> int:
        """Call `ac.adapt` or `ac.resume` in a process of its own; signal it once ``until`` holds.

        Returns:
            The exit status as `os.waitstatus_to_exitcode` gives it.
        """
        import os

        assert self.parent.stdin is not None and self.parent.stdout is not None
        self.parent.stdin.write(json.dumps({"call": call, **options}) + "\n")
        self.parent.stdin.flush()
        pid = int(self.parent.stdout.readline())
        done = Path(self.parent.stdout.readline().strip())
        end = time.monotonic() + 60
        while until is not None and not done.exists() and time.monotonic() < end:
            if until():
                os.kill(pid, sign)
                break
            time.sleep(0.0005)
        while not done.exists() and time.monotonic() < end:
            time.sleep(0.002)
        return int(done.read_text())


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    started = Processes()
    yield started
    started.parent.stdin.close()
    started.parent.wait(20)
