from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import acclimate as ac
from acclimate.domains.sample import toy_shift

ALIEN = '<script>alert("x")</script>'
"""A class name that a page must show and not run."""


@pytest.fixture(autouse=True)
def _cache(own_cache, reports):
    pass


@pytest.fixture(scope="session")
def toy(tmp_path_factory, points, write_csv, cache_of_tests) -> Callable[..., tuple[ac.Run, Path]]:
    """``toy()`` adapts on files of points once, with a class and a column that look like markup, and gives the run and
    the labelled target; ``toy(flip=True)`` does it with the target's labels turned round in the file.
    """
    made: dict[bool, tuple[ac.Run, Path]] = {}

    def make(flip: bool = False) -> tuple[ac.Run, Path]:
        if flip not in made:
            folder = tmp_path_factory.mktemp("toy")
            header = "<b>x0</b>,x1,label"
            lines = {
                "source": points(120),
                "target": points(120, where="target", flip=flip),
            }
            files = {}
            for name, rows in lines.items():
                alien = [row.replace(",no", f',"{ALIEN.replace(chr(34), chr(34) * 2)}"') for row in rows]
                files[name] = write_csv(folder / f"{name}.csv", header, alien)
            options: dict[str, Any] = {"input": ["<b>x0</b>", "x1"], "label": "label", "training": {"steps": 100}}
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("ACCLIMATE_REPORT", "yes")
                run = ac.adapt(str(files["source"]), str(files["target"]), method="shot", out=folder / "run", **options)
            made[flip] = run, files["target"]
        return made[flip]

    return make


@pytest.fixture(scope="module")
def numbers() -> Callable[[], tuple[Any, Any, np.ndarray]]:
    """A source and a target of arrays, and the target's labels."""
    return lambda: toy_shift(60)
