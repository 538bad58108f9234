"""``acclimate explain --kind attribution``: which parts of a row speak for its answer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from acclimate.cli.show import counted, put, sign, table
from acclimate.errors import SettingsError

ABOUT = "words, columns, patches, atoms of a row that speak for its answer"
OUT = "explanations"
STRONGEST = 3
LONGEST = 40


def add(group: Any) -> None:
    """Declare the options."""
    group.add_argument("--rows", metavar="N,...", help="numbers of the rows, from 0; default the first ones")
    group.add_argument("--class", dest="answer", metavar="NAME", help="explain this class and not what is answered")


def run(args: argparse.Namespace) -> None:
    """Explain, and print what the explanations are worth before what they say."""
    from acclimate import api
    from acclimate.runs.explain import FILE, PAGE

    if args.data is None:
        raise SettingsError("explain needs --data: the rows whose answers are to be explained")
    out = Path(args.out or OUT)
    value = api.explain(
        args.run, args.data, out=out, input=args.input, rows=numbers(args.rows), limit=args.limit, answer=args.answer,
        seed=args.seed, lang=args.lang, device=args.device or "auto", tell=teller(args),
    )  # fmt: skip
    places = {"json": str(out / FILE), "page": str(out / PAGE)}
    put(args, {**value, **places}, *_lines(value), "", f"page: {places['page']}")


def numbers(text: str | None) -> list[int] | None:
    """``0,5`` as numbers.

    Raises:
        SettingsError: it holds something else.
    """
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise SettingsError(f"--rows: numbers with commas between them, as 0,5; found '{text}'") from None


def teller(args: argparse.Namespace) -> Any:
    """Tells on stderr how far it is, every tenth of the way."""

    def tell(done: int, total: int) -> None:
        if done * 10 // total > (done - 1) * 10 // total:
            end = "\n" if done == total or not sys.stderr.isatty() else "\r"
            print(f"explaining: {100 * done // total} %", end=end, file=sys.stderr, flush=True)

    return None if args.quiet or args.json else tell


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    methods = ", ".join(sorted({row["method"].replace("_", " ") for row in value["rows"]}))
    yield f"{counted(len(value['rows']), 'row')} of {value['data']}, {value['score']}, by {methods}"
    yield from value["said"]
    yield ""
    yield table([_row(row, value["task"]) for row in value["rows"]])


def _row(row: Mapping[str, Any], task: str) -> dict[str, str]:
    from acclimate.runs.report.explained import shown, titled
    from acclimate.tasks.registry import find

    parts = sorted(row["parts"], key=lambda part: -abs(part["score"]))[:STRONGEST]
    strongest = ", ".join(f"{_cut(part['name'])} {sign(part['score'])}" for part in parts)
    said = _cut(shown(row["answer"], find(task).shapes))
    return {"row": titled(row), "explained": said, "strongest parts": strongest}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
