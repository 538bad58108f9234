"""``acclimate inspect``: look at the domains before anything is trained."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from acclimate.cli import options
from acclimate.cli.outcome import data_lines
from acclimate.cli.show import between, put, say

NAMES = (
    *("source", "target", "input", "label", "target_input", "label_map", "group", "task", "modality"),
    *("backbone", "device", "precision", "seed"),
)
"""Options that are settings of a recipe."""


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "look at source and target: rows, duplicates, the gap, what shifted, which methods work"
    parser = options.verb(verbs, "inspect", about, run)
    parser.epilog = "Of the target only the inputs are read, never labels."
    options.domains(parser)
    parser.add_argument(
        "--backbone", metavar="NAME", help="whose frozen features the gap is measured on; default by modality"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of the sample and the folds (default 0)")
    options.place(parser)


def run(args: argparse.Namespace) -> None:
    """Look, and print."""
    from acclimate.runs import recipe
    from acclimate.runs.inspect import inspect

    value = inspect(recipe.parse(recipe.merge(recipe.environment(), options.given(args, *NAMES)), "inspect"))
    say(args, *value["data"]["notes"])
    put(args, value, *lines(value))


def lines(value: Mapping[str, Any]) -> list[str]:
    """What was found, for people."""
    inputs = f" of {', '.join(value['inputs'])}" if value["inputs"] else ""
    found = [f"{value['task']} {value['modality']}{inputs}", *data_lines(value["data"]), *gap_lines(value["gap"])]
    if value["shifts"]:
        found += ["most shifted:", *(f"  {shift['name']}: {shift['detail']}" for shift in value["shifts"])]
    found.append(f"methods that work with these data: {', '.join(value['methods'])}")
    if value["with_target_labels"]:
        found.append(f"with --target-label COLUMN also: {', '.join(value['with_target_labels'])}")
    return found


def gap_lines(gap: Mapping[str, Any] | None) -> list[str]:
    """The gap in a sentence; nothing where it could not be measured."""
    if gap is None:
        return []
    told = between(gap["domain_accuracy"], gap["interval"])
    return [
        f"gap: proxy A-distance {gap['proxy_a_distance']:.2f} of 2 on {gap['backbone']} features: "
        f"a linear classifier tells the domains apart with accuracy {told}, 0.5 is chance"
    ]
