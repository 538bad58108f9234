"""``acclimate explain --kind influence``: which source rows helped or hurt on the target."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from acclimate.cli.show import counted, number, put, say, table

ABOUT = "which source rows helped or hurt on the target, checked by training again without them"
ANSWERS = {"yes": "yes", "no_evidence": "no evidence"}
CHARACTERS = 60


def add(group: Any) -> None:
    """Declare the options of this kind."""
    group.add_argument(
        "--target-label",
        metavar="COLUMN",
        help="labels of --data, or of the run's target: they are opened, which is recorded; without it rows are judged "
        "by the model's own surest answers",
    )
    group.add_argument(
        "--remove",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="of the source that is removed from the top, the bottom and three times at random, to train again "
        "(default 0.05; 0: no check)",
    )
    group.add_argument("--arm", metavar="NAME", help="of the run; default that of the deployed model")
    group.add_argument("--force", action="store_true", help="judge also by rows that were trained on with labels")


def run(args: argparse.Namespace) -> None:
    """Score, train again, and print what came out."""
    from acclimate.runs.run import Run

    value = Run(args.run).influence(
        data=args.data,
        label=args.target_label,
        input=args.input,
        arm=args.arm,
        remove=args.remove,
        source=args.source,
        out=Path(args.out or args.run),
        force=args.force,
        seed=args.seed,
        device=args.device or "auto",
        say=partial(say, args),
    )
    say(args, *(f"note: {note}" for note in value["notes"]))
    put(args, value, *_lines(value))


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    target, source, check = value["target"], value["source"], value["check"]
    judges = f"{target['rows']} rows of {target['name']}"
    yield f"arm {value['arm']}: {counted(source['rows'], 'source row')}, judged by {judges}"
    yield f"by the {value['about']}"
    for name, title in (("helpful", "helped most"), ("harmful", "hurt most")):
        yield ""
        yield f"{title}:" if value[name] else f"no row {title.split()[0]}"
        if value[name]:
            yield table(_rows(value[name]))
    if check is not None:
        yield ""
        yield from _checked(check)
    yield ""
    yield f"scores of all rows: {value['output']}"


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    from acclimate.runs.report.influence import as_text

    several = len({row["domain"] for row in rows}) > 1
    return [
        {
            "row": str(row["row"]),
            "of": row["domain"] if several else "",
            "label": row["label"],
            "score": f"{row['score']:+.2e}",
            "what": as_text(row["shown"])[:CHARACTERS],
        }
        for row in rows
    ]


def _checked(check: Mapping[str, Any]) -> Iterator[str]:
    """What training again has shown."""
    nothing = {"predicted": None, "measured": 0.0, "metric": check["before"]["metric"]}
    named = [("nothing", nothing), ("said to hurt", check["harmful"]), ("said to help", check["helpful"])]
    named += [(f"random {k + 1}", one) for k, one in enumerate(check["random"])]
    yield (
        f"trained again without {counted(check['removed'], 'row')}, chosen by one half of the target's rows and judged "
        f"by the other ({check['judged']}); loss {number(check['before']['loss'])} before:"
    )
    yield table(
        [
            {
                "removed": name,
                "predicted change": "" if one["predicted"] is None else f"{one['predicted']:+.4f}",
                "measured change": f"{one['measured']:+.4f}",
                check["primary"]: number(one["metric"]),
            }
            for name, one in named
        ]
    )
    yield f"removing what was said to hurt helps: {ANSWERS[check['removing_harmful_helps']]}"
    yield f"removing what was said to help hurts: {ANSWERS[check['removing_helpful_hurts']]}"
