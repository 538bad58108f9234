"""``acclimate demo``: from rendered to handwritten digits, from the gap to the verdict."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from acclimate.cli import evaluate, options
from acclimate.cli.inspect import gap_lines
from acclimate.cli.outcome import found, report_line, summary
from acclimate.cli.progress import progress
from acclimate.cli.show import say


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "adapt from digits that fonts draw to digits that people write, in under three minutes"
    parser = options.verb(verbs, "demo", about, run)
    parser.add_argument(
        "-o", "--out", dest="folder", metavar="RUN", default="runs/demo", help="folder of the run, which is replaced"
    )


def run(args: argparse.Namespace) -> None:
    """Tell the story in order; ``--json`` gives what `evaluate --json` gives."""
    from acclimate.runs.demo import demo

    say(args, "Source: digits rendered with fonts, with labels. Target: handwritten digits, without.", "")
    with progress(args) as show:
        value = demo(
            Path(args.folder),
            looked=lambda seen: say(args, *gap_lines(seen)),
            found=partial(found, args),
            decided=partial(_decided, args),
            show=show,
        )
    evaluate.tell(args, value)
    say(args, *report_line(args.folder))


def _decided(args: argparse.Namespace, result: Mapping[str, Any]) -> None:
    said = "Now the seal is opened: labels of handwritten digits that no training saw."
    say(args, "", *summary(result), "", said, "")
