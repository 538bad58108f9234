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

**Data.** UCI heart disease (Janosi, Steinbrunn, Pfisterer, Detrano): Cleveland, Budapest
(`hungarian`), Zurich and Basel (`switzerland`).

**Command**, with the defaults; what was measured has the settings of its protocol.

```bash
acclimate adapt --source 'heart.csv?hospital=hungarian' --target 'heart.csv?hospital=cleveland' \\
    --input '*' --label disease --backbone columns --method auto \\
    --set 'method.candidates=[site_standardize, combat, coral, adabn, mlls, dann, mcc]' -o runs/heart
acclimate evaluate runs/heart --data 'heart.csv?hospital=cleveland'      # opens the seal
```
"""


def page(found: Mapping[str, Any]) -> str:
    """The page."""
    groups = _directions(found)
    rows = []
    for name, runs in groups.items():
        first = runs[0]["arms"]["source_only"]
        low, high = first["interval"]
        decided = ", ".join(sorted({f"{run['decision']} ({run['deployed']})" for run in runs}))
        cells = [cell([run["arms"][arm]["auc"] for run in runs]) for arm in ARMS]
        rows.append([name, *cells, f"{100 * first['auc']:.1f} ({100 * low:.1f} to {100 * high:.1f})", decided])
    head = ["direction", *ARMS, "source_only of seed 0 (95 %)", "decided without labels"]
    chance = [name for name, runs in groups.items() if mean(run["arms"]["source_only"]["auc"] for run in runs) < 0.5]
    refused = [name for name, runs in groups.items() if all(run["decision"] == "do_not_deploy" for run in runs)]
    needless = [name for name in refused if name not in chance]
    failed = (
        f"**What failed.** source_only is worse than chance in: {', '.join(chance) or 'none'}. Refused without labels, "
        f"with every seed: {', '.join(refused) or 'none'}; of these better than chance: "
        f"{', '.join(needless) or 'none'}.\n"
    )
    constant = "is not shown to beat a constant answer"
    if refused and all(constant in run["reasons"][0] for name in refused for run in groups[name]):
        ill = sorted({f"{100 * groups[name][0]['ill'][0]:.0f} %" for name in refused})
        failed += (
            f"Each time because the better model {constant} on held-out rows of the source, of whom "
            f"{', '.join(ill)} are ill: that speaks of the source, and not of the direction.\n"
        )
    seeds = len({run["seed"] for run in found["runs"]})
    units = f"Per cent: mean of {seeds} seeds, the deviation between them in brackets."
    result = f"**Protocol.** {told(found)}\n\n![{PICTURE.stem}]({PICTURE.name})\n\n{units}\n\n{table(head, rows)}"
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
