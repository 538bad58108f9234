"""``acclimate audit``: what models tell of the rows that they were trained on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from acclimate.cli import options
from acclimate.cli.show import number, put, say, table

ATTACKS = {"loss": "loss", "lira": "LiRA", "rmia": "RMIA"}


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "try to tell which rows the models of a run were trained on (membership inference)"
    parser = options.verb(verbs, "audit", about, run)
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--members", action="append", required=True, metavar="DOMAIN", help="labelled rows of the source"
    )
    parser.add_argument(
        "--non-members", action="append", required=True, metavar="DOMAIN", help="labelled rows like them, never seen"
    )
    parser.add_argument(
        "--shadows", type=int, default=0, metavar="N", help="shadow models for LiRA and RMIA (default 0)"
    )
    parser.add_argument(
        "--canaries",
        type=int,
        default=0,
        metavar="N",
        help="plant half of N rows with wrong labels and train once more",
    )
    parser.add_argument(
        "--source-free", nargs="?", const="shot", metavar="METHOD",
        help="also train this arm, which adapts the source's model on the target alone, and attack it (default shot)",
    )  # fmt: skip
    parser.add_argument("--budget", metavar="TIME", help="for these trainings together: 90s, 5m, 1.5h")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of halves, canaries and trainings (default 0)"
    )
    options.place(parser, precision=False)


def run(args: argparse.Namespace) -> None:
    """Attack, and print how well that went."""
    from acclimate.runs.report.audit import summary
    from acclimate.runs.run import Run

    value = Run(args.run).audit(
        args.members,
        args.non_members,
        shadows=args.shadows,
        canaries=args.canaries,
        budget=args.budget,
        source_free=args.source_free,
        seed=args.seed,
        device=args.device or "auto",
    )
    say(args, *value["notes"])
    head = f"{value['members']} members, {value['others']} others"
    put(args, value, head, *_lines(value), "", summary(value)["en"])


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    rows = [_row(arm, ATTACKS[name], found) for arm, each in value["arms"].items() for name, found in each.items()]
    planted = value["canaries"]
    rows += [_row(arm, "planted", found) for arm, found in (planted or {}).get("arms", {}).items()]
    yield table(rows)
    if value["claimed"] is not None:
        said = "PROVES MORE THAN WAS CLAIMED" if value["broken"] else "no attack proves more"
        yield f"claimed: epsilon {number(value['claimed'])}; {said}"


def _row(arm: str, attack: str, found: Mapping[str, Any]) -> dict[str, str]:
    low, high = found["auc_interval"]
    row = {"arm": arm, "attack": attack, "AUC": f"{number(found['auc'])} ({number(low)} to {number(high)})"}
    for rate, hit in found["tpr"].items():
        shown = (
            "too few others"
            if hit is None
            else f"{number(hit['value'])} ({number(hit['low'])} to {number(hit['high'])})"
        )
        row[f"TPR at FPR {rate}"] = shown
    return {**row, "epsilon at least": number(found["least_epsilon"])}
