"""``acclimate explain --kind moved``: what adaptation moved in the network, and what it forgot."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from acclimate.cli.show import number, put, table

ABOUT = "how alike each layer is before and after, and what was forgotten of the source"


def add(group: Any) -> None:
    """Declare the options of this kind; ``--arm`` is that of influence too."""
    group.add_argument(
        "--other-seed",
        action="append",
        default=[],
        metavar="RUN",
        help="the same recipe with another seed, for a band; repeatable",
    )


def run(args: argparse.Namespace) -> None:
    """Compare, and print it."""
    from acclimate.runs.report.moved import words
    from acclimate.runs.run import Run

    value = Run(args.run).moved(
        arm=args.arm,
        others=args.other_seed,
        source=args.source,
        out=Path(args.out or args.run),
        seed=args.seed,
        device=args.device or "auto",
    )
    put(args, value, *_table(value), *(english for english, _ in words(value)))


def _table(value: Mapping[str, Any]) -> Iterator[str]:
    sides = ("source", "target")
    if value["layers"]:
        yield f"arm {value['arm']}: likeness (CKA) of the layers of {value['backbone']} before and after; 1: no change"
        yield table([_row(layer, [side for side in sides if side in layer]) for layer in value["layers"]])
        yield ""


def _row(layer: Mapping[str, Any], sides: list[str]) -> dict[str, str]:
    row = {"layer": layer["layer"]}
    for side in sides:
        one = layer[side]
        band = "" if one["low"] is None else f" ({number(one['low'])} to {number(one['high'])})"
        row[side] = number(one["cka"]) + band
        row[f"{side}, random weights"] = number(one["floor"])
    return row
