"""What people and machines see: results on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from acclimate.digits import digits


def say(args: argparse.Namespace, *lines: str) -> None:
    """Remarks for people on stderr; none with ``--quiet`` or ``--json``."""
    if lines and not (args.quiet or args.json):
        print(*lines, sep="\n", file=sys.stderr, flush=True)


def put(args: argparse.Namespace, value: Mapping[str, Any], *lines: str) -> None:
    """The result on stdout: as one JSON object with ``--json``, else as text."""
    if args.json:
        print(json.dumps(value, ensure_ascii=False, allow_nan=False))
    else:
        print(*lines, sep="\n")


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Aligned columns under their names; columns that are empty in every row are left out."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    lines = [{name: name for name in names}, *rows]
    return "\n".join("  ".join(line[name].ljust(widths[name]) for name in names).rstrip() for line in lines)


def number(value: float | None) -> str:
    """With its `digits`; nothing for None."""
    return "" if value is None else f"{value:{digits(value)}}"


def between(value: float | None, interval: Sequence[float] | None) -> str:
    """A value with its 95 % interval."""
    return number(value) + (f" ({number(interval[0])} to {number(interval[1])})" if interval else "")


def signed(difference: Mapping[str, Any]) -> str:
    """A difference with a sign, and with its interval where there is one."""
    value, low, high = difference["value"], difference["low"], difference["high"]
    return sign(value) + ("" if low is None else f" ({sign(low)} to {sign(high)})")


def sign(value: float) -> str:
    """A number with its sign."""
    return f"{value:+{digits(value)}}"


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 10 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def counted(number: int, noun: str) -> str:
    """``1 class``, ``2 classes``."""
    return f"{number} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")


def counts(found: Mapping[str, int], top: int = 5) -> str:
    """``pos 30, neg 20, ...``: the most frequent ones."""
    first = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:top]
    return ", ".join(f"{name} {count}" for name, count in first) + (", ..." if len(found) > top else "")
