"""Groups of people in a run: on held-out source rows while the seal is closed, on the target once it is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.errors import SettingsError
from acclimate.runs.report.sections import write_section
from acclimate.selection.decision import Decision
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import Task
from acclimate.tasks.registry import restore
from acclimate.trust.fairness.groups import Judged, by_group, columns, gaps, judged, widened, worst
from acclimate.trust.fairness.thresholds import Thresholds, fit

KINDS = ("class", "number")
CHANGES = {
    "widened": {"en": "adaptation widened the gap", "zh": "适应扩大了差距"},
    "narrowed": {"en": "adaptation narrowed the gap", "zh": "适应缩小了差距"},
    "no_evidence": {"en": "no evidence that adaptation changed the gap", "zh": "没有证据表明适应改变了差距"},
}


def table(
    task: Task,
    predictions: Mapping[str, np.ndarray],
    domain: Domain,
    model: str,
    adapted: str,
    reference: str | None,
    seed: int,
) -> dict[str, Any] | None:
    """Groups of one domain, of the deployed model; gaps, and whether the adapted arm's are wider than the reference's.

    Args:
        task: of the arms.
        predictions: answers by arm.
        domain: labelled, with the columns of groups.
        model: the arm that is deployed.
        adapted: the arm of the method.
        reference: the arm of source_only, or None.
        seed: of permutations and draws.

    Returns:
        None where there are no groups, or answers are neither classes nor single numbers.
    """
    if not domain.sensitive or domain.labels is None or task.kind not in KINDS or model not in predictions:
        return None
    labels = domain.labels if task.kind == "class" else task.values(domain.labels)
    classes = tuple(task.config().get("classes", ()))
    groups = columns(domain.sensitive)
    seen = {name: judged(said, labels, classes) for name, said in predictions.items()}
    value: dict[str, Any] = {
        "arm": model,
        "rows": len(domain),
        "data": domain.name,
        "positive": classes[1] if len(classes) == 2 else None,
        "groups": by_group(seen[model], groups),
        "gaps": gaps(seen[model], groups),
        "widened": None,
    }
    if reference is None or reference == adapted or not {adapted, reference} <= set(seen):
        return value
    value["widened"] = {
        column: {
            metric: asdict(found)
            for metric, one in seen[adapted].items()
            if (found := widened(one, seen[reference][metric], names, domain.groups, seed)) is not None
        }
        for column, names in groups.items()
    }
    return value


def on_source(
    task: Task, arrays: Mapping[str, Mapping[str, np.ndarray]], domain: Domain | None, **arms: Any
) -> dict[str, Any] | None:
    """The part of `result.json` that is known while the seal is closed, from the arms' evidence; see `table`."""
    if domain is None or not domain.sensitive:
        return None
    said = {name: answers for name, found in arrays.items() if (answers := _answers(task, found)) is not None}
    return {"columns": list(domain.sensitive), "source": table(task, said, domain, **arms), "target": None}


def choose(
    decision: Decision,
    task: Task,
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    domain: Domain | None,
    adapted: str,
    reference: str | None,
) -> Decision:
    """The decision by the worst group's accuracy on held-out source rows; *do not deploy* stays what it is.

    It says nothing of the target, where groups may be treated otherwise; `evaluate` shows that.

    Raises:
        SettingsError: no groups, no classes, or no held-out rows.
    """
    if domain is None or not domain.sensitive or domain.labels is None or task.kind != "class" or reference is None:
        raise SettingsError(
            "choose=worst_group compares the adapted model with source_only by groups of people on held-out source "
            "rows: it needs classes, --sensitive, and --validation above 0"
        )
    groups = np.array([" & ".join(map(str, row)) for row in zip(*domain.sensitive.values(), strict=True)])
    found = {}
    for name in (adapted, reference):
        said = _answers(task, arrays[name])
        assert said is not None
        found[name] = worst(Judged((said == domain.labels).astype(float)), groups)
    told = f"worst group on held-out source rows: {adapted} {found[adapted]:.4g}, {reference} {found[reference]:.4g}"
    if decision.choice == "do_not_deploy":
        return replace(decision, reasons=(*decision.reasons, told))
    if found[adapted] > found[reference]:
        return replace(decision, choice="adapt", arm=adapted, reasons=(told,))
    return replace(decision, choice="keep_source", arm=reference, reasons=(told,))


def _answers(task: Task, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """An arm's answers on held-out source rows."""
    if "source_probabilities" in arrays:
        return np.array(task.config()["classes"], dtype=object)[arrays["source_probabilities"].argmax(axis=1)]
    return arrays.get("source_prediction")


def write_thresholds(
    folder: Path, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain | None
) -> None:
    """A threshold for each group, from held-out source rows, beside an arm's model; nothing where none can be fitted.

    The probabilities of held-out rows are moved by the arm's offsets, as those of `predict` are: a true positive rate
    is the same under a label shift.
    """
    task = restore(record["task"])
    classes = task.config().get("classes", ())
    if task.kind != "class" or len(classes) != 2 or "source_probabilities" not in arrays:
        return
    assert domain is not None and domain.labels is not None
    logits = np.log(np.maximum(arrays["source_probabilities"].astype(np.float64), 1e-300))
    said = task.decode({"logits": logits}, 1.0, record["offsets"]).probabilities
    assert said is not None
    found = fit(said, domain.labels, classes, domain.sensitive)
    if found.columns:
        found.write(folder)


def with_thresholds(found: Thresholds | None, answers: Answers, domain: Domain) -> dict[str, Any]:
    """By column, accuracy and gaps of the deployed model on labelled rows if it used its thresholds."""
    value: dict[str, Any] = {}
    for column, known in (found.columns if found is not None else {}).items():
        groups = domain.sensitive.get(column)
        if groups is None or answers.probabilities is None or domain.labels is None or set(groups) - set(known):
            continue
        assert found is not None
        said = found.answers(column, answers.probabilities, answers.classes, groups)
        seen = judged(said, domain.labels, answers.classes)
        value[column] = {
            "accuracy": float(seen["accuracy"].values.mean()),
            "gaps": gaps(seen, {column: groups})[column],
        }
    return value


def lines(value: Mapping[str, Any] | None) -> list[str]:
    """What is said of groups on the terminal: the last table's worst and best group by column, and the change."""
    found = None if value is None else value["target"] or value["source"]
    if found is None:
        return []
    where = "target" if value is not None and value["target"] else "held-out source rows"
    told = []
    for column, gap in found["gaps"].items():
        primary = next(iter(gap), None)
        if primary is None:
            told.append(f"groups by {column}: fewer than two have 10 rows")
            continue
        shown = [each for each in found["groups"] if each["column"] == column and primary in each["metrics"]]
        shown.sort(key=lambda each: each["metrics"][primary]["value"])
        ends = ", ".join(
            f"{e['group']} {e['metrics'][primary]['value']:.3f} ({e['rows']})" for e in (shown[0], shown[-1])
        )
        others = "".join(f", {metric} gap {size:.3f}" for metric, size in gap.items() if metric != primary)
        told.append(f"groups by {column} ({where}): {primary} {ends}, gap {gap[primary]:.3f}{others}")
        if found["widened"] is not None and primary in found["widened"][column]:
            change = found["widened"][column][primary]
            told.append(
                f"  {CHANGES[change['change']]['en']}: {change['value']:+.3f} ({change['low']:+.3f} to "
                f"{change['high']:+.3f}), p {change['p_value']:.2g}"
            )
        if other := found.get("with_thresholds", {}).get(column):
            told.append(
                f"  a threshold for each group (predict --equal-opportunity {column}): accuracy "
                f"{other['accuracy']:.3f}"
                + "".join(f", {metric} gap {size:.3f}" for metric, size in other["gaps"].items() if metric != primary)
            )
    return told


def write(folder: Path, value: Mapping[str, Any] | None) -> None:
    """The section of the report; nothing where there are no groups."""
    found = None if value is None else value["target"] or value["source"]
    if value is None or found is None:
        return
    primary = "accuracy" if any("accuracy" in gap for gap in found["gaps"].values()) else "mae"
    changes = [each[primary]["change"] for each in (found["widened"] or {}).values() if primary in each]
    change = "widened" if "widened" in changes else "narrowed" if "narrowed" in changes else "no_evidence"
    rows = [
        [
            each["column"],
            each["group"],
            each["rows"],
            *(_cell(each, metric) for metric in (primary, *(() if primary == "mae" else EXTRA))),
        ]
        for each in found["groups"]
    ]
    section: dict[str, Any] = {
        "name": "fairness",
        "title": {"en": "Groups of people", "zh": "人群"},
        "opened": value["target"] is not None,
        "level": "caution" if change == "widened" else "info",
        "table": {
            "caption": {
                "en": f"{found['arm']} by group on {found['data']}; groups of fewer than 10 rows are suppressed",
                "zh": f"{found['arm']} 在 {found['data']} 上按人群的结果；少于 10 行的人群不显示",
            },
            "columns": [
                {"en": "column", "zh": "列"},
                {"en": "group", "zh": "人群"},
                {"en": "rows", "zh": "行数"},
                primary,
                *(() if primary == "mae" else EXTRA),
            ],
            "rows": rows,
        },
    }
    if changes:
        section["summary"] = CHANGES[change]
    write_section(folder, section)


EXTRA = ("selection_rate", "true_positive_rate", "false_positive_rate")


def _cell(group: Mapping[str, Any], metric: str) -> str | None:
    if group["suppressed"]:
        return "suppressed"
    found = group["metrics"].get(metric)
    return None if found is None else f"{found['value']:.3f} ({found['low']:.3f} - {found['high']:.3f})"
