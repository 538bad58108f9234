"""``acclimate resume``: continue a run after a kill."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from acclimate.cli import meta_train, options, outcome, pretrain
from acclimate.cli.progress import progress
from acclimate.cli.show import say


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    parser = options.verb(verbs, "resume", "continue a run that was stopped or killed, bit for bit", run)
    parser.add_argument("folder", metavar="RUN", help="folder of the run")


def run(args: argparse.Namespace) -> None:
    """Continue, and print the outcome; a finished run is printed as it is."""
    from acclimate import api

    continued = False

    def said(value: Mapping[str, Any]) -> None:
        nonlocal continued
        continued = True
        (meta_train if "episodes" in value else outcome if "arms" in value else pretrain).found(args, value)

    with progress(args) as show:
        done = api.resume(args.folder, found=said, show=show)
    if not continued:
        say(args, f"{args.folder} was finished before; this is what came out:")
    result = done.result
    (meta_train if "evaluations" in result else outcome if "arms" in result else pretrain).outcome(args, result)
