"""The cache on disk, with processes that use it, wait for each other and are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from acclimate.backbones import entries
from acclimate.errors import SettingsError
from acclimate.files import writing

ROWS = 10
SHAPE = (ROWS, 3)
SIZE = 128 + ROWS * 3 * 4
"""Bytes of an entry: the header of a small .npy file is 128."""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(entries.SIZE, raising=False)
    return tmp_path / "acclimate" / "features"


def make(name: str, used: float, backbone: str = "net") -> Path:
    """An entry that was last used ``used`` seconds ago."""
    path = entries.root() / entries.folder_name(backbone, "last", "fp32", "0f") / f"{name}.npy"
    with writing(path) as part, part.open("wb") as stream:
        np.save(stream, np.full(SHAPE, float(used), dtype=np.float32))
    os.utime(path, (time.time() - used,) * 2)
    return path


def names() -> list[str]:
    return [entry.path.stem for entry in entries.entries()]


@pytest.fixture
def other():
    """Another process, which runs lines of Python and says when it has; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*lines: str) -> subprocess.Popen[str]:
        code = "\n".join([*lines, "print('ready', flush=True)", "import time", "time.sleep(60)"])
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


LOAD = "from pathlib import Path; from acclimate.backbones.entries import load; found = load(Path({!r}), (10, 3))"


def test_what_was_used_longest_ago_goes_first(monkeypatch):
    for name, used in (("b", 200), ("a", 300), ("c", 100)):
        make(name, used)
    monkeypatch.setenv(entries.SIZE, str(3 * SIZE))
    entries.make_room(0)
    assert names() == ["a", "b", "c"]
    entries.make_room(1)
    assert names() == ["b", "c"]
    assert entries.load(entries.entries()[0].path, SHAPE) is not None  # reading b makes it the newest
    entries.make_room(2 * SIZE)
    assert names() == ["b"]


def test_an_entry_that_is_mapped_stays_whoever_maps_it(monkeypatch, other):
    mine, theirs = make("mine", 300), make("theirs", 200)
    make("nobodys", 100)
    array = entries.load(mine, SHAPE)
    process = other(LOAD.format(str(theirs)))
    monkeypatch.setenv(entries.SIZE, "0")
    entries.make_room(10**9)
    assert sorted(names()) == ["mine", "theirs"]
    gone, kept = entries.clear()
    assert (gone, sorted(entry.path.stem for entry in kept)) == ([], ["mine", "theirs"])
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    entries.make_room(0)
    assert names() == ["mine"]
    assert array is not None and (array == 300).all()
    del array
    entries.make_room(0)
    assert names() == [] and list(entries.root().iterdir()) == []


def test_what_is_being_written_stays_and_what_a_kill_left_goes(home, other):
    target = home / "net--last--fp32--0f" / "x.npy"
    lines = (
        "from pathlib import Path; from acclimate.backbones import entries; from acclimate.files import writing",
        f"path = Path({str(target)!r}); lock = entries.making(path); lock.__enter__(); block = writing(path)",
        "stream = block.__enter__().open('w+b'); entries.share(stream); stream.write(b'half'); stream.flush()",
    )
    process = other(*lines)
    (scratch,) = target.parent.glob(".*.part")
    lock = target.with_suffix(".lock")

    def age() -> None:
        for path in (scratch, lock):
            os.utime(path, (time.time() - 3600,) * 2)

    age()
    entries.make_room(0)
    assert (scratch / "part").read_bytes() == b"half" and lock.exists()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    age()
    entries.make_room(0)
    assert not scratch.exists() and not lock.exists()
    assert entries.entries() == []


def test_an_entry_removed_under_a_map_is_still_whole(home):
    array = entries.load(path := make("x", 7), SHAPE)
    path.unlink()
    assert array is not None and np.array_equal(array, np.full(SHAPE, 7))


def test_clearing_by_age_and_backbone():
    for name, used, backbone in (("a", 1000, "one"), ("b", 10, "one"), ("c", 1000, "hf:org/two")):
        make(name, used, backbone)
    assert {entry.backbone for entry in entries.entries()} == {"one", "hf_org_two"}
    gone, _ = entries.clear(older_than=100, backbone="one")
    assert [entry.path.stem for entry in gone] == ["a"]
    gone, _ = entries.clear(older_than=100)
    assert [entry.path.stem for entry in gone] == ["c"]
    entry, *none = entries.entries()
    assert (entry.rows, entry.width, entry.size, entry.layer, entry.precision, none) == (
        10,
        3,
        SIZE,
        "last",
        "fp32",
        [],
    )


@pytest.mark.parametrize(
    ("text", "size"), [("", 20 * 10**9), ("500MB", 5 * 10**8), ("1.5 tb", 15 * 10**11), ("7", 7), ("2G", 2 * 10**9)]
)
def test_the_bound_is_a_size(monkeypatch, text, size):
    monkeypatch.setenv(entries.SIZE, text)
    assert entries.bound() == size


@pytest.mark.parametrize("text", ["huge", "-1GB", "20GiB", "1,5GB"])
def test_a_bound_that_is_none(monkeypatch, text):
    monkeypatch.setenv(entries.SIZE, text)
    with pytest.raises(SettingsError, match="expected a size such as"):
        entries.bound()


def test_processes_wait_for_the_one_that_reads_and_take_over_when_it_is_killed(home, tmp_path):
    script = Path(__file__).with_name("cache_users.py")
    notes = tmp_path / "notes"
    notes.mkdir()
    done = subprocess.run([sys.executable, str(script), str(notes)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first, *others = told["children"]
    assert told["held"] == [2, 0, []]  # reads before the kill, all of the first one; entries; what clearing removed
    assert told["ends"] == [-signal.SIGKILL, 0, 0]
    assert told["readers"][:2] == [str(first)] * 2
    heir = told["readers"][2]
    assert told["readers"][2:] == [heir] * 3 and heir in map(str, others)
    one, two = (np.load(notes / f"{pid}.npy") for pid in others)
    assert np.array_equal(one, two)
    (entry,) = entries.entries()
    assert entry.rows == 12 and np.array_equal(np.sort(np.load(entry.path), axis=0), np.sort(one, axis=0))
    assert not list(home.rglob("*.lock"))
