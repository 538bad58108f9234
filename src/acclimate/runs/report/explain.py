"""The page of explanations, and their section of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acclimate.runs.report import figures
from acclimate.runs.report.blocks import Block, section, table
from acclimate.runs.report.blocks import figures as beside
from acclimate.runs.report.explained import row, shown, titled
from acclimate.runs.report.page import put
from acclimate.runs.report.sections import write_section
from acclimate.runs.report.told import in_chinese
from acclimate.runs.report.words import Words, number, sign
from acclimate.tasks.registry import find
from acclimate.trust.explain.explain import Explanation
from acclimate.trust.explain.faithful import ALIKE, FEWEST

SHOWN = 3
"""Rows of the section."""
STRONGEST = 3
"""Parts of such a row."""
TOLD = 12
"""Parts that tell domains apart, in the section."""
CHANCE = 0.5
SCORES = {
    "log-odds of the class": "该类别的对数几率",
    "log-odds of the target": "目标域的对数几率",
    "number": "数值",
    "number that is named": "所示的那个数值",
    "log-odds of the label, or the mean over the labels that were answered": "该标签的对数几率，或所答标签的平均值",
    "log-probability of where the answer begins and ends": "答案起止位置的对数概率",
    "mean log-probability of the tags": "各标注的平均对数概率",
    "mean log-probability of the tokens written": "所写词元的平均对数概率",
    "log-probability of the transcript by its characters": "转写文本的对数概率",
    "mean log-probability of the categories of the pixels": "像素类别的平均对数概率",
    "score of finding the same boxes": "再次检出相同框的得分",
    "mean probability of the sentences quoted": "所摘句子的平均概率",
    "log-probability of the item": "该推荐项的对数概率",
    "cosine that speaks for the answer": "支持该答案的余弦相似度",
}
"""What scores are called in Chinese."""
Said = dict[str, str]


def told(value: Mapping[str, Any]) -> list[Said]:
    """What the measures of faithfulness say, a sentence each."""
    found = value["faithfulness"]
    return [
        *_gap(value),
        _order(found),
        *_areas(found, value["score"]),
        *_weights(found),
        *(_said(note, in_chinese(note) or note) for note in value["notes"]),
    ]


def _gap(value: Mapping[str, Any]) -> list[Said]:
    """Of domains, whether there is anything to explain, and the parts that tell most."""
    if value["kind"] != "domains":
        return []
    accuracy, (low, high) = value["gap"]["domain_accuracy"], value["gap"]["interval"] or (0.0, 1.0)
    shown = f"{number(accuracy)} ({number(low)} to {number(high)})"
    zh = f"{number(accuracy)}（{number(low)} 至 {number(high)}）"
    if low <= CHANCE:
        return [
            _said(
                f"A linear classifier cannot tell the domains apart (accuracy {shown}, chance {CHANCE}): there is "
                "nothing to explain.",
                f"线性分类器无法区分两个域（准确率 {zh}，随机为 {CHANCE}）：没有可解释的内容。",
            )
        ]
    parts = _telling(value)
    en, own = (
        (f", most by {parts}", f"，主要依据 {parts}") if parts else (", by no part alone", "，没有单独起作用的部分")
    )
    return [
        _said(
            f"A linear classifier tells the domains apart with accuracy {shown}{en}.",
            f"线性分类器区分两个域的准确率为 {zh}{own}。",
        )
    ]


def _telling(value: Mapping[str, Any]) -> str:
    clear = [part for part in value["parts"] if part["low"] > 0][:STRONGEST]
    return ", ".join(f"{part['name']} ({sign(part['apart'])})" for part in clear)


def _order(found: Mapping[str, Any]) -> Said:
    """Whether the order of the parts is better than a random one."""
    return {
        "yes": _said(
            "These explanations say what the model does: they do better than a random order of the parts.",
            "这些解释反映了模型的行为：优于随机顺序。",
        ),
        "partly": _said(
            "Read these explanations with care: they do better than a random order of the parts in one way only.",
            "请谨慎解读这些解释：它们只在一个方面优于随机顺序。",
        ),
        "no": _said(
            "Do not rely on these explanations: they do no better than a random order of the parts.",
            "请勿依赖这些解释：它们并不优于随机顺序。",
        ),
        "unknown": _said(
            "Whether these explanations do better than a random order of the parts cannot be said: "
            f"rows with two parts or more: {found['rows']}, and {FEWEST} are needed.",
            f"无法判断这些解释是否优于随机顺序：只有 {found['rows']} 行含有两个以上的部分，至少需要 {FEWEST} 行。",
        ),
    }[found["better_than_random"]]


def _areas(found: Mapping[str, Any], score: str) -> list[Said]:
    """By how much."""
    if found["better_than_random"] == "unknown":
        return []
    out, into = (_interval(found[name]) for name in ("deletion", "insertion"))
    return [
        _said(
            f"Parts are left out or put in, the highest scores first: the {score} falls faster by {out[0]}, and rises "
            f"faster by {into[0]}, than in random order (mean area between the curves, {found['rows']} rows).",
            f"按得分从高到低删除或加入部分：与随机顺序相比，下降更快 {out[1]}，上升更快 {into[1]}"
            f"（曲线间平均面积，{found['rows']} 行）。",
        )
    ]


def _weights(found: Mapping[str, Any]) -> list[Said]:
    """Whether they would be the same with random weights."""
    names = {"random_head": ("a random head", "随机输出层"), "random_backbone": ("a random backbone", "随机骨干网络")}
    known = {name: found[name] for name in names if found[name]["value"] is not None}
    if not known or found["follows_weights"] == "unknown":
        return []
    each_en = ", ".join(f"{number(value['value'])} with {names[name][0]}" for name, value in known.items())
    each_zh = "，".join(f"{names[name][1]} {number(value['value'])}" for name, value in known.items())
    if found["follows_weights"] == "yes":
        return [
            _said(
                f"They depend on what was learned: with random weights they are others (rank correlation {each_en}).",
                f"它们取决于模型学到的内容：换成随机权重后解释不同（秩相关：{each_zh}）。",
            )
        ]
    alike = [names[name] for name, value in known.items() if value["value"] >= ALIKE]
    en, zh = " or ".join(each for each, _ in alike), "或".join(each for _, each in alike)
    return [
        _said(
            f"With {en} they are much the same (rank correlation {each_en}): they tell of the rows more than of what "
            "was learned.",
            f"换成{zh}后解释几乎不变（秩相关：{each_zh}）：它们更多反映数据本身，而非模型学到的内容。",
        )
    ]


def _said(english: str, chinese: str) -> Said:
    return {"en": english, "zh": chinese}


def _interval(found: Mapping[str, float]) -> tuple[str, str]:
    low, high = sign(found["low"]), sign(found["high"])
    return f"{sign(found['value'])} ({low} to {high})", f"{sign(found['value'])}（{low} 至 {high}）"


def level(value: Mapping[str, Any]) -> str:
    """How the explanations stand."""
    found = value["faithfulness"]
    if found["better_than_random"] == "no":
        return "bad"
    return "good" if (found["better_than_random"], found["follows_weights"]) == ("yes", "yes") else "caution"


def write(folder: Path, value: Mapping[str, Any]) -> None:
    """Write the section of a run."""
    first, *more = told(value)
    shapes = find(value["task"]).shapes
    rows = [[_name(each), shown(each["answer"], shapes), _strongest(each)] for each in value["rows"][:SHOWN]]
    write_section(
        folder,
        {
            "name": "explain",
            "title": _said("What speaks for the answers", "答案的依据"),
            "summary": first,
            "level": level(value),
            "sentences": more,
            "table": {
                "caption": _said("The strongest parts of the first rows", "前几行中影响最大的部分"),
                "columns": [_said("row", "行"), _said("explained", "被解释的答案"), _said("parts", "部分")],
                "rows": rows,
            },
        },
    )


def write_domains(folder: Path, value: Mapping[str, Any]) -> None:
    """Write the section on what tells the domains of a run apart."""
    first, *more = told(value)
    write_section(
        folder,
        {
            "name": "domains",
            "title": _said("What tells the domains apart", "两个域的区别"),
            "summary": first,
            "level": "info" if value["faithfulness"]["better_than_random"] == "yes" else "caution",
            "sentences": more,
            "table": {
                "caption": _said(
                    "Parts that speak for the target (+) or the source (−)", "支持目标域（+）或源域（−）的部分"
                ),
                "columns": [
                    _said("part", "部分"),
                    _said("tells apart by", "区分程度"),
                    _said("mean in the target", "目标域均值"),
                    _said("mean in the source", "源域均值"),
                ],
                "rows": [
                    [part["name"], part["apart"], part["target"], part["source"]] for part in value["parts"][:TOLD]
                ],
            },
        },
    )


def _name(each: Mapping[str, Any]) -> str:
    return titled(each)


def _strongest(each: Mapping[str, Any]) -> str:
    parts = sorted(each["parts"], key=lambda part: -abs(part["score"]))[:STRONGEST]
    return ", ".join(f"{part['name']} {sign(part['score'])}" for part in parts)


def write_page(
    path: Path, folder: Path, value: Mapping[str, Any], found: Sequence[Explanation], language: str | None
) -> Path:
    """Write the page of explanations: what they are worth first, then every row."""
    words, name = Words(language or "en"), folder.resolve().name
    first, *more = (words.text(sentence) for sentence in told(value))
    mark, domains = level(value), value["kind"] == "domains"
    top = {
        **{"mark": mark, "badge": words(f"level.{mark}"), "sentence": first, "figure": "", "caption": ""},
        **{"more": more, "why": [], "next": [], "tiles": []},
    }
    shapes = "" if domains else find(value["task"]).shapes
    rows = [row(each, own, words, shapes) for each, own in zip(value["rows"], found, strict=True)]
    title = words("explain.rows")
    forms = dict.fromkeys(each.parts.form for each in found)
    colours = words("explain.domains" if domains else "explain.colours")
    lead = [words("explain.rows.lead", score=_score(value, words)), colours]
    lead += [words(f"explain.without.{form}") for form in forms]
    page = {
        "title": words("explain.page", run=name),
        "kind": words("explain.kind"),
        "run": name,
        "kicker": words.maybe(f"task.{value['task']}", value["task"].replace("_", " ")),
        "verdict": top,
        "sections": [
            *([_parts(value, words)] if domains else []),
            section("rows", title, lead, [{"kind": "explained", "rows": rows}]),
            section("faithful", words("explain.faithful"), [words("explain.faithful.lead")], _faithful(value, words)),
        ],
    }
    return put(path, page, words)


def _parts(value: Mapping[str, Any], words: Words) -> Block:
    """What tells domains apart over the rows."""
    columns = [words(f"explain.parts.{name}") for name in ("name", "apart", "target", "source", "rows")]
    rows = [
        [
            part["name"],
            (sign(part["apart"]), words.signed_interval(part)),
            *(sign(part[side]) for side in ("target", "source")),
            f"{part['rows']:,}",
        ]
        for part in value["parts"]
    ]
    told_all = table(words("explain.parts"), columns, rows, numbers=range(1, 5))
    return section("parts", words("explain.parts"), [words("explain.parts.lead")], [told_all])


def _score(value: Mapping[str, Any], words: Words) -> str:
    """What the score is, in the page's language."""
    return words.text(_said(value["score"], SCORES.get(value["score"], value["score"])))


def _faithful(value: Mapping[str, Any], words: Words) -> list[Block | None]:
    """The curves of deletion and insertion beside random order."""
    found = value["faithfulness"]["curves"]
    drawn = []
    for name in ("deletion", "insertion") if found else ():
        caption = words(f"explain.{name}")
        series = [
            {"name": words(f"explain.{order}"), "x": found["share"], "y": found[key]}
            for order, key in (("own", name), ("random", f"random_{name}"))
        ]
        shape = {"kind": "lines", "series": series, "x_label": words("explain.share"), "y_label": words("explain.axis")}
        ends = f"{number(found[name][0])} → {number(found[name][-1])}"
        drawn.append((figures.lines(f"explain-{name}", caption, f"{caption} {ends}", shape), caption))
    return [beside(*drawn)]
