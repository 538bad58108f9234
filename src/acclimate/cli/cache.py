"""``acclimate cache``: what the feature cache holds, and how to make it smaller."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from acclimate.cli import options
from acclimate.cli.parser import Parser
from acclimate.cli.show import duration, put, table

if TYPE_CHECKING:
    from acclimate.backbones.entries import Entry


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "list or clear the features of frozen backbones that are kept on disk"
    inner = verbs.add_parser("cache", help=about, description=f"{about[0].upper()}{about[1:]}.")
    what = inner.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    options.verb(what, "list", "one line an entry, the one used last first", show)
    parser = options.verb(what, "clear", "remove entries that no process is using: all, or those that are named", clear)
    parser.add_argument("--older-than", metavar="TIME", help="only those not used for 90s, 5m, 1.5h, 30d, ...")
    parser.add_argument("--backbone", metavar="NAME", help="only those of this backbone")


def show(args: argparse.Namespace) -> None:
    """Print what there is."""
    from acclimate.backbones import entries

    found = entries.entries()[::-1]
    most, held = entries.bound(), sum(entry.size for entry in found)
    told = f"{_several(found)}, {_size(held)} of at most {_size(most)} ({entries.SIZE}), in {entries.root()}"
    lines = [table([_line(entry) for entry in found])] if found else []
    value = {"folder": str(entries.root()), "bound": most, "size": held, "entries": [_value(entry) for entry in found]}
    put(args, value, *lines, told)


def clear(args: argparse.Namespace) -> None:
    """Remove, and say what is gone."""
    from acclimate.backbones import entries
    from acclimate.errors import SettingsError, unknown
    from acclimate.runs.recipe import seconds

    age = None if args.older_than is None else seconds(args.older_than, "--older-than")
    backbone = None if args.backbone is None else entries.slug(args.backbone)
    known = {entry.backbone for entry in entries.entries()}
    if backbone is not None and backbone not in known:
        raise SettingsError(f"--backbone: {unknown('backbone in the cache', args.backbone, known)}")
    gone, kept = entries.clear(age, backbone)
    told = f"removed {_several(gone)}, {_size(sum(entry.size for entry in gone))}"
    told += f"; {_several(kept)} in use and left" if kept else ""
    put(args, {"removed": [_value(entry) for entry in gone], "in_use": [_value(entry) for entry in kept]}, told)


def _line(entry: Entry) -> dict[str, str]:
    """An entry for people."""
    return {
        "entry": entry.path.stem[:8],
        "backbone": entry.backbone,
        "layer": entry.layer,
        "precision": entry.precision,
        "rows": str(entry.rows),
        "width": str(entry.width),
        "size": _size(entry.size),
        "last used": f"{_ago(time.time() - entry.used)} ago",
    }


def _value(entry: Entry) -> dict[str, Any]:
    """An entry for machines."""
    return {**asdict(entry), "path": str(entry.path), "entry": entry.path.stem}


def _several(found: Sequence[object]) -> str:
    return "1 entry" if len(found) == 1 else f"{len(found)} entries"


def _ago(seconds: float) -> str:
    days = seconds / 86400
    return duration(max(0.0, seconds)) if days < 2 else f"{days:.0f} days"


def _size(count: float) -> str:
    """``123 B``, ``4.5 kB``, ``678 MB``, ``20 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if count < 100 else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
