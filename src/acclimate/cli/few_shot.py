"""``acclimate few-shot``: answers for new rows from a few labelled ones."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.cli import options
from acclimate.cli.progress import progress
from acclimate.cli.show import between, counted, counts, put, say
from acclimate.errors import SettingsError

SECTIONS = ("level", "backbone")
"""What ``--set`` may speak of."""


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "learn classes from a few labelled rows and answer new rows: prediction, confidence and probabilities"
    parser = options.verb(verbs, "few-shot", about, run)
    parser.epilog = (
        "What answers is chosen, and made as sure as it may be, on rows of the support that are held out; the rows to "
        "be answered play no part in that. Levels tim, pt_map and laplacian_shot look at all of them together, without "
        "labels; --balanced lets them gain most where classes come equally often, and hurts elsewhere."
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="csv, tsv, jsonl (also .gz), parquet or arrow; else stdout")
    group = parser.add_argument_group("data", f"a domain is {options.LOCATOR}".replace("%", "%%"))
    group.add_argument("--support", required=True, metavar="DOMAIN", help="the labelled rows: class folders, CSV, ...")
    group.add_argument("--data", required=True, metavar="DOMAIN", help="the rows to answer")
    group.add_argument("--input", action="append", metavar="COLUMN", help="input column of tables; repeat for several")
    group.add_argument("--label", metavar="COLUMN", help="the support's labels (default: class folder, or 'label')")
    group.add_argument("--modality", choices=options.MODALITIES, help="found from the support where unambiguous")
    model = parser.add_argument_group("model")
    model.add_argument("--backbone", metavar="NAME", help="pretrained, or a folder of meta-train; default by modality")
    model.add_argument(
        "--level",
        metavar="NAME",
        help="auto (default), prototypes, adapter, probe, lora, tim, pt_map or laplacian_shot",
    )
    classes = model.add_mutually_exclusive_group()
    classes.add_argument("--balanced", action="store_true", help="transductive: classes come equally often")
    classes.add_argument("--unbalanced", action="store_true", help="transductive: they need not (default)")
    model.add_argument(
        "--abstain", type=float, metavar="RATE",
        help="answer 'none of these' where no class conforms, for at most this share of rows of the known classes",
    )  # fmt: skip
    model.add_argument("--seed", type=int, default=0, metavar="N", help="of the parts that are held out (default 0)")
    options.settings(parser, "level.penalty=0.01 or backbone.size=160")
    options.place(parser)


def run(args: argparse.Namespace) -> None:
    """Learn, answer, write, and say what is known of the answers."""
    from acclimate.runs.few_shot.model import check_output, learn, read_support
    from acclimate.runs.meta.learned import columns
    from acclimate.runs.recipe import assignments

    chosen = assignments(args.set, SECTIONS)
    if stray := sorted(set(chosen) - set(SECTIONS)):
        raise SettingsError(f"--set {stray[0]}: expected SECTION.KEY=VALUE with a section of {', '.join(SECTIONS)}")
    if args.out:
        check_output(args.data, args.out)
    inputs, label = columns(args.backbone)
    support = read_support(args.support, input=args.input or inputs, label=args.label or label, modality=args.modality)
    place = {"device": args.device or "auto", "precision": args.precision or "auto"}
    with progress(args) as show:
        model = learn(
            support,
            backbone=_backbone(args, chosen.get("backbone", {}), support.schema.modality),
            level={"name": args.level or "auto", **_form(args), **chosen.get("level", {})},
            abstain=args.abstain,
            seed=args.seed,
            show=show,
            **place,
        )
        say(args, *_found(support.name, model.report))
        if args.out:
            told = model.write(args.data, args.out, args.input, show)
            say(args, *_answered(told))
            put(args, {"output": args.out, "answered": told, "report": model.report}, args.out)
            return
        with tempfile.TemporaryDirectory(prefix="acclimate-") as scratch:
            # Through a file: what is wrong with the last row shows before the first is printed.
            path = Path(scratch) / ("answers.jsonl" if args.json else "answers.csv")
            told = model.write(args.data, path, args.input, show)
            say(args, *_answered(told))
            with path.open(encoding="utf-8", newline="") as answers:
                if args.json:
                    import json

                    rows = [json.loads(line) for line in answers]
                    put(args, {"rows": rows, "answered": told, "report": model.report})
                else:
                    shutil.copyfileobj(answers, sys.stdout)


def _form(args: argparse.Namespace) -> dict[str, Any]:
    from acclimate.methods.few_shot.registry import LEVELS, find_level

    if (args.balanced or args.unbalanced) and not (args.level in LEVELS and find_level(args.level).transductive):
        able = ", ".join(name for name in LEVELS if find_level(name).transductive)
        raise SettingsError(f"--balanced and --unbalanced speak of transductive levels; name one: --level {able}")
    return {"balanced": args.balanced} if args.balanced or args.unbalanced else {}


def _backbone(args: argparse.Namespace, settings: Mapping[str, Any], modality: Any) -> Any:
    if not settings:
        return args.backbone
    from acclimate.runs.few_shot.model import default

    return {"name": args.backbone or default(modality), **settings}


def _found(name: str, report: Mapping[str, Any]) -> list[str]:
    """What the support is, what was chosen on it, and how far it can be relied upon."""
    classes = report["classes"]
    return [
        *report["notes"],
        f"support: {name}, {counted(report['rows'], 'row')}, {counted(len(classes), 'class')} ({counts(classes)})",
        f"level: {_level(report)}",
        *_held_out(report["held_out"]),
        *_calibration(report),
        *_refusing(report["abstain"]),
        *(f"warning: {warning}" for warning in report["warnings"]),
    ]


def _level(report: Mapping[str, Any]) -> str:
    level = report["level"]
    settings = ", ".join(f"{name} {value}" for name, value in level.items() if name != "name")
    others = f", the best of {len(report['candidates'])} on held-out rows" if len(report["candidates"]) > 1 else ""
    return f"{level['name']} ({settings}) on {report['backbone']}{others}"


def _held_out(held: Mapping[str, Any] | None) -> list[str]:
    if held is None or not held["rows"]:
        return []
    accuracy = between(held["accuracy"], held["interval"])
    return [f"held-out accuracy: {accuracy} (95 %) on {counted(held['rows'], 'row')}, log-loss {held['log_loss']:.3f}"]


def _calibration(report: Mapping[str, Any]) -> list[str]:
    if report["temperature"] is None:
        return ["probabilities: calibrated on held-out rows that are asked together with the rows to answer"]
    if report["held_out"] is None:
        return []
    return [f"probabilities: logits divided by {report['temperature']:.2f}, which fits the held-out rows"]


def _refusing(told: Mapping[str, Any] | None) -> list[str]:
    if told is None:
        return []
    known = (
        f"none of these: at most {told['rate']:.3g} of the rows of known classes, on average over supports like this "
        f"one ({told['rows']} rows held out; the least rate they support is {told['least_rate']:.3g})"
    )
    if told["recognised"] is None:
        return [known]
    return [known, f"none of these: {told['recognised']:.2f} of the rows of a class that is left out were recognised"]


def _answered(told: Mapping[str, Any]) -> list[str]:
    lines = _held_out(told["held_out"])
    if told["in_support"]:
        equal = counted(told["in_support"], "row")
        lines.append(f"warning: {equal} to answer equal rows of the support: these answers tell nothing")
    refused = f", {told['refused']} of them none of these" if told["refused"] else ""
    return [*lines, f"answered {counted(told['rows'], 'row')}{refused}"]
