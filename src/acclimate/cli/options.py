"""Options that several verbs share, and the values they give a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from acclimate.cli.parser import Parser

Verbs = Any
"""What `add_subparsers` gives; argparse does not export its type."""
MODALITIES = ("text", "image", "table", "array", "audio", "series", "molecule")
TASKS = (
    "answer",
    "classify",
    "command",
    "detect",
    "generate",
    "multilabel",
    "rank",
    "rate",
    "regress",
    "remaining_life",
    "segment",
    "summarize",
    "tag",
    "transcribe",
    "translate",
    "verify",
    "verify_speaker",
)
LOCATOR = "a file, folder or zip; FILE?key=value selects rows (repeated keys mean or)"


class Joined(argparse.Action):
    """An option that may be given several times: its values with ``|`` between them, one label of several columns."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Put the value behind those before."""
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if before is None else f"{before}|{values}")


def verb(verbs: Verbs, name: str, about: str, call: Callable[[argparse.Namespace], None]) -> Parser:
    """A verb's parser with the options that every verb has."""
    parser: Parser = verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    parser.set_defaults(call=call, verb=parser)
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="one JSON object on stdout and no other text but errors")
    group.add_argument("--quiet", action="store_true", help="no progress and no remarks, only results")
    group.add_argument("--debug", action="store_true", help="show tracebacks and other packages' warnings")
    return parser


def domains(parser: Parser) -> None:
    """Where source and target are, and what is input, label and group."""
    group = parser.add_argument_group("data", f"a domain is {LOCATOR}".replace("%", "%%"))
    group.add_argument("--source", action="append", metavar="DOMAIN", help="labelled rows; repeat for several")
    group.add_argument("--target", action="append", metavar="DOMAIN", help="rows of the target; repeat for several")
    columns(group)
    group.add_argument(
        "--target-input",
        action="append",
        metavar="COLUMN",
        help="input column of the target, if it has another name; +COLUMN for one that only the target has",
    )
    interactions(parser)
    group.add_argument(
        "--site", metavar="COLUMN", help="sites in one source file: each value but the target's is a source of its own"
    )
    group.add_argument("--group", metavar="COLUMN", help="rows with one value here stay together (patient, product)")
    group.add_argument("--label-map", metavar="FILE", help="JSON object that renames labels")
    group.add_argument("--task", choices=TASKS, help="found from the labels where they are unambiguous")
    group.add_argument("--modality", choices=MODALITIES, help="found from the data where they are unambiguous")


def interactions(parser: Parser) -> None:
    """What users and items are called, and where more is known of them."""
    group = parser.add_argument_group("interactions", "of --task rate (ratings) and --task rank (lists of items)")
    group.add_argument("--user", metavar="COLUMN", help="column of the users' ids")
    group.add_argument("--item", metavar="COLUMN", help="column of the items' ids")
    group.add_argument(
        "--rating", metavar="COLUMN",
        help="column of ratings or counts; naming it permits to train on the target's (recorded)",
    )  # fmt: skip
    group.add_argument("--items", action="append", metavar="DOMAIN", help="what is known of items, by --item")
    group.add_argument("--users", action="append", metavar="DOMAIN", help="what is known of users, by --user")
    group.add_argument("--hit", type=float, metavar="RATING", help="of rank: the smallest rating that is a hit")


INTERACTIONS = ("user", "item", "rating", "items", "users", "hit")


def columns(group: Any) -> None:
    """Which columns are inputs and label."""
    group.add_argument(
        "--input", action="append", metavar="COLUMN", help="input column; repeat for several; '*' for all others"
    )
    group.add_argument(
        "--label", metavar="COLUMN", action=Joined,
        help="label column (files: 'label' is the folder, or a field); repeat for several",
    )  # fmt: skip


def sensitive(group: Any) -> None:
    """Columns of groups of people."""
    group.add_argument(
        "--sensitive", metavar="COLUMN,...",
        help="columns of groups of people (sex,race), to tell results apart by; no inputs unless --input names them",
    )  # fmt: skip


def settings(parser: Parser, example: str) -> None:
    """Any setting of a recipe."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help=f"any setting, for example {example}; repeatable",
    )  # fmt: skip


def place(parser: Parser, precision: bool = True) -> None:
    """Where and how to compute."""
    group = parser.add_argument_group("machine")
    group.add_argument("--device", metavar="NAME", help="auto, cpu, cuda, mps, ... (default auto)")
    if precision:
        group.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), help="default auto")


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were given, by the name they have in a recipe."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def share(text: str) -> float:
    """A number between 0 and 1, both left out."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a share between 0 and 1, such as 0.9; found '{text}'")
    return value
