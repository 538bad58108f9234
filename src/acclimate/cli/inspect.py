"""``acclimate inspect``: look at the domains before anything is trained."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from acclimate.cli import options
from acclimate.cli.outcome import data_lines, shares_lines
from acclimate.cli.show import between, duration, put, say

NAMES = (
    *("source", "target", "input", "label", "target_input", "label_map", "site", "group", "task", "modality"),
    *("target_label", "target_shares", "backbone", "device", "precision", "seed", *options.INTERACTIONS),
)
"""Options that are settings of a recipe."""
CHANCE = 0.05
KINDS = {
    "none": "none that is seen",
    "label": "label shift: the same classes in other shares",
    "new_classes": "new classes: some target rows are like no class of the source",
    "covariate": "covariate shift: the looks changed",
    "concept": "concept shift: the same rows have other labels",
}


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "look at source and target: rows, duplicates, the gap, what shifted, which methods work"
    parser = options.verb(verbs, "inspect", about, run)
    parser.epilog = (
        "Of the target only the inputs are read, unless --target-label permits some labels; these show concept shift."
    )
    options.domains(parser)
    parser.add_argument(
        "--backbone", metavar="NAME", help="whose frozen features the gap is measured on; default by modality"
    )
    options.settings(parser, "backbone.size=128 or tune.kind=full")
    parser.add_argument("--target-label", metavar="COLUMN", help="permission to look at these labels of the target")
    parser.add_argument("--target-shares", metavar="CLASS=SHARE,...", help="checked against the evidence")
    parser.add_argument("--seed", type=int, metavar="N", help="of the sample and the folds (default 0)")
    options.place(parser)


def run(args: argparse.Namespace) -> None:
    """Look, and print."""
    from acclimate.runs import recipe
    from acclimate.runs.inspect import inspect

    asked = recipe.merge(recipe.environment(), options.given(args, *NAMES), recipe.assignments(args.set))
    value = inspect(recipe.parse(asked, "inspect"))
    say(args, *value["data"]["notes"])
    put(args, value, *lines(value))
    if value["seconds"] is not None:
        took = value["seconds"]
        say(args, f"features in {duration(took['features'])}, everything else in {duration(took['rest'])}")


def lines(value: Mapping[str, Any]) -> list[str]:
    """What was found, for people."""
    inputs = f" of {', '.join(value['inputs'])}" if value["inputs"] else ""
    found = [f"{value['task']} {value['modality']}{inputs}", *data_lines(value["data"])]
    if value["gap"] is not None:
        found += [*gap_lines(value), *kind_lines(value["kind"]), *shares_lines(value["shares"])]
    if value["shifts"]:
        found += ["most shifted:", *(f"  {shift['name']}: {shift['detail']}" for shift in value["shifts"])]
    found += example_lines(value["examples"])
    found.append(f"methods that work with these data: {', '.join(value['methods'])}")
    if value["with_target_labels"]:
        found.append(f"with --target-label also: {', '.join(value['with_target_labels'])}")
    if value["recommendation"] is not None:
        first, *others = value["recommendation"]["reasons"]
        found += [f"try first: {value['recommendation']['options']}", f"  for {first}", *(f"  {why}" for why in others)]
        tries = "; `acclimate compare` tries several methods on these data" if "auto" in value["methods"] else ""
        found.append(f"  (a rule of thumb{tries})")
    return found


def gap_lines(value: Mapping[str, Any]) -> list[str]:
    """How far apart the domains are, by two measures."""
    gap, mmd = value["gap"], value["mmd"]
    told = between(gap["domain_accuracy"], gap["interval"])
    found = [
        f"gap: proxy A-distance {gap['proxy_a_distance']:.2f} of 2 on {gap['backbone']} features: "
        f"a linear classifier tells the domains apart with accuracy {told}, 0.5 is chance"
    ]
    if mmd is not None:
        found.append(
            f"MMD^2 {mmd['value']:.4f}, p = {mmd['p_value']:.3f} by permuting {mmd['rows']} rows a side: "
            + ("no difference shown" if mmd["p_value"] > CHANCE else "the domains differ")
        )
    return found


def kind_lines(kind: Mapping[str, Any]) -> list[str]:
    """The kind of shift, how sure, and what it was told from."""
    others = ", ".join(f"{name} {p:.2f}" for name, p in kind["probabilities"].items() if p and name != kind["name"])
    found = [
        f"kind of shift: {KINDS[kind['name']]}; sure to {kind['confidence']:.2f}" + (f" ({others})" if others else "")
    ]
    seen = [f"the domains are told apart with AUC {kind['auc']:.2f}"]
    if kind["auc_same_shares"] is not None:
        seen.append(f"{kind['auc_same_shares']:.2f} with the source weighted to the target's estimated class shares")
        seen.append(f"{kind['auc_without_far']:.2f} without far rows too")
        seen.append(f"{kind['far']:.0%} of target rows are unusually far from the source")
    if kind["excess_error"] is not None:
        seen.append(f"error on labelled target rows {kind['excess_error']:+.2f} against source rows like them")
    return [*found, f"  {'; '.join(seen)}", f"  {kind['unseen']}"]


def example_lines(examples: Mapping[str, Any]) -> list[str]:
    """The rows that look most like one domain."""
    found = []
    for side, rows in examples.items():
        if rows:
            found.append(f"most {side.replace('_', '-')} rows of the {side.removesuffix('_like')}:")
            for row in rows:
                found.append(f"  row {row['row'] + 1}" + "".join(f" {row[k]}" for k in ("file", "text") if row[k]))
    return found
