"""What docs/benchmarks.md says of privacy, coverage and groups of people, from the JSON of these benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from benchmarks.common import table
from benchmarks.sites_page import cell, told

RATES = ("accuracy", "selection_rate", "true_positive_rate")
CHANGES = ("widened", "narrowed")


def private(found: Mapping[str, Any]) -> str:
    """Accuracy by budget."""
    groups: dict[tuple[str, float | None], list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        groups.setdefault((run["task"], run["epsilon"]), []).append(run)
    rows = [
        [task, "none" if epsilon is None else f"{epsilon:g}",
         *(cell([run["accuracy"][where]["accuracy"] for run in runs]) if where in runs[0]["accuracy"] else ""
           for where in ("target", "source")),
         str(len(runs))]
        for (task, epsilon), runs in groups.items()
    ]  # fmt: skip
    head = ["task", "epsilon", "target", "source's test rows", "seeds"]
    return f"## What differential privacy costs\n\n{told(found)}\n\n{table(head, rows)}"


def coverage(found: Mapping[str, Any]) -> str:
    """What sets of 90 % held, by cell, and calibration errors."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        groups.setdefault(run["cell"], []).append(run)
    rows = [
        [name, runs[0]["kind"], ", ".join(sorted({run["promise"] for run in runs})),
         _some([run["coverage"] for run in runs if run["coverage"] is not None]), cell([run["plain"] for run in runs]),
         *(f"{mean(run['ece'][heat] for run in runs):.3f}" for heat in runs[0]["ece"]), str(len(runs))]
        for name, runs in groups.items()
    ]  # fmt: skip
    heats = list(found["runs"][0]["ece"])
    whole = found["summary"]
    short = (
        f"Of {whole['runs']} runs {whole['promised']} were promised sets; {whole['within']} of these are within two "
        f"points of 90 %, {whole['not_below']} are not below 88 %. {whole['flagged']} runs were flagged: no promise."
    )
    head = ["cell", "kind of shift", "promise", "coverage", "plain sets", *(f"ECE, {heat}" for heat in heats), "seeds"]
    return f"## Prediction sets of 90 % on the atlas\n\n{told(found)}\n\n{short}\n\n{table(head, rows)}"


def fairness(found: Mapping[str, Any]) -> str:
    """Accuracy and gaps between all groups, and how often a method widened or narrowed the gap in accuracy."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    changes: dict[tuple[str, str], list[str]] = {}
    for run in found["runs"]:
        for arm, value in run["arms"].items():
            if arm == run["method"] or run["method"] == found["runs"][0]["method"]:
                groups.setdefault((run["cell"], arm), []).append(value)
        if run["widened"]:
            change = list(run["widened"].values())[-1].get("accuracy", {}).get("change", "no_evidence")
            changes.setdefault((run["cell"], run["method"]), []).append(change)
    rows = []
    for (name, arm), values in sorted(groups.items(), key=lambda each: each[0][0]):
        together = [value["gaps"][list(value["gaps"])[-1]] for value in values]
        said = changes.get((name, arm), [])
        told_of = ", ".join(f"{change} {said.count(change)} of {len(said)}" for change in CHANGES if change in said)
        gaps = [_some([gap[rate] for gap in together if rate in gap]) for rate in RATES]
        rows.append([name, arm, cell([value["accuracy"] for value in values]), *gaps, told_of, str(len(values))])
    head = ["domains", "model", "accuracy", *(f"gap, {rate}" for rate in RATES), "against source_only", "seeds"]
    return f"## Groups of people across domains\n\n{told(found)}\n\n{table(head, rows)}"


def _some(values: list[float]) -> str:
    return cell(values) if values else ""
