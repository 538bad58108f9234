"""Groups of people in a run: on held-out source rows while the seal is closed, on the target once it is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.runs.report.sections import write_section
from acclimate.selection.decision import Decision
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import Task
from acclimate.tasks.registry import restore
from acclimate.trust.fairness.groups import Judged, by_group, columns, gaps, judged, worst
from acclimate.trust.fairness.thresholds import Thresholds, fit
from acclimate.trust.fairness.widening import widened

KINDS = ("class", "number")
CHANGES = {
    "widened": {"en": "adaptation widened the gap in {}", "zh": "适应扩大了{}的差距"},
    "narrowed": {"en": "adaptation narrowed the gap in {}", "zh": "适应缩小了{}的差距"},
    "no_evidence": {"en": "no evidence that adaptation changed the gap in {}", "zh": "没有证据表明适应改变了{}的差距"},
}
NAMES = {
    "accuracy": {"en": "accuracy", "zh": "准确率"},
    "selection_rate": {"en": "selection rate", "zh": "选择率"},
    "true_positive_rate": {"en": "true positive rate", "zh": "真阳性率"},
    "false_positive_rate": {"en": "false positive rate", "zh": "假阳性率"},
    "mae": {"en": "mean absolute error", "zh": "平均绝对误差"},
}
LISTED = 6
"""Groups of a column that are told on the terminal: all, or as many of both ends."""


def table(
    task: Task,
    predictions: Mapping[str, np.ndarray],
    domain: Domain,
    model: str,
    adapted: str,
    reference: str | None,
    seed: int,
) -> dict[str, Any] | None:
    """Groups of one domain, of the deployed model and the adapted arm; whether the gaps of that are the wider ones.

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
        "rows": len(domain),
        "data": domain.name,
        "positive": classes[1] if len(classes) == 2 else None,
        **_of(model, seen[model], groups),
        "adapted": _of(adapted, seen[adapted], groups) if adapted != model and adapted in seen else None,
        "widened": None,
    }
    if reference is None or reference == adapted or not {adapted, reference} <= set(seen):
        return value
    wider = widened(seen[adapted], seen[reference], groups, domain.groups, seed)
    value["widened"] = {
        column: {metric: asdict(one) for metric, one in found.items()} for column, found in wider.items()
    }
    return value


def _of(arm: str, seen: Mapping[str, Judged], groups: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {"arm": arm, "groups": by_group(seen, groups), "gaps": gaps(seen, groups)}


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

    `plan` has seen to it that there are groups, classes, held-out rows and an arm to compare with.
    """
    assert domain is not None and reference is not None
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
        second = answers.probabilities[:, 1] >= found.bars(column, groups)
        said = np.array(answers.classes, dtype=object)[second.astype(int)]
        seen = judged(said, domain.labels, answers.classes)
        value[column] = {
            "accuracy": float(seen["accuracy"].values.mean()),
            "gaps": gaps(seen, {column: groups})[column],
        }
    return value


def lines(value: Mapping[str, Any] | None) -> list[str]:
    """What is said of groups on the terminal: of the last table, by column and arm, and what adaptation changed."""
    found = None if value is None else value["target"] or value["source"]
    if found is None:
        return []
    where = "target" if value is not None and value["target"] else "held-out source rows"
    told = []
    for column in found["gaps"]:
        if not found["gaps"][column]:
            told.append(f"groups by {column}: fewer than two have 10 rows")
            continue
        told += [_line(each, column, where) for each in (found, found["adapted"]) if each is not None]
        for metric, change in ((found["widened"] or {}).get(column) or {}).items():
            told.append(
                f"  {CHANGES[change['change']]['en'].format(NAMES[metric]['en'])}: {change['value']:+.3f} "
                f"({change['low']:+.3f} to {change['high']:+.3f}), p {change['p_value']:.2g}"
            )
        if other := found.get("with_thresholds", {}).get(column):
            gaps_of = "".join(f", gap in {NAMES[metric]['en']} {size:.3f}" for metric, size in other["gaps"].items())
            told.append(
                f"  a threshold for each group (predict --equal-opportunity {column}): accuracy "
                f"{other['accuracy']:.3f}{gaps_of}"
            )
    if found["positive"] is not None:
        told.append(f"  rates are of the answer '{found['positive']}'")
    return told


def _line(one: Mapping[str, Any], column: str, where: str) -> str:
    """Groups of one arm, the worst first, and its gaps."""
    gap = one["gaps"][column]
    primary = next(iter(gap))
    shown = [each for each in one["groups"] if each["column"] == column and primary in each["metrics"]]
    shown.sort(key=lambda each: each["metrics"][primary]["value"], reverse=primary == "mae")
    hidden = sum(each["column"] == column for each in one["groups"]) - len(shown)
    middle = len(shown) - LISTED
    ends = [*shown[: LISTED // 2], *shown[-LISTED // 2 :]] if middle > 0 else shown
    said = ", ".join(f"{each['group']} {each['metrics'][primary]['value']:.3f} ({each['rows']})" for each in ends)
    left = f"; {middle} between" if middle > 0 else ""
    left += f"; {hidden} of fewer than 10 rows not shown" if hidden else ""
    sizes = ", ".join(f"{NAMES[metric]['en']} {size:.3f}" for metric, size in gap.items())
    return f"groups by {column} ({where}), {one['arm']}: {primary} {said}{left}; gaps: {sizes}"


def write(folder: Path, value: Mapping[str, Any] | None) -> None:
    """The section of the report; nothing where there are no groups."""
    found = None if value is None else value["target"] or value["source"]
    if value is None or found is None:
        return
    shown = [each for each in NAMES if any(each in group["metrics"] for group in found["groups"])]
    rows = [
        [one["arm"], each["column"], each["group"], each["rows"], *(_cell(each, metric) for metric in shown)]
        for one in (found, found["adapted"])
        if one is not None
        for each in one["groups"]
    ]
    changes = [
        (column, metric, change)
        for column, metrics in (found["widened"] or {}).items()
        for metric, change in metrics.items()
    ]
    section: dict[str, Any] = {
        "name": "fairness",
        "title": {"en": "Groups of people", "zh": "人群"},
        "opened": value["target"] is not None,
        "level": "caution" if any(change["change"] == "widened" for *_, change in changes) else "info",
        "sentences": [_change(*each) for each in changes if each[2]["change"] != "no_evidence"],
        "table": {
            "caption": {
                "en": f"Models by group on {found['data']}; groups of fewer than 10 rows are suppressed"
                + (f"; rates are of the answer '{found['positive']}'" if found["positive"] is not None else ""),
                "zh": f"{found['data']} 上各模型按人群的结果；少于 10 行的人群不显示"
                + (f"；比率指答案“{found['positive']}”" if found["positive"] is not None else ""),
            },
            "columns": [
                {"en": "model", "zh": "模型"},
                {"en": "column", "zh": "列"},
                {"en": "group", "zh": "人群"},
                {"en": "rows", "zh": "行数"},
                *(NAMES[metric] for metric in shown),
            ],
            "rows": rows,
        },
    }
    if changes and not section["sentences"]:
        section["summary"] = {
            "en": "No evidence that adaptation changed a gap between groups.",
            "zh": "没有证据表明适应改变了人群之间的差距。",
        }
    write_section(folder, section)


def _change(column: str, metric: str, change: Mapping[str, Any]) -> dict[str, str]:
    """What adaptation changed, in words."""
    size = _with_interval(change, "+.3f")
    said = {language: words.format(NAMES[metric][language]) for language, words in CHANGES[change["change"]].items()}
    return {"en": f"By {column}, {said['en']}: {size['en']}.", "zh": f"按 {column}，{said['zh']}：{size['zh']}。"}


def _cell(group: Mapping[str, Any], metric: str) -> Any:
    if group["suppressed"]:
        return {"en": "suppressed", "zh": "不显示"}
    found = group["metrics"].get(metric)
    return None if found is None else _with_interval(found, ".3f")


def _with_interval(found: Mapping[str, float], form: str) -> dict[str, str]:
    value, low, high = (format(found[key], form) for key in ("value", "low", "high"))
    return {"en": f"{value} ({low} to {high})", "zh": f"{value}（{low} 至 {high}）"}
