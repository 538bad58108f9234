"""``acclimate label-plan``: which target rows to label next, and what labels would buy."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from acclimate.cli import options
from acclimate.cli.show import put, say


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "choose the target rows whose labels would teach most, and say what labels would buy"
    parser = options.verb(verbs, "label-plan", about, run)
    parser.epilog = (
        "No target label is looked at. Fill the empty column, rows may stay empty, and give the file back: "
        "acclimate adapt --source S --target T --target FILE --target-label COLUMN ..."
    )
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("-n", type=int, default=50, metavar="N", help="how many rows (default 50)")
    parser.add_argument(
        "-o", "--out", required=True, metavar="FILE", help="csv, tsv, jsonl (also .gz), parquet or arrow"
    )
    parser.add_argument("--force", action="store_true", help="replace that file, and labels that it may hold")
    options.place(parser, precision=False)


def run(args: argparse.Namespace) -> None:
    """Write the file, and say what is in it."""
    from acclimate.runs.run import Run

    report = Run(args.run).label_plan(args.n, args.out, device=args.device or "auto", force=args.force)
    put(args, report, args.out)
    if report["rows"] < args.n:
        say(args, f"asked for {args.n} rows: no more than {report['rows']} differ and are not labelled yet")
    say(args, *lines(report))


def lines(report: Mapping[str, Any]) -> list[str]:
    """What was chosen, and what labels buy, as sentences."""
    label, expected, found = report["label"], report["expected"], report["worth"]
    told = [
        f"{report['rows']} of {report['of']} target rows, in the order to label them: {len(report['committee'])} arms "
        f"dispute each one (its score), and it differs from those before; fill the column '{label}' (rows may stay "
        "empty)",
    ]
    for name, guess in expected.items():
        by = "measured by evaluate" if guess["by"] == "evaluation" else "estimated from confidence, which may flatter"
        told.append(
            f"{name}: accuracy {guess['value']:.2f} ({guess['low']:.2f} to {guess['high']:.2f}) on the target, {by}"
        )
    if report["curve"] is None:
        return [*told, "no learning curve: too few held-out source rows, sparse features, or numbers"]
    bought = report["bought"]["accuracy"]
    told.append(
        f"{report['bought']['labels']} labels alone, for a head on the features as they are: accuracy about "
        f"{bought['value']:.2f} ({bought['low']:.2f} to {bought['high']:.2f})"
    )
    told += [f"what {name} gives is worth {_labels(amount)} target labels" for name, amount in found.items()]
    return [*told, "measured on the source, as if the target were as hard: take it for a rough guide"]


def _labels(amount: Mapping[str, float | None]) -> str:
    if amount["low"] is None:
        return "more than any number of"
    if amount["value"] is None or amount["high"] is None:
        return f"at least {amount['low']:.0f}, maybe more than any number of"
    return f"about {amount['value']:.0f} ({amount['low']:.0f} to {amount['high']:.0f})"
