"""``acclimate report``: the page that a person reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from acclimate.cli import options
from acclimate.cli.show import put, say, table


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "write the report of a run as one HTML file, or compare several runs"
    parser = options.verb(verbs, "report", about, run)
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folder of a run; several are compared")
    parser.add_argument("--lang", choices=("en", "zh"), help="English or Chinese; default that of the last time")
    parser.add_argument("-o", "--out", metavar="FILE", help="of several runs: the page (default comparison.html)")
    parser.add_argument("--open", action="store_true", help="show it in the browser")


def run(args: argparse.Namespace) -> None:
    """Write the page, print where it is and what it says first."""
    from acclimate.runs.report.report import report, verdict_of
    from acclimate.runs.report.several import as_text

    folders = list(dict.fromkeys(Path(name) for name in args.runs))
    page, rows = report(folders, language=args.lang, out=None if args.out is None else Path(args.out))
    value = {"report": str(page), "runs": rows}
    if len(folders) > 1:
        put(args, value, table(as_text(rows)), "", f"report: {page}")
    elif rows:
        put(args, value, verdict_of(folders[0], args.lang), f"report: {page}")
    else:
        put(args, value, f"report: {page}")
    if args.open:
        import webbrowser

        if not webbrowser.open(page.resolve().as_uri()):
            say(args, "note: no browser could be opened; open the file yourself")
