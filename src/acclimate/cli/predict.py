"""``acclimate predict``: answers for new rows."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from acclimate.cli import options
from acclimate.cli.show import put, say


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "predict new rows: their columns, and prediction, confidence and probabilities"
    parser = options.verb(verbs, "predict", about, run)
    parser.add_argument("run", metavar="RUN", help="folder of the run, or of a model")
    parser.add_argument("--data", required=True, metavar="DOMAIN", help=options.LOCATOR)
    parser.add_argument(
        "--input", action="append", metavar="COLUMN", help="input column, if it is named otherwise than in training"
    )
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="csv, tsv, jsonl (also .gz), parquet or arrow; default CSV to stdout"
    )
    parser.add_argument("-k", type=int, metavar="N", help="of a ranking: items that each user is offered (default 10)")
    parser.add_argument(
        "--masks", metavar="DIR", help="of task segment: masks as PNG files, in the values of those that were learned"
    )
    parser.add_argument(
        "--sets", type=options.share, metavar="COVERAGE",
        help="add sets of classes (intervals of numbers) that hold the truth in this share of the rows, such as 0.9",
    )  # fmt: skip
    parser.add_argument(
        "--abstain", type=options.share, metavar="ERROR_RATE",
        help="leave rows unanswered so that at most this share of the answers is wrong, such as 0.05",
    )  # fmt: skip
    parser.add_argument(
        "--equal-opportunity", metavar="COLUMN",
        help="of two classes: a threshold for each group of people in this column, one of adapt's --sensitive",
    )  # fmt: skip
    options.place(parser, precision=False)


def run(args: argparse.Namespace) -> None:
    """Predict in chunks: rows are never all in memory, unless ``--json`` asks for them without ``--out``."""
    from acclimate import api

    model = api.load(args.run, device=args.device or "auto")
    if model.origin.get("decision") == "do_not_deploy":
        say(args, f"warning: the decision of {args.run} was do_not_deploy; do not rely on these answers")
    said: dict[str, Any] = {"task": model.task, "classes": list(model.classes), "model": model.origin}
    said |= {"masks": args.masks} if args.masks else {}
    asked: dict[str, Any] = {
        name: getattr(args, name) for name in ("input", "k", "masks", "sets", "abstain", "equal_opportunity")
    }
    if args.out:
        model.predict(args.data, output=args.out, **asked)
        say(args, *(f"note: {note}" for note in model.notes))
        put(args, {"output": args.out, **said}, *filter(None, (args.out, args.masks)))
        return
    with tempfile.TemporaryDirectory(prefix="acclimate-") as scratch:
        # Through a file: what is wrong with the last row shows before the first is printed.
        path = Path(scratch) / ("answers.jsonl" if args.json else "answers.csv")
        model.predict(args.data, output=path, **asked)
        say(args, *(f"note: {note}" for note in model.notes))
        with path.open(encoding="utf-8", newline="") as answers:
            if args.masks and not args.json:
                put(args, said, args.masks)
            elif args.json:
                import json

                put(args, {"rows": [json.loads(line) for line in answers], **said})
            else:
                shutil.copyfileobj(answers, sys.stdout)
