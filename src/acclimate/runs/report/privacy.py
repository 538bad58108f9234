"""The section of the report on privacy, out of `result.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.runs.report.sections import write_section

Words = dict[str, str]
DOMAINS = {"source": "源域", "target": "目标域"}
FREE = {of: f"Rows of the {of} are not protected: statistics were taken of them." for of in DOMAINS}
FREE_ZH = {of: f"{name}的行不受保护：其统计量被直接使用。" for of, name in DOMAINS.items()}
SEEDED = "The noise follows from the seed: who knows that can take the noise away. It is for tests only."
SEEDED_ZH = "噪声由随机种子决定：知道种子的人可以去除噪声。此设置仅供测试。"
STRONG, WEAK = 3.0, 10.0
"""Up to the first an epsilon is a promise that counts; beyond the second it says little."""


def write(folder: Path, ledger: Mapping[str, Any] | None) -> None:
    """Write the section of a run, from the part `privacy` of its result; nothing where there is none."""
    if ledger is not None:
        write_section(folder, section(ledger))


def section(ledger: Mapping[str, Any]) -> dict[str, Any]:
    """What a ledger says, in both languages."""
    largest = max(ledger["spent"].values())
    sentences = [
        _words(
            "Data sets that differ by one row give nearly the same model: no model is more than exp(epsilon) times as "
            "likely with the row as without it, but for a probability of delta.",
            "仅差一行的两个数据集会得到几乎相同的模型：除概率 delta 外，"
            "任何模型在包含该行时出现的可能性至多是不包含时的 exp(epsilon) 倍。",
        ),
        _words(
            f"Rows were drawn by Poisson sampling and their gradients cut off at {ledger['clip']:g}, with noise of "
            f"{ledger['noise']:.3g} times that; accountant: {ledger['accountant']}.",
            f"按泊松抽样选取行，梯度裁剪到 {ledger['clip']:g}，"
            f"噪声为其 {ledger['noise']:.3g} 倍；记账方法：{ledger['accountant']}。",
        ),
        _words(
            "Only the folder model/ is private. Everything else in the run tells of its rows: give none of it away.",
            "只有 model/ 文件夹受隐私保护；运行目录中的其余内容会透露数据行的信息，不可对外发布。",
        ),
        *(_words(FREE[of], FREE_ZH[of]) for of in ledger["unprotected"]),
    ]
    if not ledger["secret"]:
        sentences.append(_words(SEEDED, SEEDED_ZH))
    said = " and ".join(f"{value:.2f} on the {of}" for of, value in ledger["spent"].items())
    told = "，".join(f"{DOMAINS[of]} {value:.2f}" for of, value in ledger["spent"].items())
    return {
        "name": "privacy",
        "title": _words("Privacy", "隐私"),
        "summary": _words(
            f"Differentially private: epsilon {said}, at delta {ledger['delta']:g}.",
            f"满足差分隐私：epsilon 为 {told}，delta 为 {ledger['delta']:g}。",
        ),
        "level": _level(largest, ledger["secret"]),
        "sentences": sentences,
        "table": {
            "caption": _words("What was spent", "隐私预算的使用"),
            "columns": [
                _words("whose rows", "数据行"),
                _words("epsilon", "epsilon"),
                _words("rows", "行数"),
                _words("steps", "步数"),
            ],
            "rows": [[_words(of, DOMAINS[of]), value, *_drawn(ledger, of)] for of, value in ledger["spent"].items()],
        },
    }


def _level(epsilon: float, secret: bool) -> str:
    if not secret:
        return "bad"
    return "good" if epsilon <= STRONG else "info" if epsilon <= WEAK else "caution"


def _drawn(ledger: Mapping[str, Any], of: str) -> tuple[int, int]:
    mine = [stage for stage in ledger["stages"] if stage["of"] == of]
    return max(stage["rows"] for stage in mine), sum(stage["steps"] for stage in mine)


def _words(english: str, chinese: str) -> Words:
    return {"en": english, "zh": chinese}
