"""The command line as a function, small tables whose target is shifted, and a finished run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate.cli.main import main

QUICK = ("--backbone", "mlp", "--precision", "fp32", "--set", "training.steps=20")


@dataclass
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        return json.loads(self.out)


Acclimate = Callable[..., Done]


@pytest.fixture(scope="session")
def cache_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def quiet_machine(cache_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_root))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("DEVICE", "PRECISION", "JOBS", "BUDGET", "SEED"):
        monkeypatch.delenv(f"ACCLIMATE_{name}", raising=False)


@pytest.fixture
def acclimate(capsys: pytest.CaptureFixture[str]) -> Iterator[Acclimate]:
    """`main`, which never shows a traceback."""

    def call(*words: object) -> Done:
        capsys.readouterr()
        code = main([str(word) for word in words])
        done = Done(code, *capsys.readouterr())
        assert "Traceback" not in done.err
        return done

    yield call


def write_table(
    path: Path, n: int, seed: int, shift: float = 0.0, classes: Sequence[str] | None = ("no", "yes")
) -> Path:
    """Two classes apart in ``a`` and ``b``; ``shift`` moves ``b`` of both; ``c`` is noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    values = rng.normal(size=(n, 3)) + (2 * labels - 1)[:, None] * [1.2, 1.2, 0] + [0, shift, 0]
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["a", "b", "c", *(["label"] if classes else [])])
        for row, label in zip(values, labels, strict=True):
            out.writerow([*(f"{v:.6f}" for v in row), *([classes[label]] if classes else [])])
    return path


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``source.csv``, ``target.csv`` (no labels) and ``test.csv`` (other target rows, labelled)."""
    folder = tmp_path_factory.mktemp("tables")
    write_table(folder / "source.csv", 150, 1)
    write_table(folder / "target.csv", 100, 2, 1.5, None)
    write_table(folder / "test.csv", 100, 3, 1.5)
    return folder


@pytest.fixture(scope="session")
def columns(tables: Path) -> list[str]:
    """Options that name the domains and columns."""
    named = ["--source", f"{tables}/source.csv", "--target", f"{tables}/target.csv", "--label", "label"]
    return [*named, "--input", "a", "--input", "b", "--input", "c"]


@pytest.fixture(scope="session")
def finished(columns: list[str], cache_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache_root))
        assert main(["adapt", *columns, *QUICK, "-o", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
