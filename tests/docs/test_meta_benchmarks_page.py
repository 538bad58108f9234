"""The page of few-shot and meta-learning is what the measured files say, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_page_says_what_was_measured():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.meta.report", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
