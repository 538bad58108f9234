"""``acclimate pretrain``: teach a backbone on unlabelled rows, for every other command to use."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from acclimate.cli import options
from acclimate.cli.progress import progress
from acclimate.cli.show import duration, put, say, table

NAMES = (
    *("source", "target", "input", "target_input", "label", "modality", "method", "backbone", "tune"),
    *("validation", "budget", "device", "precision", "seed"),
)
"""Options that are settings of a recipe."""
TUNES = ("full", "gradual", "discriminative", "lora", "l2sp")


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "teach a backbone on unlabelled rows of source and target; other commands take it as --backbone FOLDER"
    parser = options.verb(verbs, "pretrain", about, run)
    parser.epilog = "Nothing but inputs is read, of either domain. `acclimate resume FOLDER` continues after a kill."
    parser.add_argument("-o", "--out", dest="folder", metavar="FOLDER", required=True, help="folder of the encoder")
    parser.add_argument("--force", action="store_true", help="replace what is in that folder")
    parser.add_argument("--recipe", metavar="FILE", help="settings as YAML; FOLDER/recipe.yaml is one")
    options.settings(parser, "method.temperature=0.1 or training.steps=500")
    group = parser.add_argument_group("data", f"a domain is {options.LOCATOR}".replace("%", "%%"))
    group.add_argument("--source", action="append", metavar="DOMAIN", help="rows of the source; repeat for several")
    group.add_argument("--target", action="append", metavar="DOMAIN", help="rows of the target; repeat for several")
    group.add_argument(
        "--input", action="append", metavar="COLUMN", help="input column; repeat for several; '*' for all others"
    )
    group.add_argument("--label", metavar="COLUMN", help="a column that '*' leaves out; it is not read")
    group.add_argument(
        "--target-input", action="append", metavar="COLUMN", help="input column of the target, if it has another name"
    )
    group.add_argument("--modality", choices=options.MODALITIES, help="found from the data where unambiguous")
    model = parser.add_argument_group("model")
    model.add_argument("--method", metavar="NAME", help="mlm (texts, the default there) or simclr")
    model.add_argument("--backbone", metavar="NAME", help="`acclimate list backbones`; default by modality")
    model.add_argument("--tune", choices=TUNES, help="what happens to the backbone; default full")
    model.add_argument("--seed", type=int, metavar="N", help="from which all randomness comes (default 0)")
    model.add_argument("--validation", type=float, metavar="SHARE", help="rows held out of each domain (default 0.1)")
    model.add_argument("--budget", metavar="TIME", help="for the training: 90s, 5m, 1.5h")
    options.place(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the recipe that the options make, and print what came out."""
    from acclimate.runs import pretrain, recipe
    from acclimate.runs.lesson import HELD_OUT

    file = recipe.read(args.recipe) if args.recipe else {}
    recipe.parse(file, args.recipe or "recipe")  # so that an error in the file names the file
    chosen = options.given(args, *NAMES)
    default = {"validation": HELD_OUT}
    values = recipe.merge(default, file, recipe.environment(), chosen, recipe.assignments(args.set))
    asked = recipe.parse(values, "pretrain")
    with progress(args) as show:
        record = pretrain.pretrain(asked, Path(args.folder), force=args.force, found=partial(found, args), show=show)
    outcome(args, record)


def found(args: argparse.Namespace, value: Mapping[str, Any]) -> None:
    """What the data are, before training."""
    say(args, *value["notes"])
    for side in ("source", "target"):
        if side in value:
            seen = value[side]
            say(args, f"{side}: {seen['name']}, {seen['rows']} rows, {seen['held_out']} of them held out")
    say(args, "setting: unsupervised; nothing but the inputs is read")


def outcome(args: argparse.Namespace, result: Mapping[str, Any]) -> None:
    """The evidence, what it says, and what to do next."""
    put(args, result, *summary(result))
    folder = shlex.quote(args.folder)
    say(
        args,
        "",
        f"{result['steps']} steps in {duration(result['seconds'])}, written to {args.folder}. Next:",
        f"  acclimate adapt --source ... --target ... --backbone {folder} -o runs/adapted",
    )


def summary(result: Mapping[str, Any]) -> list[str]:
    """Losses and features before and after, and what they say."""
    lines = [table([_side(side, seen) for side, seen in result["evidence"].items()]), ""]
    for name, loss in result["loss"].items():
        lines.append(f"training loss {name}: {loss['first']:.3f} at the first step, {loss['last']:.3f} at the last")
    return [*lines, *(f"warning: {note}" for note in result["notes"])]


def _side(side: str, seen: Mapping[str, Any]) -> dict[str, str]:
    held, rank = seen["held_out_loss"], seen["effective_rank"]
    return {
        "domain": side,
        "held-out loss, new head": f"{held['before']:.3f}" if held else "",
        "held-out loss, taught": f"{held['after']:.3f}" if held else "",
        "effective rank (RankMe) before": f"{rank['before']:.1f}",
        "after": f"{rank['after']:.1f} of {min(rank['width'], rank['rows'])}",
    }
