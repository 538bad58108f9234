"""``acclimate resume``: continue a run after a kill."""

from __future__ import annotations

import argparse
from functools import partial

from acclimate.cli import options
from acclimate.cli.outcome import found, outcome
from acclimate.cli.progress import progress


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    parser = options.verb(verbs, "resume", "continue a run that was stopped or killed, bit for bit", run)
    parser.add_argument("folder", metavar="RUN", help="folder of the run")


def run(args: argparse.Namespace) -> None:
    """Continue, and print the outcome; a finished run is printed as it is."""
    from acclimate import api

    with progress(args) as show:
        done = api.resume(args.folder, found=partial(found, args), show=show)
    outcome(args, done.result)
