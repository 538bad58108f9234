"""The part of docs/benchmarks.md on spoken digits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import mean
from typing import Any

from benchmarks.common import table

ARMS = {
    "plain": "`spectrum`, source only",
    "source_only": "Whisper, source only",
    "dann": "DANN",
    "coral": "CORAL",
    "mcc": "MCC",
    "auto": "auto",
    "deployed": "**deployed** (chosen without labels)",
    "finetune": "fine-tuned on ten labelled clips",
}


def section(found: Mapping[str, Any]) -> str:
    """Mean and worst speaker by condition, how it was decided, and every speaker of the deployed model."""
    results = found["results"]
    rows = [
        [title, *(f"{by['summary'][arm]['mean']:.1f} ({by['summary'][arm]['worst']:.1f})" for by in results.values())]
        for arm, title in ARMS.items()
    ]
    rows.append(["decision / verdict, runs", *(_outcomes(by["runs"]) for by in results.values())])
    head = ["mean over five speakers (the worst one)", *results]
    speakers = list(next(iter(results.values()))["summary"]["deployed"]["speakers"])
    each = [
        [f"{condition}, {arm}", *(f"{by['summary'][arm]['speakers'][name]:.1f}" for name in speakers)]
        for condition, by in results.items()
        for arm in ("source_only", "deployed")
    ]
    seeds = max(len(runs) for by in results.values() for runs in by["runs"].values())
    told = f"{' '.join(found['protocol'].split())} Seeds: {seeds}; accuracies in per cent."
    parts = ["## Spoken digits, a new speaker", told, table(head, rows), table(["accuracy", *speakers], each)]
    if rows_held_out := found.get("rows_held_out"):
        worst = min(rows_held_out.values())
        parts.insert(
            2,
            f"Where clips of all four speakers are held out in the place of one speaker, source only reaches "
            f"{mean(rows_held_out.values()):.1f} ({worst:.1f}) without noise: known voices choose too weak a penalty.",
        )
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _outcomes(runs: Mapping[str, list[Mapping[str, Any]]]) -> str:
    counts = Counter(f"{run['decision']} / {run['verdict']}" for speaker in runs.values() for run in speaker)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
