"""``acclimate leaderboard``: the arms of a run beside each other."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from acclimate.cli import options
from acclimate.cli.outcome import summary
from acclimate.cli.show import number, put, table


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "print the arms of a run with their scores without target labels, and with true ones after `evaluate`"
    parser = options.verb(verbs, "leaderboard", about, run)
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--validators", action="store_true", help="every validator's score of every arm too")


def run(args: argparse.Namespace) -> None:
    """Print the table, the decision, and what the guard said."""
    from acclimate.runs.run import Run

    result = Run(args.run).result
    lines = [*summary(result), *_warnings(result)]
    if args.validators:
        lines += ["", *validators(result)]
    put(args, result, *lines)


def validators(result: Mapping[str, Any]) -> list[str]:
    """A row a validator (higher is better), a column an arm."""
    scores = {row["name"]: row["label_free"].get("validators", {}) for row in result["arms"]}
    names = list(dict.fromkeys(name for found in scores.values() for name in found))
    if not names:
        return ["no validator rates these arms: they are for classes"]
    return [
        table(
            [{"validator": name, **{arm: number(found.get(name)) for arm, found in scores.items()}} for name in names]
        )
    ]


def _warnings(result: Mapping[str, Any]) -> list[str]:
    return [f"warning: arm '{row['name']}': {sentence}" for row in result["arms"] for sentence in row["warnings"]]
