"""The section of the report on which source rows helped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.runs.report.sections import write_section

SHOWN = 5
"""Rows of either kind in the table."""
CHARACTERS = 90
BASES = {
    "opened": ("labels that were opened for this", "为此启封的标签"),
    "permitted": ("held-out labels that the run was permitted", "运行获准使用的留出标签"),
    "predicted": ("the model's own surest answers, and no label", "模型自己最有把握的答案，未读任何标签"),
}


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Write the section of a run from what `acclimate explain --kind influence` found."""
    check = found["check"]
    shown = [*found["helpful"][:SHOWN], *reversed(found["harmful"][:SHOWN])]
    rows = [[f"{row['domain']}, {row['row']}", row["label"], row["score"], as_text(row["shown"])] for row in shown]
    target, source = found["target"], found["source"]
    basis = BASES[target["labels"]]
    section: dict[str, Any] = {
        "name": "influence",
        "title": _words("Source rows that helped and hurt", "有益与有害的源样本"),
        "summary": _summary(check),
        "level": "info" if check is None or "yes" in answers(check) else "caution",
        "opened": target["labels"] == "opened",
        "sentences": [
            _words(
                f"{source['rows']} source rows of arm {found['arm']}, judged by {target['rows']} target rows: "
                f"{basis[0]}.",
                f"模型 {found['arm']} 的 {source['rows']} 个源样本，由 {target['rows']} 个目标样本评判："
                f"{basis[1]}。",
            ),
            _words(f"By the {found['about']}.", f"方法：{found['about']}。"),
            *(_words(note, note) for note in found["notes"]),
        ],
        "table": {
            "caption": _words(
                "Rows that helped most, then those that hurt most (score below 0)",
                "最有益的样本，其后为最有害的样本（得分小于 0）",
            ),
            "columns": [
                _words("row", "样本"), _words("label", "标签"), _words("score", "得分"), _words("what", "内容")
            ],
            "rows": rows,
        },
    }  # fmt: skip
    if check is not None:
        section["figure"] = _figure(check)
    write_section(folder, section)


def answers(check: Mapping[str, Any]) -> tuple[str, str]:
    """What the check says: of removing harmful rows, and of removing helpful ones."""
    return check["removing_harmful_helps"], check["removing_helpful_hurts"]


def as_text(shown: Mapping[str, Any]) -> str:
    """A row in one line: its file, the beginning of its text, or its first values."""
    if shown["file"]:
        return str(shown["file"])
    if shown["kind"] == "values":
        text = ", ".join(f"{name} {value}" for name, value in shown["values"])
    else:
        text = shown.get("text", "")
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"


def _summary(check: Mapping[str, Any] | None) -> dict[str, str]:
    if check is None:
        return _words("These scores were not checked by training again.", "这些得分未经重新训练检验。")
    said = {"yes": ("yes", "是"), "no_evidence": ("no evidence", "没有证据")}
    harmful, helpful = (said[found] for found in answers(check))
    return _words(
        f"Checked by training again: removing what was said to hurt helps: {harmful[0]}; removing what was said to "
        f"help hurts: {helpful[0]}.",
        f"经重新训练检验：去除被判为有害的样本是否有益：{harmful[1]}；去除被判为有益的样本是否有害：{helpful[1]}。",
    )


def _figure(check: Mapping[str, Any]) -> dict[str, Any]:
    labels = [_words("harmful", "有害"), _words("helpful", "有益")]
    labels += [_words(f"random {k + 1}", f"随机 {k + 1}") for k in range(len(check["random"]))]
    removed = [check["harmful"], check["helpful"], *check["random"]]
    series = [{"name": _words("measured", "实测"), "values": [one["measured"] for one in removed]}]
    if check["harmful"]["predicted"] is not None:
        series.append({"name": _words("predicted", "预测"), "values": [one["predicted"] for one in removed]})
    return {
        "kind": "dots",
        "caption": _words(
            f"Change of the mean loss on {check['judged']} target rows when {check['removed']} source rows are removed",
            f"去除 {check['removed']} 个源样本后，{check['judged']} 个目标样本平均损失的变化",
        ),
        "x_label": _words("change of the loss", "损失的变化"),
        "y_label": _words("rows removed", "去除的样本"),
        "labels": labels,
        "series": series,
    }


def _words(english: str, chinese: str) -> dict[str, str]:
    return {"en": english, "zh": chinese}
