"""From product reviews to movie reviews: what a sentiment classifier of one shop is worth for another.

Needs two files of reviews (JSON lines with `text` and `label`), which no package ships; the folder that holds
them is $ACCLIMATE_DATA, or ../shared/data beside the checkout.

    python examples/reviews.py [--backbone minilm] [--method source_only] [--tune frozen] [--rows 2000]
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import acclimate as ac
from acclimate.seeds import generator

SOURCE, TARGET = "text/amazon4_blitzer_raw.jsonl.gz", "text/imdb_2000.jsonl.gz"


def folder() -> Path:
    """Where the reviews are; ends the program with what is missing."""
    place = Path(os.environ.get("ACCLIMATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    lacking = [name for name in (SOURCE, TARGET) if not (place / name).is_file()]
    if lacking:
        sys.exit(f"{place}: {' and '.join(lacking)} not found; name the folder in $ACCLIMATE_DATA")
    return place


def main(
    backbone: str = "minilm", method: str = "source_only", tune: str = "frozen", rows: int = 2000
) -> dict[str, Any]:
    """Train on electronics, adapt to the first half of the movie reviews, evaluate on the second."""
    place = folder()
    source = ac.read(f"{place / SOURCE}?domain=electronics", input="text", label="label")
    movies = ac.read(place / TARGET, input="text", label="label")
    shuffled = generator(0, "reviews").permutation(len(movies))[:rows]
    seen, test = np.array_split(shuffled, 2)
    source = source.select(generator(0, "source").permutation(len(source))[:rows])
    run = ac.adapt(source, movies.select(seen).sealed(), backbone=backbone, method=method, tune=tune)
    print(f"decision without movie labels: {run.decision}")
    for reason in run.reasons:
        print(f"  {reason}")
    found = run.evaluate(replace(movies.select(test), name="movie reviews"))
    for arm, scored in found["arms"].items():
        low, high = scored["intervals"]["accuracy"]
        print(f"{arm:12s} accuracy {scored['metrics']['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f})")
    print(f"verdict: {found['verdict']}")
    print(run.predict(["a quiet, moving film", "two hours that I want back"]).to_string(index=False))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--method", default="source_only")
    parser.add_argument("--tune", default="frozen")
    parser.add_argument("--rows", type=int, default=2000)
    main(**vars(parser.parse_args()))
