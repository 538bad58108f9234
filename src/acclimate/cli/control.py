"""``acclimate control``: a robot's model, learned over many bodies and adapted to a new one from seconds of data."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acclimate.cli import options
from acclimate.cli.progress import progress
from acclimate.cli.show import duration, number, put, say, table
from acclimate.errors import SettingsError

TRAINING = ("env", "bodies", "seconds", "method", "seed", "episodes")
"""Options of a training; an adaptation has what its run was trained with."""
EPISODES = 3


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "train a robot's model over many simulated bodies, or adapt it to the data of a new one"
    parser = options.verb(verbs, "control", about, run)
    parser.epilog = (
        "`acclimate control --adapt FOLDER --data FILE -o CONTROLLER` adapts to a body; from Python, "
        "`acclimate.robots.controller.Controller.load(CONTROLLER).act(state)` acts. Needs the extra 'control'."
    )
    parser.add_argument("-o", "--out", dest="folder", metavar="FOLDER", required=True, help="folder of the result")
    parser.add_argument("--force", action="store_true", help="replace what is in that folder")
    options.settings(parser, "method.steps=3, ranges.mass=[0.5,2], fit.steps=5000, planner.horizon=30 or history=4")
    train = parser.add_argument_group("training")
    train.add_argument("--env", metavar="ID", help="Pendulum-v1 (default) or CartPole-v1, of Gymnasium")
    train.add_argument("--bodies", type=int, metavar="N", help="bodies that are learned from (default 40)")
    train.add_argument("--seconds", type=float, metavar="S", help="of data a body is adapted from (default 10)")
    train.add_argument(
        "--method", metavar="NAME",
        help="maml (default) or another learner with inner steps; randomise+finetune, finetune; never adapted: "
        "randomise, nominal",
    )  # fmt: skip
    train.add_argument("--seed", type=int, metavar="N", help="from which all randomness comes (default 0)")
    train.add_argument(
        "--episodes", type=int, metavar="N",
        help=f"unseen bodies that are played with and without adaptation (default {EPISODES})",
    )  # fmt: skip
    adapt = parser.add_argument_group("adaptation")
    adapt.add_argument("--adapt", metavar="FOLDER", help="of a training, whose model is adapted")
    adapt.add_argument(
        "--data", metavar="FILE",
        help="transitions of the new body in their order: .csv with state_0, ..., action_0, ..., next_state_0, ..., or "
        ".npz with state, action, next_state",
    )  # fmt: skip
    adapt.add_argument(
        "--held-out", type=float, metavar="SHARE", default=0.2,
        help="of the transitions, at the end, that the error is measured on and not learned from (default 0.2)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Train, or adapt."""
    if (args.adapt is None) != (args.data is None):
        raise SettingsError("an adaptation needs both: --adapt FOLDER of a training, and --data FILE of the new body")
    if args.adapt is None:
        _train(args)
    else:
        _adapt(args)


def _train(args: argparse.Namespace) -> None:
    from acclimate.robots import settings, train
    from acclimate.robots.run import finished
    from acclimate.runs import recipe

    values = {"episodes": EPISODES, **options.given(args, *TRAINING)}
    if args.method is not None:
        values["method"] = {"name": args.method}
    for pair in args.set:
        values = recipe.joined(values, recipe.assignments([pair], ("method", *settings.SECTIONS)))
    asked = settings.parse(values)
    folder = Path(args.folder)
    with progress(args) as show:
        train.control(asked, folder, force=args.force, show=show)
        made = finished(folder)
    outcome(args, made.result)


def found(args: argparse.Namespace, value: Mapping[str, Any]) -> None:
    """What is learned from."""
    say(args, f"bodies of {value['robot']}: {value['bodies']}")


def outcome(args: argparse.Namespace, record: Mapping[str, Any]) -> None:
    """Print what came out."""
    put(args, record, *_summary(record, record.get("played", [])))
    say(
        args,
        "",
        f"{record['transitions']} transitions, bodies: {record['settings']['bodies']}, "
        f"{duration(record['seconds'])}, written to {args.folder}. Next:",
        f"  acclimate control --adapt {shlex.quote(args.folder)} --data TRANSITIONS.csv -o runs/controller",
    )


def _summary(record: Mapping[str, Any], played: Sequence[Mapping[str, Any]]) -> list[str]:
    held, seconds = record["held_out"], record["settings"]["seconds"]
    lines = [
        f"error one step ahead, median of {held['bodies']} bodies held out: {held['before']:.4f} before, "
        f"{held['after']:.4f} after {seconds:g} s of data (better for {held['better']})"
    ]
    if played:
        rows = [
            {
                "body": f"{row['change']} {row[row['change']]:.3g}" + (" steps" if row["change"] == "delay" else " x"),
                "return unadapted": number(row["unadapted"]),
                "adapted": number(row["adapted"]),
            }
            for row in played
        ]
        lines += ["", table(rows)]
    return lines


def _adapt(args: argparse.Namespace) -> None:
    from acclimate.robots.run import ControlRun
    from acclimate.runs.folder import check_free

    trained = [f"--{name}" for name in TRAINING if getattr(args, name) is not None] + ["--set"] * bool(args.set)
    if trained:
        raise SettingsError(f"{', '.join(trained)}: options of a training; the model of {args.adapt} is trained")
    folder = Path(args.folder)
    check_free(folder, args.force)
    controller = ControlRun(args.adapt).adapt(args.data, held_out=args.held_out)
    controller.save(folder)
    told = controller.about
    held = (
        f"; error one step ahead on the {told['held_out']} held out: {told['before']:.4f} before, {told['after']:.4f} "
        "after"
        if "held_out" in told
        else ""
    )
    put(args, told, f"{told['method']} from {told['transitions']} transitions{held}")
    if "held_out" not in told:
        say(args, "note: no transitions were held out, so that nothing tells whether the adaptation helps")
    if told.get("after", 0.0) > told.get("before", 0.0):
        say(args, "warning: the adaptation made it worse there: take the training's model as it is, or more data")
    say(
        args,
        f"written to {args.folder}. Next: acclimate.robots.controller.Controller.load({args.folder!r}).act(state)",
    )
