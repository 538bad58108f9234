"""``acclimate evaluate``: open the seal."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acclimate.cli import meta_train, options
from acclimate.cli.outcome import certainty_lines, direction, group_lines, regret_line, report_line
from acclimate.cli.show import between, counts, number, put, say, signed, table
from acclimate.errors import SettingsError

VERDICTS = {
    "helped": "helped: adapting made the model better on these rows than source_only",
    "no_evidence": "no_evidence: these rows do not show a difference to source_only",
    "hurt": "hurt: adapting made the model worse on these rows than source_only",
}


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "evaluate a run on labelled target rows; opens the seal, and writes that down"
    parser = options.verb(verbs, "evaluate", about, run)
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--data", required=True, metavar="DOMAIN", help=options.LOCATOR)
    options.columns(parser)
    parser.add_argument(
        "--group", metavar="COLUMN", help="rows with one value here are resampled together; default as in adapt"
    )
    options.sensitive(parser)
    parser.add_argument("--force", action="store_true", help="also rows that were trained on with their labels")
    parser.add_argument("--episodes", type=int, metavar="N", help="of a meta-trained model: how many (default 600)")
    parser.add_argument("--seed", type=int, metavar="N", help="of a meta-trained model: of the episodes (default 0)")
    meta_train.shape(parser)
    options.place(parser, precision=False)


def run(args: argparse.Namespace) -> None:
    """Evaluate every arm, and print what was found; of a meta-trained model, many episodes."""
    from acclimate.runs.meta.run import MetaRun
    from acclimate.runs.meta.train import is_meta
    from acclimate.runs.run import Run

    if is_meta(Path(args.run)):
        asked = options.given(args, "label", "input", "group", "seed", "device", "episodes")
        value = MetaRun(args.run).evaluate(args.data, shape=meta_train.shaped(args), force=args.force, **asked)
        meta_train.evaluated(args, value)
        return
    if foreign := [f"--{name}" for name in ("episodes", "seed", *meta_train.SHAPE) if getattr(args, name) is not None]:
        raise SettingsError(f"{args.run} was not meta-trained: leave out {', '.join(foreign)}")
    value = Run(args.run).evaluate(
        args.data,
        label=args.label,
        input=args.input,
        group=args.group,
        sensitive=args.sensitive or (),
        force=args.force,
        device=args.device or "auto",
    )
    tell(args, value)
    say(args, *report_line(args.run))


def tell(args: argparse.Namespace, value: Mapping[str, Any]) -> None:
    """Table, verdict, and what to know of the rows."""
    seal = value["seal"]
    compared = (
        f"verdict: {VERDICTS[value['verdict']]}",
        regret_line(value),
        f"decision before the labels were opened: {value['decision']}",
    )
    put(
        args,
        value,
        table([_arm(name, arm, value) for name, arm in {**value["arms"], **_plain(value)}.items()]),
        *direction(value),
        "",
        *(compared if len(value["arms"]) > 1 else ("no verdict: one model alone was trained, and nothing beside it",)),
        *certainty_lines(value["certainty"]),
        *group_lines(value["fairness"]),
        f"seal: opened {seal['opened']} time{'s' if seal['opened'] > 1 else ''}, on {value['n']} rows now",
    )
    say(args, *_remarks(value))
    if value["verdict"] == "helped" and value["decision"] == "keep_source":
        say(args, f"to answer with the adapted model all the same: acclimate predict {args.run}/arms/NAME --data FILE")


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Plain baselines that were no arms."""
    return {f"{name} (baseline)": arm for name, arm in value["baselines"].items()}


def _arm(name: str, arm: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, str]:
    primary, metrics = value["primary"], arm["metrics"]
    difference = arm.get("differences", {}).get(primary)
    return {
        "arm": name + (" *" if name == value["model"] else ""),
        f"{primary} (95 %)": between(metrics[primary], arm["intervals"][primary]),
        "against source_only": signed(difference) if difference else "",
        **{metric: number(amount) for metric, amount in metrics.items() if metric != primary},
    }


def _remarks(value: Mapping[str, Any]) -> list[str]:
    """What a reader of the table should know."""
    last, found = value["seal"]["openings"][-1], list(value["notes"])
    if last["trained_on"]:
        found.append(f"{last['trained_on']} of these rows were trained on with their labels: the figures flatter")
    if value["transductive"]:
        found.append(f"{last['seen_unlabelled']} of these rows were seen in training, without labels (transductive)")
    if value["unseen_labels"]:
        found.append(
            f"rows have labels that training never saw ({counts(value['unseen_labels'])}): counted as errors; "
            "a target with classes of its own needs an open-set method, which may answer 'none of these'"
        )
    return [f"note: {remark}" for remark in found]
