"""docs/atlas.md from the result files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from statistics import mean
from typing import Any

from benchmarks.atlas.cells import CELLS, DECAY_SENTENCE, Cell
from benchmarks.atlas.findings import KINDS, arm, brief, failures, spread, whole
from benchmarks.atlas.rules import NOISE
from benchmarks.common import RESULTS, ROOT, table

PAGE = ROOT / "docs" / "atlas.md"
INTRODUCTION = f"""# The atlas

Written by `make atlas` from `benchmarks/results/atlas_*`; do not edit. Real pairs of domains, every method on each,
and what a choice without target labels would have cost. The cells are fixed in `benchmarks/atlas/manifest.json`,
half of them for development (the rules of choice were made while looking at these) and half for the test, which is
opened once.

Accuracies are per cent on the unlabelled target rows that training saw (transductive), at most 1,500 rows a domain;
a fifth of the source is held out. *shares*: {DECAY_SENTENCE} *missing*: half of the classes are not in the target.
`auto` has more candidates here than by default: `adabn`, `tent` (where a network has what it moves), and `mlls` and
`bbse`, which are neither averaged nor asked.
Gain and regret are points of accuracy: over source_only on the same features, and below the best arm, which nobody
without labels can know; in brackets behind a regret stands its standard deviation over the seeds. Harm is the share of
runs whose paired 95 % interval against source_only lies below zero.
"""
STATE = {
    "dev": "Development cells: the defaults of `auto` were chosen on these, so its figures here are no test.",
    "test": "Test cells: opened once, after everything was fixed.",
}
RIGHT: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "adapt": lambda run: run["auto"]["gain"] >= -NOISE,
    "keep_source": lambda run: run["auto"]["gain"] <= NOISE,
    "do_not_deploy": lambda run: (
        max(run["auto"]["accuracy"], run["source_only"]["accuracy"]) < run["auto"]["commonest_class"]
    ),
}
"""When a decision was right, told from the lines of a run by method."""
SHOWN = (
    "oracle", "deployed", "deployed, not refused", "auto", "source_only", "average of all",
    "top 3 by dawid_skene+infomax", "top 5 by infomax",
)  # fmt: skip
"""Rules that come first in the table; picks by single validators follow."""


def page() -> str:
    """The whole page."""
    sections, every = [INTRODUCTION], []
    for part, said in STATE.items():
        lines = RESULTS / f"atlas_{part}.jsonl"
        if lines.is_file():
            rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
            rules = json.loads((RESULTS / f"atlas_rules_{part}.json").read_text(encoding="utf-8"))["rules"]
            sections += [
                _head(part, said, rows),
                brief(rows, rules),
                _rules(rules),
                _modalities(rules),
                _decisions(rows),
                *_worth(part),
            ]
            sections += [_methods(rows), failures(rows, rules), _cells(rows)]
            every += rows
    return "\n".join([*sections, whole(every)])


def _head(part: str, said: str, rows: list[dict[str, Any]]) -> str:
    seeds = sorted({row["seed"] for row in rows})
    cells = {row["cell"] for row in rows}
    of = sum(cell.part == part for cell in CELLS.values())
    return f"## {part}\n\n{said} {len(cells)} of {of} cells so far, seeds {', '.join(map(str, seeds))}.\n"


def _rules(rules: Mapping[str, Any]) -> str:
    picks = sorted(
        (name for name in rules if name.startswith("top 1 by ")), key=lambda name: rules[name]["natural"]["regret"]
    )
    kinds = [kind for kind in KINDS if kind in rules["source_only"]]
    head = ["rule", *(f"{kind}: regret / gain / harm %" for kind in kinds)]
    body = [
        [name, *(_triple(rules[name].get(kind)) for kind in kinds)]
        for name in (*(name for name in SHOWN if name in rules), *picks)
    ]
    told = (
        "`auto` is the pupil that learned the average, `deployed` the model that the label-free decision chose between "
        "it and source_only, `deployed, not refused` the same over the runs that did not say do_not_deploy. "
        "`top k by V` averages the best k arms by validator V; `top 1` picks."
    )
    return f"### Rules of choice\n\n{told}\n\n{table(head, body)}"


def _triple(found: Mapping[str, float] | None) -> str:
    if found is None:
        return ""
    seeds = f" ({found['regret_sd']:.1f})" if found.get("regret_sd") else ""
    return f"{found['regret']:.1f}{seeds} / {found['gain']:+.1f} / {found['harm']:.0f}"


def _modalities(rules: Mapping[str, Any]) -> str:
    names = ["oracle", "auto", "deployed", "average of all"]
    modalities = sorted(rules["source_only"]["modality"])
    body = [
        [m, str(rules["source_only"]["modality"][m]["cells"]), f"{rules['source_only']['modality'][m]['accuracy']:.1f}",
         *(_triple(rules[name]["modality"][m]) for name in names)]
        for m in modalities
    ]  # fmt: skip
    head = ["natural cells", "cells", "source_only", *(f"{name}: regret / gain / harm %" for name in names)]
    return f"### By modality\n\n{table(head, body)}"


def _decisions(rows: list[dict[str, Any]]) -> str:
    runs: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        runs.setdefault((row["cell"], row["seed"]), {})[row["method"]] = row
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]

    def cell(decision: str, kind: str) -> str:
        own = [run for run in runs.values() if (run["auto"]["decision"], run["auto"]["kind"]) == (decision, kind)]
        if not own:
            return "0"
        gain = mean(run["auto"]["gain"] for run in own)
        return f"{sum(map(RIGHT[decision], own))} / {len(own)} / {gain:+.1f}"

    body = [[decision, *(cell(decision, kind) for kind in kinds)] for decision in RIGHT]
    told = (
        "Runs that decided so rightly, runs that decided so, and what adapting gained (or would have gained) in them "
        f"over source_only. Right is: *adapt*, if it cost no more than {NOISE:g} point; *keep_source*, if adapting "
        f"would have gained no more than {NOISE:g} point; *do_not_deploy*, if source_only and the adapted model both "
        "fall behind always answering the target's commonest class."
    )
    head = ["decision", *(f"{kind}: right / runs / gain" for kind in kinds)]
    return f"### Decisions\n\n{told}\n\n{table(head, body)}"


def _worth(part: str) -> list[str]:
    file = RESULTS / f"atlas_worth_{part}.json"
    if not file.is_file():
        return []
    found = json.loads(file.read_text(encoding="utf-8"))
    tables = []
    for what in ("shares", "labels"):
        first = next(iter(found[what].values()))
        kinds = [kind for kind in KINDS if kind in first]
        body = [[name, *(_triple(value[kind]) for kind in kinds)] for name, value in found[what].items()]
        tables.append(table([f"who, {what} known", *(f"{kind}: regret / gain / harm %" for kind in kinds)], body))
    told = (
        "*shares*: those of the target's classes are stated, each wrong by a factor whose logarithm has the given "
        "standard deviation; the gain is over source_only as it is without them, and regret may be negative, as no arm "
        f"knew them. *labels*: so many random target rows are labelled ({found['draws']} draws), and the other rows "
        "judge; `auto` weighs its average by them, `pick` takes the arm that has most of them right (with none, the "
        "first by label-free rank). Here `auto` is the average itself, before the pupil learns it. "
        f"{_equal(found['labels'])}"
    )
    return [f"### What knowing something is worth\n\n{told}\n\n{tables[0]}\n{tables[1]}"]


def _equal(labels: Mapping[str, Any]) -> str:
    """How many labels buy, by picking the arm they like best, what the choice without any gives."""
    regret = {name: value["natural"]["regret"] for name, value in labels.items() if "natural" in value}
    free = regret.get("auto, 0", 0.0)
    bought = [name.split(", ")[1] for name, value in regret.items() if name.startswith("pick, ") and value <= free]
    enough = [count for count in bought if count != "0"]
    said = f"{enough[0]} labels are the first that make" if enough else "No number of labels tried makes"
    return f"{said} a pick on natural cells as good as `auto` without any."


def _methods(rows: list[dict[str, Any]]) -> str:
    natural = [row for row in rows if row["kind"] == "natural"]
    names = sorted({arm(row) for row in natural} - {"source_only"})
    modalities = sorted({row["modality"] for row in natural})

    def cell(name: str, modality: str | None) -> str:
        own = [row for row in natural if arm(row) == name and modality in (None, row["modality"])]
        if not own:
            return ""
        harmed = 100 * mean(row["interval"][1] < 0 for row in own)
        return f"{mean(row['gain'] for row in own):+.1f} / {harmed:.0f}"

    body = [[name, *(cell(name, m) for m in (None, *modalities))] for name in names]
    told = "Gain over source_only / harm %, natural cells."
    return f"### Which method when\n\n{told}\n\n{table(['arm', 'all', *modalities], body)}"


def _cells(rows: list[dict[str, Any]]) -> str:
    body = [_cell(CELLS[name], [row for row in rows if row["cell"] == name]) for name in dict.fromkeys(_names(rows))]
    head = ["cell", "kind", "source_only", "auto", "best arm", "decision by seed", "seconds", "published"]
    return f"### Cells\n\nMean over the seeds, with the standard deviation in brackets.\n\n{table(head, body)}"


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return [row["cell"] for row in rows]


def _cell(cell: Cell, rows: list[dict[str, Any]]) -> list[str]:
    def shown(name: str) -> str:
        return spread([row["accuracy"] for row in rows if arm(row) == name])

    arms = sorted({arm(row) for row in rows} - {"auto"})
    best = max(arms, key=lambda name: mean(row["accuracy"] for row in rows if arm(row) == name))
    seeds = {row["seed"]: row for row in rows if row["method"] == "auto"}
    seconds = sum(row["seconds"] for row in rows) / max(1, len(seeds))
    decisions = ", ".join(row["decision"] for row in seeds.values())
    return [cell.name, cell.kind, shown("source_only"), shown("auto"), f"{best} {shown(best)}", decisions,
            f"{seconds:.0f}", cell.published]  # fmt: skip


def write() -> None:
    """The page to its place."""
    PAGE.write_text(page(), encoding="utf-8")
