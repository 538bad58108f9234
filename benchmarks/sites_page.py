"""What docs/benchmarks.md says of faces, hospitals, x-rays and the tutorial, from the JSON of these benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from benchmarks.common import table

FACES = ("tar_at_far_0.01", "tar_at_far_0.001", "eer", "rank1")
HEARTS = (
    "logistic", "source_only", "site_standardize", "combat", "coral", "adabn", "mlls", "dann", "mcc", "auto",
)  # fmt: skip


def faces(found: Mapping[str, Any]) -> str:
    """Verification of new people by condition and arm."""
    rows = []
    for condition in found["runs"][0]["found"]:
        each = [run["found"][condition] for run in found["runs"]]
        for arm in each[0]:
            if arm == "5-shot":
                rows.append([condition, arm, *[""] * (len(FACES) - 1), _cell([one[arm]["accuracy"] for one in each])])
                continue
            cells = [_cell([one[arm]["metrics"][name] for one in each]) for name in FACES]
            rows.append([condition, arm, *cells])
    head = ["people 21 to 30", "arm", "TAR at FAR 1 %", "TAR at FAR 0.1 %", "EER", "rank-1 (5-shot: accuracy)"]
    return f"## Faces\n\n{_told(found)}\n\n{table(head, rows)}"


def hospitals(found: Mapping[str, Any]) -> str:
    """Areas by direction and arm, and what was decided without labels."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        groups.setdefault((" + ".join(run["source"]), run["target"]), []).append(run)
    rows = []
    for (source, target), runs in groups.items():
        cells = [_cell([run["arms"][arm]["auc"] for run in runs]) for arm in HEARTS]
        low, high = runs[0]["arms"]["source_only"]["interval"]
        decided = ", ".join(sorted({f"{run['decision']} ({run['deployed']})" for run in runs}))
        rows.append([f"{source} to {target}", *cells, f"{100 * low:.1f} to {100 * high:.1f}", decided])
    head = ["direction", *HEARTS, "interval of source_only", "decided without labels"]
    return f"## Three hospitals\n\n{_told(found)} Per cent.\n\n{table(head, rows)}"


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
    rows = [[name, _cell(each), ", ".join(decided.get(name, []))] for name, each in values.items()]
    return f"## Chest x-rays by another scanner\n\n{_told(found)}\n\n{table(['arm', 'accuracy', 'outcomes'], rows)}"


def tutorial(found: Mapping[str, Any]) -> str:
    """Accuracy of both networks, frozen and tuned."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        groups.setdefault((run["network"], run["tune"]), []).append(run)
    rows = [
        [name, tune, _cell([run["accuracy"] for run in runs]), f"{mean(run['seconds'] for run in runs):.0f}"]
        for (name, tune), runs in groups.items()
    ]
    head = ["MobileNetV2 of", "tune", "accuracy", "seconds"]
    return f"## The tutorial, in Keras and in torch\n\n{_told(found)}\n\n{table(head, rows)}"


def _told(found: Mapping[str, Any]) -> str:
    return " ".join(str(found["protocol"]).split())


def _cell(values: Sequence[float]) -> str:
    spread = f" ({100 * stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"
