"""``acclimate explain --kind domains``: which parts of rows tell the target from the source."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from acclimate.cli.kinds.attribution import OUT, teller
from acclimate.cli.show import put, signed, table

ABOUT = "columns, words, patches that tell the target from the source"
SHOWN = 12


def add(group: Any) -> None:
    """Declare the options."""
    group.add_argument(
        "--target", action="append", metavar="DOMAIN", help="rows of the target; default those of the run"
    )


def run(args: argparse.Namespace) -> None:
    """Explain, and print the parts that tell most."""
    from acclimate import api
    from acclimate.runs.explain_domains import FILE, PAGE

    out = Path(args.out or OUT)
    value = api.explain_domains(
        args.run, source=args.source, target=args.target, out=out, limit=args.limit, seed=args.seed, lang=args.lang,
        device=args.device or "auto", tell=teller(args),
    )  # fmt: skip
    places = {"json": str(out / FILE), "page": str(out / PAGE)}
    put(args, {**value, **places}, *_lines(value), "", f"page: {places['page']}")


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    yield from value["said"]
    yield ""
    rows = [
        {
            "part": part["name"],
            "tells apart by": signed({**part, "value": part["apart"]}),
            "mean in the target": f"{part['target']:+.3f}",
            "mean in the source": f"{part['source']:+.3f}",
            "rows": str(part["rows"]),
        }
        for part in value["parts"][:SHOWN]
    ]
    if rows:
        yield table(rows)
