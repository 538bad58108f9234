"""python -m benchmarks.meta.report: docs/meta_benchmarks.md from the JSON in results/; --check only compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.common import ROOT, table

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = ROOT / "docs" / "meta_benchmarks.md"
INTRODUCTION = """# Few-shot and meta-learning: what was measured

Written by `python -m benchmarks.meta.report` from the files in `benchmarks/meta/results/`; do not edit. Run one with
`.venv/bin/python -m benchmarks.meta.NAME`. Accuracies are per cent. With several seeds: mean, and the standard
deviation between seeds in brackets. Episodes of small classes are drawn in another way since the sinusoids were
measured: a new run has other episodes.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for name, section in SECTIONS.items():
        file = RESULTS / f"{name}.json"
        if file.is_file():
            parts.append(section(json.loads(file.read_text(encoding="utf-8"))))
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _omniglot(found: Mapping[str, Any]) -> str:
    runs = found["runs"]
    usual = [run for run in runs if "accuracy" in run]
    parts = [
        "## Omniglot",
        f"1,200 random characters to learn from, the others for the test ({found['episodes']} episodes a seed), images "
        "turned by quarters as further classes, `conv4` of 64; a few minutes of training on a thread of a shared CPU, "
        "which is a small part of what the papers trained for (`maml`: 60,000 steps of 32 tasks); the curves below "
        "level off as the rate falls to 0 along a cosine, far below what the papers reached. "
        "Published figures are of GPU trainings.",
        table(
            ["learner", "test", "ours", "published", "seeds", "minutes", "tasks learned from", "pixels alone"],
            [_omniglot_row(rows, found["published"]) for rows in _grouped(usual, "method", "setting")],
        ),
    ]
    if oneshot := [run for run in runs if "error" in run]:
        parts += [
            "The 20 official one-shot runs (20 ways, one alphabet; learned from the background set alone). People make "
            "4.5 % errors, BPL 3.3 % (Lake et al., Science 2015).",
            table(
                ["learner", "error, % (deviation between the 20 runs)", "seed", "tasks learned from"],
                [
                    [r["method"], f"{_pc(r['error']['mean'])} ({_pc(r['error']['sd'])})", str(r["seed"]),
                     f"{r['tasks']:,}"]
                    for r in oneshot
                ],
            ),
        ]  # fmt: skip
    parts += [
        "The curve: accuracy on characters held out, at a share of the time.",
        table(
            ["learner", "test", "seed", *(f"{share} %" for share in (20, 40, 60, 80, 100))],
            [[r["method"], r["setting"], str(r["seed"]), *_curve(r)] for r in usual],
        ),
    ]
    return "\n\n".join(parts)


def _omniglot_row(runs: Sequence[Mapping[str, Any]], published: Mapping[str, Any]) -> list[str]:
    first = runs[0]
    pixels = [run["baselines"]["prototypes on pixels"]["accuracy"]["mean"] for run in runs]
    return [
        f"`{first['method']}`",
        first["setting"],
        _over([run["accuracy"]["mean"] for run in runs]),
        str(published.get(first["method"], {}).get(first["setting"], "")),
        str(len(runs)),
        f"{mean(run['seconds'] for run in runs) / 60:.0f}",
        f"{round(mean(run['tasks'] for run in runs)):,}",
        _over(pixels),
    ]


def _curve(run: Mapping[str, Any]) -> list[str]:
    """Scores at a fifth of the steps each; the last one of those before."""
    shown = []
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        before = [score for step, _, score in run["curve"] if step <= share * run["steps"] * 1.001]
        shown.append(_pc(before[-1]) if before else "")
    return shown


def _domains(title: str, about: str) -> Any:
    def section(found: Mapping[str, Any]) -> str:
        names = list(found["runs"][0]["accuracy"])
        rows = [
            [
                runs[0]["target"],
                str(runs[0]["shots"]),
                *(_over([r["accuracy"][n]["mean"] for r in runs]) for n in names),
            ]
            for runs in _grouped(found["runs"], "target", "shots")
        ]
        widest = max(f["high"] - f["low"] for run in found["runs"] for f in run["accuracy"].values())
        seeds = len({run["seed"] for run in found["runs"]})
        return "\n\n".join([
            f"## {title}",
            f"{about} Features of `{found['backbone']}`; seeds: {seeds}. The 95 % interval of a figure over its "
            f"600 episodes is {100 * widest:.1f} points wide at most.",
            " ".join(found["protocol"].split("\n\n", 1)[1].split()),
            table(["target", "shots", *names], rows),
        ])  # fmt: skip

    return section


def _sinusoid(found: Mapping[str, Any]) -> str:
    runs, ratio = found["runs"], found["ratio"]
    named = [name for name in runs[0] if isinstance(runs[0][name], Mapping) and "after" in runs[0][name]]
    rows = [
        [name, *(f"{mean(r[name]['after'][k]['mse'] for r in runs):.3f}" for k in runs[0][name]["after"])]
        for name in named
    ]
    return "\n\n".join([
        "## Sinusoids",
        "Mean squared error on new sinusoids after gradient steps on 10 points (Finn et al. 2017, section 5.1); "
        f"600 of them, {len(runs)} seeds. After 10 steps the error of weights pretrained on all sinusoids is "
        f"{ratio['mean']} times MAML's (deviation {ratio['sd']}, least {ratio['least']}; aim: 10).",
        table(["weights", *(f"after {k}" for k in runs[0][named[0]]["after"])], rows),
    ])  # fmt: skip


def _speed(found: Mapping[str, Any]) -> str:
    parts = ["## Speed against others", " ".join(found["protocol"].removeprefix("Protocol: ").split())]
    parts.append(
        f"Load of the machine when it began: {found['load']:.1f}. How peers were installed: `benchmarks/peers.txt`."
    )
    for name, race in found["races"].items():
        told = race["summary"]
        parts.append(
            f"### {name[0].upper() + name[1:]}\n\nOurs is {told['times_as_fast']:.2f} times as fast as the best other "
            f"({told['best_other']}), {told['times_as_fast_by_processor']:.2f} times by processor time; aim "
            f"{race['aim']:g}. Peak memory: {told['times_the_memory']:.2f} times the leanest other's."
        )
        rows = [
            [who, f"{row['a_second'][1]:,.4g} ({row['a_second'][0]:,.4g} to {row['a_second'][2]:,.4g})",
             f"{1000 * row['processor']:.4g}", str(row["peak_mb"])]
            for who, row in race["contenders"].items()
        ]  # fmt: skip
        parts.append(table(["contender", f"{race['unit']} a second (quartiles)", "processor ms each", "peak MB"], rows))
    return "\n\n".join(parts)


def _transductive(found: Mapping[str, Any]) -> str:
    published = found["published"]
    seconds = [
        [name, f"{row['wall']:.2f}", f"{row['processor']:.2f}", str(published.get(name.split(",")[0], ""))]
        for name, row in found["seconds"].items()
    ]
    kinds = [(shots, shares) for shots, rows in found["accuracy"].items() for shares in rows]
    first = found["accuracy"][kinds[0][0]][kinds[0][1]]
    gains = [
        [name, *(f"{found['accuracy'][shots][shares][name]['mean']:+.1f}" for shots, shares in kinds)]
        for name in first
        if name != "prototypes"
    ]
    return "\n\n".join([
        "## Transductive levels",
        " ".join(str(found["protocol"]).removeprefix("Protocol. ").split()),
        table(["1,000 tasks", "seconds", "of the processor", "easyfsl's README"], seconds),
        "Points of accuracy over prototypes, mean of five sets of features, by shots and by how classes come:",
        table(["level", *(f"{shots} shot{'s' * (shots != '1')}, {shares}" for shots, shares in kinds)], gains),
    ])  # fmt: skip


def _grouped(runs: Sequence[Mapping[str, Any]], *keys: str) -> list[list[Mapping[str, Any]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault(tuple(run[key] for key in keys), []).append(run)
    return list(groups.values())


def _over(values: Sequence[float]) -> str:
    """Mean in per cent, and the deviation between seeds where there are several."""
    spread = f" ({100 * stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


def _pc(value: float) -> str:
    return f"{100 * value:.1f}"


SECTIONS = {
    "omniglot": _omniglot,
    "domains_pacs": _domains("PACS: a new style", "Seven classes of photos, paintings, cartoons or sketches."),
    "domains_reviews": _domains("Product reviews to movie reviews", "Two classes; the others are Amazon's four."),
    "domains_hospitals": _domains("Hospitals", "Heart disease or not; accuracy of balanced queries."),
    "sinusoid": _sinusoid,
    "speed": _speed,
    "transductive": _transductive,
}

if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE.name} is not what the result files say; run python -m benchmarks.meta.report")
