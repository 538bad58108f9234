"""docs/scenes/hospitals.md and its picture, from the JSON of `benchmarks.hospitals`."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from benchmarks.common import ROOT, table
from benchmarks.sites_page import cell, told

PICTURE = ROOT / "docs" / "scenes" / "hospitals.png"
ARMS = ("logistic", "source_only", "site_standardize", "combat", "coral", "adabn", "mlls", "dann", "mcc", "auto")
HEAD = """# Diagnosis: a model from another hospital

Written by `python -m benchmarks.report` from `benchmarks/results/hospitals.json`; do not edit.

**Problem.** Who has heart disease, by a model that learned at other hospitals: other laboratories, other columns that
are missing, other shares of ill people. One direction is worse than chance; it must be noticed without labels.

**Data.** UCI heart disease (Janosi, Steinbrunn, Pfisterer, Detrano): Cleveland, Budapest, Zurich and Basel.

**Command.**

```bash
acclimate adapt --source 'heart.csv?hospital=hungarian' --target 'heart.csv?hospital=cleveland' --label disease \\
    --backbone columns --method auto \\
    --set 'method.candidates=[site_standardize, combat, coral, mlls, dann]' -o runs/heart
acclimate evaluate runs/heart --data 'heart.csv?hospital=cleveland'      # opens the seal
```
"""


def page(found: Mapping[str, Any]) -> str:
    """The page."""
    groups = _directions(found)
    rows = []
    for name, runs in groups.items():
        low, high = runs[0]["arms"]["source_only"]["interval"]
        decided = ", ".join(sorted({f"{run['decision']} ({run['deployed']})" for run in runs}))
        cells = [cell([run["arms"][arm]["auc"] for run in runs]) for arm in ARMS]
        rows.append([name, *cells, f"{100 * low:.1f} to {100 * high:.1f}", decided])
    head = ["direction", *ARMS, "interval of source_only", "decided without labels"]
    chance = [name for name, runs in groups.items() if mean(run["arms"]["source_only"]["auc"] for run in runs) < 0.5]
    refused = [name for name in chance if all(run["decision"] == "do_not_deploy" for run in groups[name])]
    failed = (
        f"**What failed.** source_only is worse than chance in: {', '.join(chance) or 'none'}; refused without labels: "
        f"{', '.join(refused) or 'none'}.\n"
    )
    result = f"**Protocol.** {told(found)}\n\n![{PICTURE.stem}]({PICTURE.name})\n\nPer cent.\n\n{table(head, rows)}"
    return f"{HEAD}\n{result}\n{failed}"


def draw(found: Mapping[str, Any]) -> None:
    """The areas of some arms by direction."""
    from matplotlib import pyplot as plt

    groups = _directions(found)
    figure, axis = plt.subplots(figsize=(9, 4))
    for place, arm in enumerate(("source_only", "combat", "dann", "auto")):
        areas = [mean(run["arms"][arm]["auc"] for run in runs) for runs in groups.values()]
        axis.bar([k + 0.2 * place for k in range(len(groups))], areas, 0.2, label=arm)
    axis.axhline(0.5, color="black", linewidth=1)
    axis.set_xticks([k + 0.3 for k in range(len(groups))], list(groups), rotation=30, ha="right", fontsize=7)
    axis.set_ylabel("area under the ROC curve")
    axis.set_ylim(0, 1)
    axis.legend()
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=80)
    plt.close(figure)


def _directions(found: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        groups.setdefault(f"{' + '.join(run['source'])} to {run['target']}", []).append(run)
    return groups
