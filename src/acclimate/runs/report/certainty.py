"""The section of the report on certainty, out of `result.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.runs.report.sections import write_section
from acclimate.trust.certainty.certainty import LEVEL

WORDS = {
    "exchangeable": {
        "en": "Prediction sets keep their coverage: the target's rows look like those held out.",
        "zh": "预测集的覆盖率可以保证：目标域的样本与留出样本看不出差别。",
    },
    "weighted": {
        "en": "Prediction sets keep their coverage if inputs alone changed: held-out rows are weighted to the target.",
        "zh": "若只有输入分布改变，预测集的覆盖率可以保证：留出样本已按目标域加权。",
    },
    "untested": {
        "en": "Prediction sets are promised for rows like the source's alone: no test shows that the target's are.",
        "zh": "预测集只对与源域相似的样本有保证：没有检验表明目标域也是如此。",
    },
    "refused": {
        "en": "No prediction sets are promised for this target.",
        "zh": "对此目标域不保证任何预测集。",
    },
}
LEVELS = {"exchangeable": "good", "weighted": "info", "untested": "info", "refused": "caution"}
HEATS = {
    "none": {"en": "uncalibrated", "zh": "未校准"},
    "deployed": {"en": "as deployed", "zh": "部署所用"},
    "weighted": {"en": "weighted towards the target", "zh": "按目标域加权"},
    "transcal": {"en": "TransCal", "zh": "TransCal"},
}


def write(folder: Path, record: Mapping[str, Any] | None) -> None:
    """Write the section of a run, from the part `certainty` of its result; nothing where there is none."""
    if record is None:
        return
    section: dict[str, Any] = {
        "name": "certainty",
        "title": {"en": "Certainty", "zh": "确定性"},
        "summary": WORDS[record["promise"]],
        "level": LEVELS[record["promise"]],
        "sentences": [record["why"]],
    }
    target = record["target"]
    write_section(folder, section if target is None else {**section, **_opened(target)})


def _opened(target: Mapping[str, Any]) -> dict[str, Any]:
    """What labels of the target said."""
    found: dict[str, Any] = {"opened": True}
    sets = {float(level): each for level, each in (target["sets"] or {}).items() if each is not None}
    if LEVEL in sets:
        here = sets[LEVEL]
        low, high = here["interval"]
        found["level"] = "bad" if high < LEVEL else "good"
        told = f"{here['coverage']:.1%} ({low:.1%} - {high:.1%})"
        found["summary"] = {
            "en": f"Sets that promise {LEVEL:.0%} hold the truth in {told} of {target['rows']} labelled target rows.",
            "zh": f"承诺 {LEVEL:.0%} 的预测集在 {target['rows']} 个有标注的目标样本中覆盖了 {told}。",
        }
        found["table"] = {
            "caption": {"en": "Coverage of prediction sets on the target", "zh": "预测集在目标域上的覆盖率"},
            "columns": [
                {"en": "promised", "zh": "承诺"},
                {"en": "realised", "zh": "实际"},
                {"en": "95 % interval", "zh": "95 % 区间"},
                {"en": "mean size", "zh": "平均大小"},
            ],
            "rows": [
                [f"{level:.0%}", f"{each['coverage']:.1%}", _between(each["interval"]), each["size"]]
                for level, each in sets.items()
            ],
        }
        found["sentences"] = short_of(here, LEVEL)
        if found["sentences"] and found["level"] == "good":
            found["level"] = "caution"
    calibration = target["calibration"]
    if calibration is None:
        return found
    errors = {
        language: ", ".join(f"{HEATS[name][language]} {value:.3f}" for name, value in calibration["ece"].items())
        for language in ("en", "zh")
    }
    found["sentences"] = [
        *found.get("sentences", []),
        {"en": f"Calibration error on the target: {errors['en']}.", "zh": f"目标域上的校准误差：{errors['zh']}。"},
    ]
    return found


def short_of(covered: Mapping[str, Any], level: float) -> list[dict[str, str]]:
    """A sentence for each group of people whose sets hold the truth less often than is promised of all rows."""
    return [
        {
            "en": f"Of {each['column']} {each['group']} they hold {each['coverage']:.1%} "
            f"({_between(each['interval'])}, {each['rows']} rows): coverage is promised on average only.",
            "zh": f"{each['column']} 为 {each['group']} 时只覆盖 {each['coverage']:.1%}（{_between(each['interval'])}，"
            f"{each['rows']} 行）：覆盖率只是平均意义上的保证，并非对每个人群都成立。",
        }
        for each in covered.get("groups", ())
        if each["interval"][1] < level
    ]


def _between(interval: list[float]) -> str:
    return f"{interval[0]:.1%} - {interval[1]:.1%}"
