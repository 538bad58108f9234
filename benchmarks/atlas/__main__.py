"""python -m benchmarks.atlas train|open|page|manifest; see the package."""

from __future__ import annotations

import argparse
import json

from benchmarks.atlas import opening, page, rules, worth
from benchmarks.atlas.cells import CELLS, QUICK, manifest
from benchmarks.atlas.train import train
from benchmarks.common import RESULTS, say

parser = argparse.ArgumentParser(prog="python -m benchmarks.atlas")
parser.add_argument("step", choices=("train", "open", "page", "manifest"))
parser.add_argument("--part", choices=("dev", "test"))
parser.add_argument("--quick", action="store_true", help="12 cells, one seed")
parser.add_argument("--cells", default="", help="names, separated by commas")
parser.add_argument("--seeds", help="with commas between them; default 0,1,2")
arguments = parser.parse_args()

names = arguments.cells.split(",") if arguments.cells else (QUICK if arguments.quick else CELLS)
chosen = [CELLS[name] for name in names if arguments.part in (None, CELLS[name].part)]
seeds = [int(seed) for seed in (arguments.seeds or ("0" if arguments.quick else "0,1,2")).split(",")]
if arguments.step == "train":
    train(chosen, seeds)
elif arguments.step == "open":
    for part in ("dev", "test") if arguments.part is None else (arguments.part,):
        cells = [cell for cell in chosen if cell.part == part]
        say(opening.write(part, cells, seeds))
        rules.study(part, opening.opened(cells, seeds))
        worth.study(part, opening.opened(cells, seeds))
elif arguments.step == "page":
    page.write()
else:
    lines = ",\n".join(json.dumps(cell) for cell in manifest())
    (RESULTS.parent / "atlas" / "manifest.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
