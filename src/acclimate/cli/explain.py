"""``acclimate explain``: why a model answers as it does."""

from __future__ import annotations

import argparse
from types import ModuleType

from acclimate.cli import options
from acclimate.cli.kinds import attribution, domains, influence, moved

KINDS: dict[str, ModuleType] = {
    "attribution": attribution,
    "domains": domains,
    "influence": influence,
    "moved": moved,
}
"""What can be explained. A module has ``ABOUT``, ``add(group)``, which declares options of its own, and ``run``."""


def add(verbs: options.Verbs) -> None:
    """Declare the options that all kinds share, then those of each."""
    parser = options.verb(verbs, "explain", "say why a model answers as it does, and whether that can be believed", run)
    parser.add_argument("run", metavar="RUN", help="folder of the run, or of a model")
    told = "; ".join(f"{name}: {kind.ABOUT}" for name, kind in KINDS.items())
    parser.add_argument("--kind", choices=KINDS, default="attribution", help=f"{told} (default attribution)")
    parser.add_argument("--data", metavar="DOMAIN", help=options.LOCATOR)
    parser.add_argument(
        "--input", action="append", metavar="COLUMN", help="input column, if it is named otherwise than in training"
    )
    parser.add_argument(
        "--source",
        action="append",
        metavar="DOMAIN",
        help="the source, if it is not where the run had it; another one of --kind domains",
    )
    parser.add_argument("-o", "--out", metavar="DIR", help="folder that is written")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="rows that are explained (default 20; 100 of --kind domains)"
    )
    parser.add_argument("--lang", choices=("en", "zh"), help="of the page (default en)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")
    for name, kind in KINDS.items():
        kind.add(parser.add_argument_group(f"--kind {name}"))
    options.place(parser, precision=False)


def run(args: argparse.Namespace) -> None:
    """Explain what was asked for."""
    KINDS[args.kind].run(args)
