"""What docs/benchmarks.md says of translation, from the JSON of `benchmarks.translation`."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

from benchmarks.common import table

ROWS = {
    "the text itself": ("knn_mt", "copy"),
    "as it was trained": ("knn_mt", "source_only"),
    "more of the source": ("finetune", "source_only"),
    "kNN-MT, 300 pairs": ("knn_mt", "knn_mt"),
    "fine-tuning, 300 pairs": ("finetune", "target_only"),
    "LoRA, 300 pairs": ("lora", "target_only"),
    "joint, 300 pairs": ("joint", "joint"),
    "DANN, no labels": ("dann", "dann"),
    "self-training, no labels": ("self_training", "self_training"),
}
"""By what a row is called: the cell and the arm that it shows."""


def translation(found: Mapping[str, Any]) -> str:
    """ChrF and BLEU on the target, and on the source: what was forgotten."""
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        runs.setdefault(run["cell"], []).append(run)
    rows = []
    for name, (cell, arm) in ROWS.items():
        arms = [run["arms"][arm] for run in runs.get(cell, [])]
        if arms:
            columns = [(side, metric) for side in ("target", "source") for metric in ("chrf", "bleu")]
            rows.append([name, str(len(arms)), *(_cell([a[side][metric] for a in arms]) for side, metric in columns)])
    minutes = [run["base_seconds"] / 60 for run in found["runs"]]
    told = " ".join(str(found["protocol"]).split())
    head = f"## Translation\n\n{told} Training on captions took {min(minutes):.0f} to {max(minutes):.0f} minutes of a "
    head += "loaded machine. Per cent.\n\n"
    return head + table(["", "seeds", "target chrF", "target BLEU", "source chrF", "source BLEU"], rows)


def _cell(values: list[float]) -> str:
    spread = f" ({100 * stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"
