"""``acclimate resume``: continue a run after a kill."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from acclimate.cli import control, meta_train, options, outcome, pretrain
from acclimate.cli.progress import progress
from acclimate.cli.show import say

TELLERS = (
    (control, {"robot", "transitions"}),
    (meta_train, {"episodes", "evaluations"}),
    (outcome, {"arms"}),
)
"""Who prints what was found in the data and what came out, by keys that only they have; `pretrain` all else."""


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
        _teller(value).found(args, value)

    with progress(args) as show:
        done = api.resume(args.folder, found=said, show=show)
    if not continued:
        say(args, f"{args.folder} was finished before; this is what came out:")
    _teller(done.result).outcome(args, done.result)


def _teller(value: Mapping[str, Any]) -> Any:
    """A module with `found` and `outcome`."""
    return next((module for module, keys in TELLERS if keys & value.keys()), pretrain)
