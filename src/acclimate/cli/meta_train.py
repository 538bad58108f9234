"""``acclimate meta-train``: a model that learns new classes, or a new domain, from a handful of rows."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from acclimate.cli import options
from acclimate.cli.progress import progress
from acclimate.cli.show import between, counted, duration, put, say, signed, table
from acclimate.errors import SettingsError

NAMES = (
    *("source", "input", "label", "group", "label_map", "task", "modality", "method", "backbone", "tune"),
    *("validation", "budget", "device", "precision", "seed"),
)
"""Options that are settings of a recipe."""
SHAPE = ("ways", "shots", "queries", "groups")
"""Options that say what an episode is."""
TUNES = ("frozen", "full", "gradual", "discriminative", "l2sp")


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "train a model that learns to learn: over many small tasks, drawn from labelled rows"
    parser = options.verb(verbs, "meta-train", about, run)
    parser.epilog = (
        "`acclimate evaluate FOLDER --data NEW --episodes 600` measures it on classes that it never saw, `acclimate "
        "few-shot --backbone FOLDER` uses it. `acclimate resume FOLDER` continues after a kill."
    )
    parser.add_argument("-o", "--out", dest="folder", metavar="FOLDER", required=True, help="folder of the model")
    parser.add_argument("--force", action="store_true", help="replace what is in that folder")
    parser.add_argument("--recipe", metavar="FILE", help="settings as YAML; FOLDER/recipe.yaml is one")
    options.settings(parser, "method.rate=0.1 or training.steps=5000")
    group = parser.add_argument_group("data", f"a domain is {options.LOCATOR}".replace("%", "%%"))
    group.add_argument("--source", action="append", metavar="DOMAIN", help="labelled rows; repeat for several domains")
    options.columns(group)
    group.add_argument("--group", metavar="COLUMN", help="alphabet, domain, user, ...; default: each --source is one")
    group.add_argument("--label-map", metavar="FILE", help="JSON object that renames labels")
    group.add_argument("--task", choices=options.TASKS, help="of groups that are tasks; found from the labels")
    group.add_argument("--modality", choices=options.MODALITIES, help="found from the data where unambiguous")
    shape(parser, 5, 1, 15)
    model = parser.add_argument_group("model")
    model.add_argument("--method", metavar="NAME", help="`acclimate list learners`; default protonet")
    model.add_argument("--steps", type=int, metavar="N", help="inner steps of a gradient-based method")
    model.add_argument("--backbone", metavar="NAME", help="`acclimate list backbones`; default by modality")
    model.add_argument("--tune", choices=TUNES, help="default: frozen if pretrained, else full")
    model.add_argument("--seed", type=int, metavar="N", help="from which all randomness comes (default 0)")
    model.add_argument(
        "--validation", type=float, metavar="SHARE", help="of classes held out (default 0.1, at least an episode)"
    )
    model.add_argument("--budget", metavar="TIME", help="for the training: 90s, 5m, 1.5h")
    options.place(parser)


def shape(parser: argparse.ArgumentParser, *defaults: object) -> None:
    """What an episode is, and the defaults of ways, shots and queries; none: those of the training."""
    group = parser.add_argument_group("episodes")
    ways, shots, queries = defaults or ("as in training",) * 3
    group.add_argument("--ways", metavar="N", help=f"classes of an episode, or a range such as 5-20 (default {ways})")
    group.add_argument("--shots", metavar="K", help=f"labelled rows of each class, or a range (default {shots})")
    group.add_argument("--queries", type=int, metavar="Q", help=f"rows of each class to answer (default {queries})")
    group.add_argument(
        "--groups",
        choices=("ignore", "within", "tasks"),
        help="within: classes of one group make an episode; tasks: each group is a task of its own",
    )
    group.add_argument("--turns", action="store_true", help="images turned by quarters are further classes")


def shaped(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `shape` that were given, as a recipe's section."""
    return {**options.given(args, *SHAPE), **({"turns": True} if args.turns else {})}


def run(args: argparse.Namespace) -> None:
    """Carry out the recipe that the options make, and print what came out."""
    from acclimate.runs import recipe
    from acclimate.runs.meta import train
    from acclimate.runs.meta.plan import HELD_OUT

    file = recipe.read(args.recipe) if args.recipe else {}
    named = recipe.parse(file, args.recipe or "recipe").method.get("name")  # an error in the file names the file
    if args.steps is not None:
        _check_steps(args.method or named or "protonet")
    chosen = {**options.given(args, *NAMES), "episodes": shaped(args)}
    inner = {} if args.steps is None else {"method": {"name": args.method, "steps": args.steps}}
    if inner and args.method is None:
        inner = {"method": {"steps": args.steps}}
    default = {"validation": HELD_OUT}
    layers = (default, file, recipe.environment(), chosen, inner, recipe.assignments(args.set))
    asked = recipe.parse(recipe.merge(*layers), "meta-train")
    with progress(args) as show:
        record = train.meta_train(asked, Path(args.folder), force=args.force, found=partial(found, args), show=show)
    outcome(args, record)


def _check_steps(name: str) -> None:
    from acclimate.methods.registry import META, find_meta

    if not hasattr(find_meta(name), "steps"):
        able = ", ".join(other for other in META if hasattr(find_meta(other), "steps"))
        raise SettingsError(
            f"--steps are inner steps, of --method {able}; '{name}' has none. Steps of the training: "
            "--set training.steps=N"
        )


def found(args: argparse.Namespace, value: Mapping[str, Any]) -> None:
    """What the data are, before training."""
    say(args, *value["notes"])
    form = value["episodes"]
    what = "groups are tasks" if form["groups"] == "tasks" else f"{counted(value['classes'], 'class')} to draw from"
    held = f", {value['held_out']} held out" if value["held_out"] else ""
    say(
        args,
        f"source: {value['name']}, {value['rows']} rows, {what}{held}",
        f"an episode: {form['ways']} ways, {form['shots']} shots, {form['queries']} queries",
    )


def outcome(args: argparse.Namespace, result: Mapping[str, Any]) -> None:
    """Losses, what is known of held-out classes, and what to do next."""
    from acclimate.tasks.registry import find

    put(args, result, *summary(result))
    folder, pace = shlex.quote(str(args.folder)), 1000 * result["seconds"] / max(1, result["steps"])
    numbers = find(result["task"]["name"]).kind == "number"
    use = f"  acclimate few-shot --backbone {folder} --support LABELLED --data ROWS -o answers.csv"
    say(
        args,
        "",
        f"{result['steps']} steps in {duration(result['seconds'])} ({pace:.0f} ms each), written to {folder}. Next:",
        f"  acclimate evaluate {folder} --data {'NEW_GROUPS' if numbers else 'NEW_CLASSES'} --episodes 600",
        *(() if numbers else (use,)),
    )


def summary(result: Mapping[str, Any]) -> list[str]:
    """Losses and held-out figures in lines."""
    lines = [
        f"training loss {name}: {loss['first']:.3f} at the first step, {loss['last']:.3f} at the last"
        for name, loss in result["loss"].items()
    ]
    if result["held_out"] is not None:
        shown = ", ".join(
            f"{name} {between(m['mean'], (m['low'], m['high']))}" for name, m in result["held_out"].items()
        )
        episodes = next(iter(result["held_out"].values()))["episodes"]
        what = "groups" if result["data"]["episodes"]["groups"] == "tasks" else "classes"
        lines.append(f"{what} held out, {episodes} episodes (95 %): {shown}")
    return [*lines, *(f"warning: {note}" for note in result["notes"])]


def evaluated(args: argparse.Namespace, value: Mapping[str, Any]) -> None:
    """The figures of `evaluate` on a meta-trained model."""
    form = value["shape"]
    say(
        args,
        f"{value['episodes']} episodes of {value['data']} (seed {value['seed']}): {form['ways']} ways, "
        f"{form['shots']} shots, {form['queries']} queries",
    )
    rows = [_row("meta-trained", value["metrics"], None)]
    for name, metrics in value["baselines"].items():
        plain = {key: metric for key, metric in metrics.items() if key != "difference"}
        rows.append(_row(name, plain, metrics["difference"]))
    verdicts = {
        "helped": "helped: meta-training is better than the baselines in these episodes",
        "no_evidence": "no_evidence: these episodes show no difference to a baseline",
        "hurt": "hurt: a baseline without meta-training is better in these episodes",
    }
    put(args, value, table(rows), "", f"verdict: {verdicts[value['verdict']]}")
    if value["trained_on"]["forced"]:
        say(args, "warning: classes or rows were trained on: the figures flatter")


def _row(name: str, metrics: Mapping[str, Any], difference: Mapping[str, float] | None) -> dict[str, str]:
    shown = {f"{key} (95 %)": between(m["mean"], (m["low"], m["high"])) for key, m in metrics.items()}
    gain = "" if difference is None else signed({**difference, "value": difference["mean"]})
    return {"": name, **shown, "meta-trained less this": gain}
