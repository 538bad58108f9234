"""``acclimate export``: a run's model in a folder of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from acclimate.cli import options
from acclimate.cli.show import counted, put, say


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "write the model of a run into a folder that needs nothing of the run"
    parser = options.verb(verbs, "export", about, run)
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("-o", "--out", metavar="DIR", required=True, help="folder that is written, absent or empty")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--forget-source-classes",
        metavar="CLASS,...",
        help="classes that only the source had: their weights and names are left out, and what remains is measured",
    )
    which.add_argument(
        "--only-target-classes",
        action="store_true",
        help="forget all that the target is known to lack (by permitted labels, or --target-shares)",
    )
    parser.add_argument("--source", action="append", metavar="DOMAIN", help="where the source is now, if it has moved")


def run(args: argparse.Namespace) -> None:
    """Export, and say what is left of what was to be forgotten."""
    from acclimate.runs.export import words
    from acclimate.runs.run import Run

    asked = [name.strip() for name in (args.forget_source_classes or "").split(",") if name.strip()]
    value = Run(args.run).export(
        Path(args.out), forget_classes=asked, only_target=args.only_target_classes, source=args.source
    )
    say(args, *(f"note: {note}" for note in value["notes"]))
    lines = [f"model {value['model']} of {args.run}: {value['output']}"]
    if value["forgotten"]:
        left = ", ".join(value["classes"])
        lines.append(f"{counted(len(value['forgotten']), 'class')} forgotten; it answers with one of {left}")
        lines += ["", *words(value)]
    put(args, value, *lines)
