"""python -m benchmarks.report: docs/benchmarks.md and docs/scenes/ from the JSON in results/; --check only compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import (
    influence_page,
    language_page,
    recommend_page,
    sites_page,
    speech_page,
    transcription_page,
    translation_page,
    trust_page,
)
from benchmarks.common import RESULTS, ROOT, table

PAGE = ROOT / "docs" / "benchmarks.md"
INTRODUCTION = """# Benchmarks

Written by `python -m benchmarks.report` from the files in `benchmarks/results/`; do not edit.
Run one with `.venv/bin/python -m benchmarks NAME`. Accuracies are per cent: mean over the seeds, then
the standard deviation between seeds in brackets. Every run opened target labels after its training and
decision. While settings for digits were tried, accuracies on the target were printed beside the label-free
scores that chose them. `deployed` is the model that the label-free decision chose.
"""


def page() -> str:
    """The whole page."""
    sections = [INTRODUCTION]
    for name, section in SECTIONS.items():
        file = RESULTS / f"{name}.json"
        if file.is_file():
            sections.append(section(json.loads(file.read_text(encoding="utf-8"))))
    return "\n".join(sections)


def _cell(value: Mapping[str, float] | None) -> str:
    return "" if value is None else f"{value['mean']:.1f} ({value['sd']:.1f})"


def _outcomes(runs: list[Mapping[str, Any]]) -> str:
    return ", ".join(f"{run['decision']} / {run['verdict']}" for run in runs)


def _minutes(runs: list[Mapping[str, Any]], arm: str) -> str:
    return f"{max(run['arms'][arm]['seconds'] for run in runs) / 60:.1f}"


def _interval(runs: list[Mapping[str, Any]], arm: str) -> str:
    low, high = runs[0]["arms"][arm]["interval"]
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _reviews(found: Mapping[str, Any]) -> str:
    rows = []
    for source, result in found["results"].items():
        for tune in ("frozen", "full"):
            if not (runs := result.get(tune)):
                continue
            summary = result["summary"][tune]
            rows.append(
                [f"{source} to IMDB", tune, _cell(summary["source_only"]), _interval(runs, "source_only"),
                 _cell(summary["dann"]), _interval(runs, "dann"), _cell(summary.get("plain")),
                 _cell(summary["deployed"]),
                 f"{_minutes(runs, 'source_only')} / {_minutes(runs, 'dann')}", _outcomes(runs)]
            )  # fmt: skip
    head = ["pair", "tune", "source only", "95 % (seed 0)", "DANN", "95 % (seed 0)", "TF-IDF", "deployed",
            "minutes, slowest seed", "decision / verdict by seed"]  # fmt: skip
    told = f"{_flat(found)} Minutes are wall time beside other work on the same two cores."
    return f"## Product reviews to movie reviews\n\n{told}\n\n{table(head, rows)}"


def _digits(found: Mapping[str, Any]) -> str:
    rows = [
        [name, _cell(r["summary"]["source_only"]), _interval(r["runs"], "source_only"), _cell(r["summary"]["dann"]),
         _interval(r["runs"], "dann"), _cell(r["summary"]["deployed"]), _outcomes(r["runs"])]
        for name, r in found["results"].items()
    ]  # fmt: skip
    head = ["crop / form of DANN", "source only", "95 % (seed 0)", "DANN", "95 % (seed 0)", "deployed",
            "decision / verdict by seed"]  # fmt: skip
    return f"## MNIST to USPS\n\n{_flat(found)}\n\n{table(head, rows)}"


def _shot_digits(found: Mapping[str, Any]) -> str:
    names = list(next(iter(found["pairs"].values()))["summary"])
    rows = [[name, *(_cell(value["summary"][name]) for value in found["pairs"].values())] for name in names]
    rows.append(["decision / verdict by seed", *(_outcomes(value["runs"]) for value in found["pairs"].values())])
    told = (
        f"{_flat(found)} Settings were chosen on MNIST to USPS with accuracies on its test set in sight: no clean test "
        "for that pair; none were tried on USPS to MNIST. Published: SHOT 97.6 to 98.6 from USPS to MNIST, 97.7 "
        "to 98.0 from MNIST to USPS (tim-learn/SHOT, results.md)."
    )
    seeds = max(len(value["runs"]) for value in found["pairs"].values())
    head = ["arm", *(f"{pair.replace('-', ' to ')}" for pair in found["pairs"])]
    return f"## USPS and MNIST, all rows\n\n{told} {seeds} seeds.\n\n{table(head, rows)}"


def _mnist_m(found: Mapping[str, Any]) -> str:
    rows = [[name, _cell(value), _interval(found["runs"], name) if name in found["runs"][0]["arms"] else ""]
            for name, value in found["summary"].items()]  # fmt: skip
    told = (
        f"{_flat(found)} Settings were settled on a stand-in, MNIST digits over patches of PACS' photos. Published "
        "on the full 59,001 target rows: source only 52, DANN 76.6 (Ganin et al., JMLR 2016)."
    )
    return f"## MNIST to MNIST-M\n\n{told}\n\n{table(['arm', 'accuracy', '95 % (seed 0)'], rows)}"


def _amazon(found: Mapping[str, Any]) -> str:
    rows = []
    for pair, runs in found["pairs"].items():
        means = [
            sum(run["arms"][arm]["accuracy"] for run in runs) / len(runs) for arm in ("source_only", "dann", "plain")
        ]
        rows.append([pair, *(f"{100 * mean:.1f}" for mean in means), _outcomes(runs)])
    rows.append(["**mean**", *(_cell(found["summary"][arm]) for arm in ("source_only", "dann", "plain")),
                 f"deployed {_cell(found['summary']['deployed'])}"])  # fmt: skip
    head = ["pair", "source only (same network)", "DANN", "logistic regression", "decision / verdict by seed"]
    return f"## The DANN paper's Amazon files\n\n{_flat(found)}\n\n{table(head, rows)}"


def _pacs(found: Mapping[str, Any]) -> str:
    rows = []
    for target, result in found["results"].items():
        for tune in ("frozen", "full"):
            if not (runs := result.get(tune)):
                continue
            summary = result["summary"][tune]
            rows.append(
                [f"photo to {target}", tune, _cell(summary["source_only"]), _interval(runs, "source_only"),
                 _cell(summary["dann"]), _interval(runs, "dann"), _cell(summary["deployed"]), _outcomes(runs)]
            )  # fmt: skip
    head = ["pair", "tune", "source only", "95 % (seed 0)", "DANN", "95 % (seed 0)", "deployed",
            "decision / verdict by seed"]  # fmt: skip
    return f"## PACS\n\n{_flat(found)}\n\n{table(head, rows)}"


def _overhead(found: Mapping[str, Any]) -> str:
    rows = []
    for name, ratio in (("both clip gradients", "ratio"), ("neither clips", "ratio_unclipped")):
        low, high = found[ratio]["quartiles"]
        kind = "" if ratio == "ratio" else "_unclipped"
        ours, other = (found["milliseconds"][f"{who}{kind}"] for who in ("acclimate", "by_hand"))
        rows.append(
            [name, f"{ours:.2f} ms", f"{other:.2f} ms", f"{found[ratio]['median']:.2f} ({low:.2f} to {high:.2f})"]
        )
    told = (
        f"One DANN step (batch {found['batch']}, a network {found['width']} wide) beside a hand-written PyTorch loop "
        f"on the same in-memory batches, {found['blocks']} blocks of {found['steps']} steps in alternation in one "
        "process; median and quartiles of the ratio. Ours clips gradients by default; without, it still takes their "
        "norm, to stop before a step that is not finite, which is what the last line shows."
    )
    return f"## Overhead of one DANN step\n\n{told}\n\n{table(['', 'Acclimate', 'by hand', 'ratio'], rows)}"


def _convolution(found: Mapping[str, Any]) -> str:
    rows = []
    for network, value in found["results"].items():
        for name, milliseconds in value["milliseconds"].items():
            times = value["times as long as acclimate"].get(name)
            spread = (
                f"{times['median']:.2f} ({times['quartiles'][0]:.2f} to {times['quartiles'][1]:.2f})" if times else ""
            )
            rows.append([network, name, f"{milliseconds:.1f} ms", spread])
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    told = (
        f"{_flat(found)} {found['blocks']} blocks; {versions}. By itself Acclimate trains in bf16 where the CPU has it."
    )
    head = ["network", "who", "a step", "times as long (quartiles)"]
    return f"## A convolutional DANN step\n\n{told}\n\n{table(head, rows)}"


def _hatn(found: Mapping[str, Any]) -> str:
    arms = list(found["summary"])
    rows = []
    for pair, runs in found["pairs"].items():
        values = [[100 * _accuracy(run, arm) for run in runs] for arm in arms]
        best = [max(run["arms"].items(), key=lambda arm: arm[1]["accuracy"]) for run in runs]
        oracle = ", ".join(f"{name} {100 * arm['accuracy']:.1f}" for name, arm in best)
        rows.append([pair, *(f"{mean(value):.1f}" for value in values), oracle, _outcomes(runs)])
    rows.append(["mean", *(f"{value['mean']:.2f} ({value['sd']:.2f})" for value in found["summary"].values()), "", ""])
    minutes = max(found["encoder_seconds"].values()) / 60
    published = "Published under this protocol: HATN 86.6 (Li et al., AAAI 2018)."
    older = "The pairs of seed 0 were measured before candidates of auto kept their best state."
    told = f"{_flat(found)} Fine-tuning took at most {minutes:.0f} minutes a source. {published} {older}"
    head = ["pair", *(arm.replace("_", " ") for arm in arms), "best arm by seed", "decision / verdict by seed"]
    return f"## Amazon reviews, HATN's protocol\n\n{told}\n\n{table(head, rows)}"


def _accuracy(run: Mapping[str, Any], arm: str) -> float:
    return float(run["deployed"] if arm == "deployed" else run["arms"][arm]["accuracy"])


def _features(found: Mapping[str, Any]) -> str:
    rows = []
    for backbone, ways in found["reading"].items():
        for way, value in ways.items():
            low, middle, high = value["rows_per_second"]
            rows.append([backbone, way, f"{middle:.0f} ({low:.0f} to {high:.0f})", f"{value['cosine']:.4f}"])
    arms = [
        [backbone, " + ".join(map(str, value["rows"])), str(len(value["arms"])), f"{value['pass_seconds']:.0f} s",
         f"{value['compare_seconds']:.0f} s", f"{value['ratio']:.2f}"]
        for backbone, value in found["arms"].items()
    ]  # fmt: skip
    told = f"{_flat(found)} Batches of {found['batch']} rows, {found['blocks']} blocks, alternated."
    reading = table(["backbone", "read in", "rows a second", "lowest cosine"], rows)
    beside = table(["backbone", "rows", "arms", "the pass", "`compare`", "ratio"], arms)
    return f"## Reading frozen backbones\n\n{told}\n\n{reading}\n{beside}"


def _fleet(found: Mapping[str, Any]) -> str:
    rows = []
    for backbone, methods in found["steps"].items():
        for method, value in methods.items():
            low, high = value["quartiles"]
            one, every = (f"{value[way]:.1f} ms" for way in ("one", "all"))
            ratio = f"{value['ratio']:.1f} ({low:.1f} to {high:.1f})"
            rows.append([backbone, method, one, every, ratio, f"{value['speedup']:.1f}"])
    whole = [
        [method, f"{value['one']:.0f} s", f"{value['all']:.0f} s", f"{value['ratio']:.1f}"]
        for method, value in found["runs"].items()
    ]
    told = f"{_flat(found)} {found['blocks']} blocks of {found['steps_a_block']} steps."
    count = found["settings"]
    steps = table(["backbone", "method", "a step of one", f"of {count}", "ratio", "speedup"], rows)
    runs = table(["`compare`", "one", str(count), "ratio"], whole)
    return f"## {count} settings of one method\n\n{told}\n\n{steps}\n{runs}"


def _startup(found: Mapping[str, Any]) -> str:
    rows = [[f"`{name}`", f"{seconds:.3f} s"] for name, seconds in found["seconds"].items()]
    rows.append(["environment of `make test`", f"{found['environment_gb']} GB"])
    return f"## Start-up and size\n\n{_flat(found)}\n\n{table(['what', 'measured'], rows)}"


def _flat(found: Mapping[str, Any]) -> str:
    return " ".join(str(found["protocol"]).split())


SECTIONS = {
    "reviews": _reviews,
    "hatn": _hatn,
    "pacs": _pacs,
    "digits": _digits,
    "shot_digits": _shot_digits,
    "mnist_m": _mnist_m,
    "amazon": _amazon,
    "speech_digits": speech_page.section,
    "transcription": transcription_page.section,
    "overhead": _overhead,
    "convolution": _convolution,
    "features": _features,
    "fleet": _fleet,
    "recommend": recommend_page.section,
    "translation": translation_page.translation,
    "summaries": language_page.summaries,
    "headlines": language_page.headlines,
    "names": language_page.names,
    "questions": language_page.questions,
    "generation": language_page.generation,
    "xrays": sites_page.xrays,
    "tutorial": sites_page.tutorial,
    "private": trust_page.private,
    "coverage": trust_page.coverage,
    "fairness": trust_page.fairness,
    "influence": influence_page.influence,
    "startup": _startup,
}

SCENES: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("driving", "cells", "robots", "faces", "hospitals", "retina", "molecules")},
    "machines": ("bearings", "turbofans"),
}
"""Pages of their own, and the files in results/ that each tells of. ``benchmarks.NAME_page`` has `page` and `draw`,
which take what the file holds; of several files, what each of those holds that are there, by its name."""


def scenes() -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """The page's module of each scene that was measured, and what was measured."""
    found: dict[str, tuple[Any, Mapping[str, Any]]] = {}
    for name, files in SCENES.items():
        places = {file: RESULTS / f"{file}.json" for file in files}
        held = {file: json.loads(path.read_text(encoding="utf-8")) for file, path in places.items() if path.is_file()}
        if held:
            found[name] = import_module(f"benchmarks.{name}_page"), held if len(files) > 1 else held[name]
    return found


def pages() -> dict[Path, str]:
    """Every page by its file."""
    folder = PAGE.parent / "scenes"
    return {PAGE: page(), **{folder / f"{name}.md": scene.page(found) for name, (scene, found) in scenes().items()}}


def main(check: bool) -> None:
    """Write the pages and their pictures, or compare the pages."""
    for path, text in pages().items():
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.name} is not what the result files say; run python -m benchmarks.report")
    if not check:
        for scene, found in scenes().values():
            scene.draw(found)


if __name__ == "__main__":
    main(sys.argv[1:] == ["--check"])
