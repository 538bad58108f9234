"""What docs/benchmarks.md says of influence, from the JSON of `benchmarks.influence`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from benchmarks.common import table
from benchmarks.sites_page import told

PREDICTORS = ("newton", "influence", "gradient", "rows removed")
COLUMNS = {
    "same": "all sizes",
    "same, one size": "one size",
    "other": "all sizes, other target rows",
    "other, one size": "one size, other target rows",
}


def influence(found: Mapping[str, Any]) -> str:
    """Correlation of predicted and measured changes, by task and predictor."""
    rows = []
    for name in dict.fromkeys(run["cell"] for run in found["runs"]):
        runs = [run["correlation"] for run in found["runs"] if run["cell"] == name]
        for predictor in PREDICTORS:
            rows.append([name, predictor, *(_cell([run[predictor].get(key) for run in runs]) for key in COLUMNS)])
    held = {(name, predictor): _mean(found, name, predictor) for name, predictor, *_ in rows}
    above = sorted({name for (name, predictor), value in held.items() if predictor == "newton" and value > 0.3})
    below = sorted({name for name, _ in held} - set(above))
    said = f"Above 0.3 by one Newton step, all sizes: {', '.join(above) or 'nothing'}."
    said += f" Not above: {', '.join(below)}." if below else ""
    head = ["source to target", "predicted by", *COLUMNS.values()]
    return f"## Influence of source rows, verified by removal\n\n{told(found)}\n\n{table(head, rows)}\n{said}\n"


def _mean(found: Mapping[str, Any], name: str, predictor: str) -> float:
    return mean(run["correlation"][predictor]["same"] for run in found["runs"] if run["cell"] == name)


def _cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    return f"{mean(known):.2f}" + (f" ({stdev(known):.2f})" if len(known) > 1 else "")
