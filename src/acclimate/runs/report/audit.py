"""The section of the report on an audit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.runs.report.sections import write_section

ATTACKS = {"loss": "loss", "lira": "LiRA", "rmia": "RMIA"}


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Write the section of a run from what `acclimate audit` found."""
    every, told = _attacks(found), _telling(found)
    write_section(
        folder,
        {
            "name": "audit",
            "title": _words("What the models tell of their training rows", "模型泄露了多少训练样本的信息"),
            "summary": summary(found),
            "level": "bad" if found["broken"] else "caution" if told else "info",
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
                "rows": [
                    [arm, attack, _interval(value["auc"], *value["auc_interval"]), _hits(value["tpr"]["0.01"]),
                     value["least_epsilon"]]
                    for arm, attack, value in every
                ],
            },
        },
    )  # fmt: skip


def _interval(value: float, low: float, high: float) -> dict[str, str]:
    return _words(f"{value:.3f} ({low:.3f} to {high:.3f})", f"{value:.3f}（{low:.3f} 至 {high:.3f}）")


def _hits(rate: Mapping[str, Any] | None) -> dict[str, str] | None:
    return None if rate is None else _interval(rate["value"], rate["low"], rate["high"])


def _attacks(found: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Arm, name of the attack, and what came of it."""
    planted = (found["canaries"] or {}).get("arms", {})
    return [
        *((arm, ATTACKS[attack], value) for arm, each in found["arms"].items() for attack, value in each.items()),
        *((arm, _words("planted rows", "植入样本"), value) for arm, value in planted.items()),
    ]


def _telling(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The attacks whose interval lies above a coin's."""
    return [value for *_, value in _attacks(found) if value["auc_interval"][0] > 0.5]


def summary(found: Mapping[str, Any]) -> dict[str, str]:
    """What an audit came to, in a sentence of English (``en``) and of Chinese (``zh``)."""
    if found["broken"]:
        return _words(
            f"An attack proves more than the epsilon of {found['claimed']:.2f} that was claimed: distrust the claim.",
            f"攻击证明的泄露超过所声称的 epsilon {found['claimed']:.2f}：该声称不可信。",
        )
    if told := _telling(found):
        best = max(told, key=lambda value: value["auc"])
        size = _interval(best["auc"], *best["auc_interval"])
        return _words(
            f"An attack tells rows that were trained on from others: AUC {size['en']}.",
            f"攻击可以分辨训练样本：AUC {size['zh']}。",
        )
    return _words(
        "None of these attacks tells rows that were trained on from others; that proves nothing of other attacks.",
        "这些攻击在这些样本上都无法分辨训练样本；但这并不能排除其他攻击。",
    )


def _words(english: str, chinese: str) -> dict[str, str]:
    return {"en": english, "zh": chinese}
