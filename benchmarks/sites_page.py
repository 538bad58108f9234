"""What docs/benchmarks.md says of x-rays and of the tutorial, from the JSON of these benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from benchmarks.common import table


def xrays(found: Mapping[str, Any]) -> str:
    """Accuracy under another scanner."""
    values: dict[str, list[float]] = {}
    decided: dict[str, list[str]] = {}
    for run in found["runs"]:
        for name, arm in run["arms"].items():
            shown = "oracle" if run["arm"] == "oracle" else name
            if shown != "source_only" or run["arm"] == found["runs"][0]["arm"]:
                values.setdefault(shown, []).append(arm["accuracy"])
        decided.setdefault(run["arm"], []).append(f"{run['decision']} / {run['verdict']}")
    rows = [[name, cell(each), ", ".join(decided.get(name, []))] for name, each in values.items()]
    return f"## Chest x-rays by another scanner\n\n{told(found)}\n\n{table(['arm', 'accuracy', 'outcomes'], rows)}"


def tutorial(found: Mapping[str, Any]) -> str:
    """Accuracy of both networks, frozen and tuned."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        groups.setdefault((run["network"], run["tune"]), []).append(run)
    rows = [
        [name, tune, cell([run["accuracy"] for run in runs]), f"{mean(run['seconds'] for run in runs):.0f}"]
        for (name, tune), runs in groups.items()
    ]
    head = ["MobileNetV2 of", "tune", "accuracy", "seconds"]
    return f"## The tutorial, in Keras and in torch\n\n{told(found)}\n\n{table(head, rows)}"


def told(found: Mapping[str, Any]) -> str:
    """The protocol as a paragraph."""
    said = " ".join(str(found["protocol"]).split()).removeprefix("Protocol: ")
    return said[0].upper() + said[1:]


def cell(values: Sequence[float]) -> str:
    """Per cent: mean, and the deviation between seeds."""
    spread = f" ({100 * stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"
