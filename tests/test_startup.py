"""`import acclimate` and the command line's parser stay light: heavy libraries load inside commands."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "accelerate",
    "datasets",
    "keras",
    "matplotlib",
    "pandas",
    "peft",
    "pyarrow",
    "pydantic",
    "scipy",
    "sklearn",
    "torch",
    "transformers",
}


MODULES = [
    "acclimate",
    "acclimate.cli.main",
    "acclimate.selection.bootstrap",
    "acclimate.trust.certainty.calibrate",
    "acclimate.selection.decision",
    "acclimate.selection.gap",
    "acclimate.selection.scores",
    "acclimate.selection.shifts",
]


@pytest.mark.parametrize("module", MODULES)
def test_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert sorted(HEAVY & loaded) == []
