"""python -m benchmarks.atlas train|open|page|manifest; see the package."""

from __future__ import annotations

import argparse

from benchmarks.atlas.cells import CELLS, QUICK
from benchmarks.atlas.train import train

parser = argparse.ArgumentParser(prog="python -m benchmarks.atlas")
parser.add_argument("step", choices=("train",))
parser.add_argument("--part", choices=("dev", "test"))
parser.add_argument("--quick", action="store_true", help="12 cells")
parser.add_argument("--cells", default="", help="names, separated by commas")
parser.add_argument("--seeds", default="0,1,2")
arguments = parser.parse_args()

names = arguments.cells.split(",") if arguments.cells else (QUICK if arguments.quick else CELLS)
chosen = [CELLS[name] for name in names if arguments.part in (None, CELLS[name].part)]
if arguments.step == "train":
    train(chosen, [int(seed) for seed in arguments.seeds.split(",")])
