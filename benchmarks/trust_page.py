"""What docs/benchmarks.md says of privacy, coverage and groups of people, from the JSON of these benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    """Accuracy and gaps between all groups, and how often a method widened or narrowed which gap."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    changes: dict[tuple[str, str], list[str]] = {}
    for run in found["runs"]:
        for arm, value in run["arms"].items():
            if arm == run["method"] or run["method"] == found["runs"][0]["method"]:
                groups.setdefault((run["cell"], arm), []).append(value)
        if run["widened"]:
            tested = list(run["widened"].values())[-1]
            said = [f"{name} {each['change']}" for name, each in tested.items() if each["change"] in CHANGES]
            changes.setdefault((run["cell"], run["method"]), []).extend(said)
    rows = []
    for (name, arm), values in sorted(groups.items(), key=lambda each: each[0][0]):
        together = [_last(value) for value in values]
        said = changes.get((name, arm), [])
        told_of = ", ".join(f"{change} {said.count(change)} of {len(values)}" for change in sorted(set(said)))
        gaps = [_some([gap[rate] for gap in together if rate in gap]) for rate in RATES]
        rows.append([name, arm, cell([value["accuracy"] for value in values]), *gaps, told_of, str(len(values))])
    head = ["domains", "model", "accuracy", *(f"gap, {rate}" for rate in RATES), "against source_only", "seeds"]
    said = "\n".join(f"- {line}" for line in _over_all(groups, changes))
    title = f"## Groups of people across domains\n\n{told(found)}"
    return f"{title}\n\n{table(head, rows)}\nOver all pairs of domains:\n\n{said}\n"


def _over_all(
    groups: Mapping[tuple[str, str], list[Mapping[str, Any]]], changes: Mapping[tuple[str, str], list[str]]
) -> list[str]:
    """A sentence a method: accuracy, mean gaps, and what the tests found, against source_only."""
    lines = []
    for arm in dict.fromkeys(arm for _, arm in changes):
        cells = [name for name, other in changes if other == arm]
        moved = {"accuracy itself": _moved(groups, cells, arm, lambda value: value["accuracy"])}
        for rate in RATES:
            moved[f"gap in {rate}"] = _moved(groups, cells, arm, lambda value, rate=rate: _last(value).get(rate, 0.0))
        said = [change for name in cells for change in changes[name, arm]]
        count = sum(len(groups[name, arm]) for name in cells)
        tests = ", ".join(f"{change} {said.count(change)}" for change in sorted(set(said))) or "no gap changed"
        values = ", ".join(f"{name} {value:+.1f}" for name, value in moved.items())
        lines.append(f"`{arm}`: {values} (points, means); tested in {count} runs: {tests}.")
    return lines


def _moved(groups: Mapping[tuple[str, str], Any], cells: list[str], arm: str, of: Callable[[Any], float]) -> float:
    """Points that a figure of an arm lies above that of source_only, mean over pairs of domains."""
    return 100 * mean(mean(map(of, groups[name, arm])) - mean(map(of, groups[name, "source_only"])) for name in cells)


def _last(value: Mapping[str, Any]) -> Mapping[str, float]:
    """Gaps between the groups of all columns together."""
    return value["gaps"][list(value["gaps"])[-1]]


def _some(values: list[float]) -> str:
    return cell(values) if values else ""
