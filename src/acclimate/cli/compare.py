"""``acclimate compare``: several methods side by side, and one model of the best without target labels."""

from __future__ import annotations

import argparse
from typing import Any

from acclimate.cli import adapt, options
from acclimate.errors import SettingsError


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "train several methods, rate them without target labels, and teach one model what the best say together"
    parser = options.verb(verbs, "compare", about, run)
    adapt.declare(parser)
    parser.add_argument(
        "--methods",
        metavar="NAMES",
        help="names with commas between them, with settings if wanted (mcc,mcc:strength=0.3), or all; default those "
        "that suit the data",
    )


def run(args: argparse.Namespace) -> None:
    """It is `adapt --method auto` with the candidates named."""
    method: dict[str, Any] = {"name": "auto"}
    if args.methods is not None:
        method["candidates"] = [name.strip() for name in args.methods.split(",")]
        if "" in method["candidates"]:
            raise SettingsError("--methods: names with commas between them, as in --methods dann,mcc; one is empty")
    if any(word.partition("=")[0].strip() in ("method", "method.name") for word in args.set or ()):
        raise SettingsError(
            "compare trains several methods: name them with --methods, or use `acclimate adapt --method`"
        )
    adapt.carry_out(args, {"method": method})
