"""The section of the report on an audit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.runs.report.sections import write_section

CHANCE = 0.55
"""An area below which an attack is no better than guessing for practical purposes."""
ATTACKS = {"loss": "loss", "lira": "LiRA", "rmia": "RMIA"}


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Write the section of a run from what `acclimate audit` found."""
    rows = []
    for arm, attacks in found["arms"].items():
        for attack, value in attacks.items():
            rate = value["tpr"]["0.01"]
            rows.append(
                [arm, ATTACKS[attack], value["auc"], None if rate is None else rate["value"], value["least_epsilon"]]
            )
    for arm, value in (found["canaries"] or {}).get("arms", {}).items():
        rows.append([arm, _words("planted rows", "植入样本"), value["auc"], None, value["least_epsilon"]])
    worst = max(row[2] for row in rows)
    write_section(
        folder,
        {
            "name": "audit",
            "title": _words("What the models tell of their training rows", "模型泄露了多少训练样本的信息"),
            "summary": _summary(worst, found),
            "level": "bad" if found["broken"] else "good" if worst < CHANCE else "caution",
            "sentences": [_words(note, note) for note in found["notes"]],
            "table": {
                "caption": _words(
                    f"Attacks on {found['members']} members and {found['others']} others",
                    f"对 {found['members']} 个成员与 {found['others']} 个非成员的攻击",
                ),
                "columns": [
                    _words("arm", "模型"), _words("attack", "攻击"), _words("AUC", "AUC"),
                    _words("found at 1 % false alarms", "误报率 1% 时的检出率"),
                    _words("epsilon, at least", "epsilon 下界"),
                ],
                "rows": rows,
            },
        },
    )  # fmt: skip


def _summary(worst: float, found: Mapping[str, Any]) -> dict[str, str]:
    if found["broken"]:
        return _words(
            f"An attack proves more than the epsilon of {found['claimed']:.2f} that was claimed: distrust the claim.",
            f"攻击证明的泄露超过所声称的 epsilon {found['claimed']:.2f}：该声称不可信。",
        )
    if worst < CHANCE:
        return _words(
            f"The best attack tells members from others hardly better than a coin (AUC {worst:.2f}).",
            f"最强的攻击几乎与抛硬币无异（AUC {worst:.2f}）。",
        )
    return _words(
        f"An attack tells which rows were trained on: AUC {worst:.2f}.", f"攻击可以分辨训练样本：AUC {worst:.2f}。"
    )


def _words(english: str, chinese: str) -> dict[str, str]:
    return {"en": english, "zh": chinese}
