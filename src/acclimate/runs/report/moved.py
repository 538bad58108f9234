"""The section of the report on what adaptation moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acclimate.runs.report.sections import write_section

SIDES = {"source": ("source", "源域"), "target": ("target", "目标域")}


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Write the section of a run from what `acclimate explain --kind moved` found."""
    said = words(found)
    section: dict[str, Any] = {
        "name": "moved",
        "title": _words("What moved, and what was forgotten", "改变了什么，遗忘了什么"),
        "summary": _words(*said[0]) if said else _words("Nothing could be compared.", "没有可比较的内容。"),
        "level": "info",
        "opened": False,
        "sentences": [_words(*each) for each in said[1:]],
    }
    sides = [side for side in SIDES if any(side in layer for layer in found["layers"])]
    if sides:
        section["table"] = _table(found, sides)
        section["figure"] = _figure(found, sides)
    write_section(folder, section)


def words(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What moved and what was forgotten, in sentences, English and Chinese."""
    said = []
    if not found["moved"]:
        said.append((f"Nothing can have moved: {found['why']}.", "没有任何变化：网络的权重与训练前完全相同。"))
    else:
        for side, title in (("target", "目标"), ("source", "源")):
            known = [(one[side]["cka"], one) for one in found["layers"] if side in one and one[side]["cka"] is not None]
            if known:
                least, layer = min(known, key=lambda pair: pair[0])
                floor = layer[side]["floor"]
                beside = "" if floor is None else f", random weights {floor:.3f}"
                said.append((
                    f"On {side} rows layer {layer['layer']} moved most: likeness (CKA) to before {least:.3f}{beside}.",
                    f"在{title}样本上，{layer['layer']} 层变化最大：与训练前的相似度（CKA）为 {least:.3f}。",
                ))  # fmt: skip
    if (lost := found["forgotten"]) is not None:
        said.append(_lost(lost))
    return said


def _lost(lost: Mapping[str, Any]) -> tuple[str, str]:
    difference, sign = lost["difference"], 1.0 if lost["higher_is_better"] else -1.0
    low, high = difference["low"], difference["high"]
    figures = f"{lost['before']:.3f} to {lost['after']:.3f}"
    if low is None:
        verdict = "too few rows to tell", "样本太少，无法判断"
    elif max(sign * low, sign * high) < 0:
        verdict = "some of the source was forgotten", "遗忘了部分源域知识"
    elif min(sign * low, sign * high) > 0:
        verdict = "the source is answered better than before", "源域上的表现更好"
    else:
        verdict = "no evidence that anything was forgotten", "没有遗忘的证据"
    return (
        f"{lost['metric']} on {lost['rows']} held-out source rows went from {figures}: {verdict[0]}.",
        f"{lost['rows']} 个留出源样本上的 {lost['metric']}：{figures}；{verdict[1]}。",
    )


def _table(found: Mapping[str, Any], sides: Sequence[str]) -> dict[str, Any]:
    rows = [
        [layer["layer"], *(layer[side][key] for side in sides for key in ("cka", "floor"))] for layer in found["layers"]
    ]
    columns = [_words("layer", "层")]
    for side in sides:
        english, chinese = SIDES[side]
        columns += [_words(english, chinese), _words(f"{english}, random weights", f"{chinese}，随机权重")]
    told = ", ".join(f"{count} {side}" for side, count in found["rows"].items())
    return {
        "caption": _words(
            f"Likeness (linear CKA) of each layer of {found['backbone']} before and after; rows: {told}; 1: no change",
            f"{found['backbone']} 各层训练前后的相似度（线性 CKA），1 表示没有变化",
        ),
        "columns": columns,
        "rows": rows,
    }


def _figure(found: Mapping[str, Any], sides: Sequence[str]) -> dict[str, Any]:
    places, series = list(range(1, len(found["layers"]) + 1)), []
    for side in sides:
        each = [layer[side] for layer in found["layers"]]
        line: dict[str, Any] = {"name": _words(*SIDES[side]), "x": places, "y": [one["cka"] for one in each]}
        if found["seeds"] > 1:
            line |= {"low": [one["low"] for one in each], "high": [one["high"] for one in each]}
        series.append(line)
    last = [layer[sides[-1]]["floor"] for layer in found["layers"]]
    series.append({"name": _words("random weights", "随机权重"), "x": places, "y": last})
    return {
        "kind": "lines",
        "caption": _words(
            "Likeness of layers before and after, input side first; random weights are the floor",
            "各层训练前后的相似度（从输入端起）；随机权重为下限",
        ),
        "x_label": _words("layer", "层"),
        "y_label": _words("likeness (CKA)", "相似度（CKA）"),
        "series": series,
    }


def _words(english: str, chinese: str) -> dict[str, str]:
    return {"en": english, "zh": chinese}
