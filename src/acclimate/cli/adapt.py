"""``acclimate adapt``: train, decide without target labels, write a run."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from acclimate.cli import options
from acclimate.cli.outcome import found, outcome
from acclimate.cli.parser import Parser
from acclimate.cli.progress import progress

if TYPE_CHECKING:
    from acclimate.runs.recipe import Recipe

TUNES = ("frozen", "full", "gradual", "discriminative", "lora", "l2sp")
NAMES = (
    *("source", "target", "input", "label", "target_input", "label_map", "site", "group", "task", "modality"),
    *("target_shares", "target_label", "backbone", "tune", *options.INTERACTIONS),
    *("sensitive", "choose", "privacy", "split", "validation", "budget", "jobs", "device", "precision", "seed"),
)
"""Options that are settings of a recipe."""


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "adapt a model from a labelled source to a target, and say whether that is worth it"
    parser = options.verb(verbs, "adapt", about, run)
    declare(parser)
    parser.add_argument("--method", metavar="NAME", help="`acclimate list methods`; default dann")


def declare(parser: Parser) -> None:
    """Options of everything that trains."""
    parser.epilog = (
        "Settings come from the command line, then ACCLIMATE_DEVICE, _PRECISION, _JOBS, _BUDGET and _SEED, then the "
        "recipe, then defaults. Progress goes to stderr (a plain line every few seconds where that is no terminal, "
        "nothing with --quiet or --json) and every step to RUN/metrics.jsonl. Target labels stay sealed until "
        "`acclimate evaluate`. RUN/report.html is the page to read; ACCLIMATE_REPORT=no leaves it out."
    )
    parser.add_argument("-o", "--out", dest="folder", metavar="RUN", required=True, help="folder of the run")
    parser.add_argument("--force", action="store_true", help="replace the run in that folder")
    parser.add_argument("--recipe", metavar="FILE", help="settings as YAML; RUN/recipe.yaml is one")
    options.settings(parser, "method.strength=0.5 or training.steps=500")
    options.domains(parser)
    options.sensitive(parser)
    parser.add_argument(
        "--choose", choices=("evidence", "worst_group"),
        help="what decides between adapted and source model: label-free evidence (default), or the worst group of "
        "people on held-out source rows",
    )  # fmt: skip
    parser.add_argument(
        "--target-shares", metavar="CLASS=SHARE,...",
        help="what is known of the target's class shares, roughly: answers are made to fit, and arms judged by it",
    )  # fmt: skip
    parser.add_argument(
        "--target-label", metavar="COLUMN",
        help="permission to use these labels of the target (recorded): to train on, or to choose with where arms are "
        "compared",
    )  # fmt: skip
    model = parser.add_argument_group("model")
    model.add_argument("--backbone", metavar="NAME", help="`acclimate list backbones`; default by modality")
    model.add_argument("--tune", choices=TUNES, help="what happens to the backbone; default frozen if pretrained")
    model.add_argument("--seed", type=int, metavar="N", help="from which all randomness comes (default 0)")
    model.add_argument("--validation", type=float, metavar="SHARE", help="labelled rows held out (default 0.2)")
    model.add_argument(
        "--split", choices=("random", "scaffold", "cluster"),
        help="of molecules: held-out ones share no scaffold, or no cluster, with those trained on (default random)",
    )  # fmt: skip
    model.add_argument(
        "--privacy", metavar="epsilon=E,delta=D",
        help="train with differential privacy of the source's rows (docs/privacy.md)",
    )  # fmt: skip
    model.add_argument("--plain-baseline", choices=("yes", "no"), help="train the plain baseline too (default yes)")
    model.add_argument("--budget", metavar="TIME", help="for the training loops: 90s, 5m, 1.5h")
    model.add_argument("--jobs", type=int, metavar="N", help="arms trained at the same time (default 1)")
    options.place(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the recipe that the options make, and print the outcome."""
    carry_out(args, options.given(args, "method"))


def carry_out(args: argparse.Namespace, chosen: dict[str, Any]) -> None:
    """Carry out the recipe of the options that `declare` knows and what was ``chosen`` beside them."""
    from acclimate import api

    asked = _recipe(args, chosen)
    with progress(args) as show:
        done = api.carry_out(asked, args.folder, force=args.force, found=partial(found, args), show=show)
    outcome(args, done.result)


def _recipe(args: argparse.Namespace, chosen: dict[str, Any]) -> Recipe:
    from acclimate.runs import recipe
    from acclimate.trust.privacy.settings import parse as parse_privacy

    file = recipe.read(args.recipe) if args.recipe else {}
    recipe.parse(file, args.recipe or "recipe")  # so that an error in the file names the file
    chosen = {**options.given(args, *NAMES), **chosen}
    if "privacy" in chosen:
        chosen["privacy"] = parse_privacy(chosen["privacy"])
    if args.plain_baseline:
        chosen["plain_baseline"] = args.plain_baseline == "yes"
    return recipe.parse(recipe.merge(file, recipe.environment(), chosen, recipe.assignments(args.set)), "adapt")
