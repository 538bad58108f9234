"""What docs/benchmarks.md says of language: summaries, headlines, names, questions and language models."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

from benchmarks.common import table
from benchmarks.sites_page import told

SCORES = ("f1", "exact_match")
LANGUAGES = ("en", "de", "es", "zh")
ARMS = ("source_only", "dann", "lead", "lead3")


def summaries(found: Mapping[str, Any]) -> str:
    """ROUGE-2 by topic, and what was decided."""
    topics: dict[str, list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        topics.setdefault(run["topic"], []).append(run)
    rows = [
        [topic, str(len(runs)), *(_cell([run["arms"][arm]["rouge2"] for run in runs]) for arm in ARMS),
         ", ".join(sorted({run["deployed"] for run in runs}))]
        for topic, runs in topics.items()
    ]  # fmt: skip
    return f"## Summaries\n\n{told(found)} ROUGE-2, per cent.\n\n" + table(
        ["unseen topic", "seeds", *ARMS, "deployed"], rows
    )


def questions(found: Mapping[str, Any]) -> str:
    """F1 and exact match by language, and accuracy on abstracts."""
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for part in found["parts"]:
        parts.setdefault(part["part"], []).append(part["found"])
    said = {name: " ".join(str(text).split()) for name, text in found["protocol"].items()}
    spans = []
    for arm in ("source_only", "dann", "finetune", "overlap"):
        runs = parts.get("tuned" if arm == "finetune" else "aligned", [])
        if not runs:
            continue
        cells = [
            [_cell([run[lang][arm][name] for run in runs]) for name in ("f1", "exact_match")] for lang in LANGUAGES
        ]
        spans.append([arm, str(len(runs)), *map(" / ".join, cells)])
    abstracts = []
    for arm in ("frozen", "full", "plain", "majority"):
        runs = [run[arm] for run in parts.get("pubmedqa", [])]
        abstracts.append([arm, str(len(runs)), *(_cell([run[k] for run in runs]) for k in ("accuracy", "macro_f1"))])
    passes = found["training"]["epochs"]
    places = f"## Questions: places in texts\n\n{said['xquad']} {passes} passes. F1 / exact match, per cent.\n\n"
    words = f"## Questions: yes, no or maybe\n\n{said['pubmedqa']}\n\n"
    words += table(["arm", "seeds", "accuracy", "macro-F1"], abstracts)
    return places + table(["arm", "seeds", *LANGUAGES], spans) + "\n" + words if spans else words


def generation(found: Mapping[str, Any]) -> str:
    """Bits a byte on both sides, by arm."""
    own: dict[str, list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        named = {run["cell"]: run["arms"]["joint" if run["cell"] == "joint" else "finetune"]}
        if run["cell"] == "finetune":
            named |= {name: run["arms"][name] for name in ("plain", "source_only")}
            named["lzma"] = {side: {"bits_per_byte": value} for side, value in run["lzma"].items()}
        for name, arm in named.items():
            own.setdefault(name, []).append(arm)
    rows = []
    for name in ("lzma", "plain", "source_only", "finetune", "lora", "joint"):
        if name in own:
            values = {side: [arm[side]["bits_per_byte"] for arm in own[name]] for side in ("target", "source")}
            rows.append([name, str(len(own[name])), *map(_bits, values.values())])
    return f"## Language models\n\n{told(found)}\n\n" + table(
        ["arm", "seeds", "bits a byte, target", "bits a byte, source"], rows
    )


def names(found: Mapping[str, Any]) -> str:
    """F1 of names by pair of topics and arm."""
    pairs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
        pairs.setdefault((run["source"], run["target"]), []).append(run)
    rows, tuned = [], ("finetune", "dann, 0.03")
    for (source, target), runs in pairs.items():
        for arm in ("source_only", "dann", "dann, 0.03", "finetune", "lookup"):
            given = [run["arms"][arm] for run in runs if run["method"] == (arm if arm in tuned else "dann")]
            if given:
                cells = [_cell([each[name] for each in given]) for name in ("f1", "precision", "recall")]
                rows.append([f"{source} to {target}", arm, str(len(given)), *cells])
    head = ["topics", "arm", "seeds", "F1", "precision", "recall"]
    return f"## Names without capitals\n\n{told(found)} Per cent.\n\n" + table(head, rows)


def headlines(found: Mapping[str, Any]) -> str:
    """ROUGE by arm on the new topic, and on the source's own held-out news."""
    runs, kinds = found["runs"], ("rouge1", "rouge2", "rougel")
    rows = [
        [arm, str(len(runs)), *(_cell([run["arms"][arm][kind] for run in runs]) for kind in kinds),
         _cell([run["own"][arm]["rouge1"] for run in runs]) if arm in runs[0]["own"] else ""]
        for arm in ("source_only", "finetune", "lead3")
    ]  # fmt: skip
    head = ["arm", "seeds", "ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-1, source"]
    shown = [[each["given"], each["written"][:60]] for each in runs[0]["examples"]]
    page = f"## Headlines\n\n{told(found)} Per cent.\n\n{table(head, rows)}"
    return f"{page}\nOf seed {runs[0]['seed']}:\n\n{table(['headline', 'written after finetune'], shown)}"


def _bits(values: list[float]) -> str:
    return f"{mean(values):.3f}" + (f" ({stdev(values):.3f})" if len(values) > 1 else "")


def _cell(values: list[float]) -> str:
    spread = f" ({100 * stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"
