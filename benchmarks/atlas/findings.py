"""What the atlas says in sentences, over whole data sets, and where one should not rely on it."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

from benchmarks.atlas.cells import CELLS, Cell
from benchmarks.common import table

HARM = 5
"""Harm, in per cent of the runs, that is aimed at."""
KINDS = ("natural", "shares", "missing")


def brief(rows: list[dict[str, Any]], rules: Mapping[str, Any]) -> str:
    """The main figures in sentences, misses included."""
    found = rules["deployed"]["natural"]
    picks = {name: rules[name]["natural"]["regret"] for name in rules if name.startswith("top 1 by ")}
    first = min(picks, key=lambda name: picks[name])
    rivals = {name: rules[name]["natural"]["regret"] for name in ("average of all", "source_only")}
    told = ", ".join(f"{name} {value:.1f}" for name, value in {first: picks[first], **rivals}.items())
    aims = {
        "regret at most 1.5": found["regret"] <= 1.5,
        "gain at least 6": found["gain"] >= 6,
        f"harm at most {HARM} %": found["harm"] <= HARM,
    }
    said = ", ".join(f"{aim} ({'met' if met else 'missed'})" for aim, met in aims.items())
    natural = [row for row in rows if row["kind"] == "natural" and row["method"] != "auto"]
    gains = {name: mean(row["gain"] for row in natural if arm(row) == name) for name in map(arm, natural)}
    fixed = max(gains, key=lambda name: gains[name])
    return (
        f"On natural cells the deployed model has a regret of {found['regret']:.1f}, gains {found['gain']:.1f} points "
        f"and harms {found['harm']:.0f} % of the runs; regrets of its rivals: {told}. Always the arm that turned out "
        f"best, {fixed}, gains {gains[fixed]:.1f}. What was aimed at: {said}.\n"
    )


def failures(rows: list[dict[str, Any]], rules: Mapping[str, Any]) -> str:
    """Where one should not rely on what is above."""
    natural = [row for row in rows if row["kind"] == "natural"]
    gains = {name: mean(row["gain"] for row in natural if arm(row) == name) for name in sorted(map(arm, natural))}
    arms = [f"`{name}` {gain:+.1f}" for name, gain in gains.items() if gain < 0]
    worse = [
        f"{name.removeprefix('top 1 by ')} {value['natural']['gain']:+.1f}"
        for name, value in rules.items()
        if name.startswith("top 1 by ") and value["natural"]["gain"] < 0
    ]
    parts = {
        **{f"cells of kind {kind}": rules["deployed"][kind] for kind in KINDS if kind in rules["deployed"]},
        **{f"natural {modality}": value for modality, value in rules["deployed"]["modality"].items()},
    }
    harmed = [f"{name} {value['harm']:.0f} %" for name, value in parts.items() if value["harm"] > HARM]
    lines = [
        f"- arms that lose on average: {', '.join(arms) or 'none'}",
        f"- picks that lose on average: {', '.join(worse) or 'none'}",
        f"- where the deployed model harms more than {HARM} % of the runs: {', '.join(harmed) or 'nowhere'}",
    ]
    return "### What does not work\n\n" + "\n".join(lines) + "\n"


def whole(rows: list[dict[str, Any]]) -> str:
    """Data sets of which every pair is there, over both parts."""
    body = []
    for dataset in dict.fromkeys(cell.dataset for cell in CELLS.values()):
        cells = [c for c in CELLS.values() if c.dataset == dataset and c.kind == "natural" and c.tune == "frozen"]
        seeds = [{row["seed"] for row in rows if row["cell"] == cell.name} for cell in cells]
        both = sorted(set.intersection(*seeds)) if seeds else []
        if both:
            means = {
                name: [_over(rows, cells, seed, name) for seed in both] for name in ("source_only", "auto", "deployed")
            }
            gain = [new - old for new, old in zip(means["deployed"], means["source_only"], strict=True)]
            body.append(
                [
                    dataset,
                    str(len(cells)),
                    ", ".join(map(str, both)),
                    *map(spread, means.values()),
                    f"{mean(gain):+.1f}",
                ]
            )
    told = (
        "All natural pairs on frozen features, over both parts: mean over the pairs, then over the seeds that all have."
    )
    head = ["data", "pairs", "seeds", "source_only", "auto", "deployed", "gain of deployed"]
    return f"## Whole data sets\n\n{told}\n\n{table(head, body)}"


def _over(rows: list[dict[str, Any]], cells: list[Cell], seed: int, name: str) -> float:
    """The mean accuracy over these cells of an arm, or of the deployed model."""
    found = []
    for cell in cells:
        run = {row["method"]: row for row in rows if row["cell"] == cell.name and row["seed"] == seed}
        chosen = "auto" if run["auto"]["decision"] == "adapt" else "source_only"
        found.append(run[chosen if name == "deployed" else name]["accuracy"])
    return mean(found)


def spread(values: list[float]) -> str:
    return f"{mean(values):.1f} ({stdev(values) if len(values) > 1 else 0:.1f})" if values else ""


def arm(row: Mapping[str, Any]) -> str:
    return f"{row['method']}:{row['setting']}" if row["setting"] else str(row["method"])
