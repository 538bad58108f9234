"""python -m benchmarks [NAME ...]: all benchmarks, or those named."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = (
    "startup",
    "overhead",
    "features",
    "fleet",
    "digits",
    "shot_digits",
    "mnist_m",
    "amazon",
    "pacs",
    "reviews",
    "hatn",
    "recommend",
    "speech_digits",
    "transcription",
    "translation",
    "summaries",
    "headlines",
    "names",
    "questions",
    "generation",
    "driving",
    "cells",
    "bearings",
    "turbofans",
    "molecules",
    "retina",
    "robots",
    "faces",
    "hospitals",
    "xrays",
    "coverage",
    "fairness",
    "tutorial",
    "private",
    "influence",
)

for name in sys.argv[1:] or NAMES:
    import_module(f"benchmarks.{name}").main()
