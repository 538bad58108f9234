"""What docs/benchmarks.md says of language, from the JSON of `benchmarks.summaries`."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

from benchmarks.common import table

ARMS = ("source_only", "dann", "lead", "lead3")


def summaries(found: Mapping[str, Any]) -> str:
    """ROUGE-2 by topic, and what was decided."""
    topics: dict[str, list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        topics.setdefault(run["topic"], []).append(run)
    rows = [
        [topic, str(len(runs)), *(_cell([run["arms"][arm]["rouge2"] for run in runs]) for arm in ARMS),
         ", ".join(sorted({run["deployed"] for run in runs}))]
        for topic, runs in topics.items()
    ]  # fmt: skip
    told = " ".join(str(found["protocol"]).split())
    since = "Since then ordinals end no sentence and words of all scripts are counted: a new run differs a little."
    return f"## Summaries\n\n{told} ROUGE-2, per cent. {since}\n\n" + table(
        ["unseen topic", "seeds", *ARMS, "deployed"], rows
    )


def _cell(values: list[float]) -> str:
    spread = f" ({100 * stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"
