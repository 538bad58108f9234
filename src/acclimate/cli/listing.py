"""``acclimate list``: methods, learners, levels, backbones and tasks by name."""

from __future__ import annotations

import argparse
from typing import TypedDict

from acclimate.cli import options
from acclimate.cli.show import put, table


class Line(TypedDict, total=False):
    """One line of a list."""

    name: str
    needs: list[str]
    reads: list[str]
    answers: list[str]
    about: str


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    parser = options.verb(verbs, "list", f"list {', '.join(LISTS)}", run)
    parser.add_argument("what", choices=tuple(LISTS), metavar="LIST", help=", ".join(LISTS))


def run(args: argparse.Namespace) -> None:
    """Print one list."""
    lines = LISTS[args.what]()
    rows = [{key: ", ".join(v) if isinstance(v, list) else str(v) for key, v in line.items()} for line in lines]
    put(args, {args.what: lines}, table(rows))


def methods() -> list[Line]:
    """Name, needs and meaning of every method."""
    from acclimate.methods.registry import METHODS, find

    probe = "source_only, or target_only with --target-label, with --tune frozen"
    found = {name: find(name) for name in METHODS}
    lines = [Line(name=n, needs=[w.replace("_", " ") for w in m.needs], about=m.about) for n, m in found.items()]
    return [*lines, Line(name="linear_probe", needs=[], about=probe)]


def backbones() -> list[Line]:
    """Name, modalities and meaning of every backbone."""
    from acclimate.backbones.registry import BACKBONES, PREFIXES

    named = {**BACKBONES, **{f"{prefix}:NAME": entry for prefix, entry in PREFIXES.items()}}
    return [Line(name=name, reads=list(entry.modalities), about=entry.about) for name, entry in named.items()]


def pretraining() -> list[Line]:
    """Name, kinds of rows and meaning of every pretraining."""
    from acclimate.methods.registry import PRETRAINING, find_pretraining

    found = {name: find_pretraining(name) for name in PRETRAINING}
    return [Line(name=name, reads=list(kind.reads), about=kind.about) for name, kind in found.items()]


def learners() -> list[Line]:
    """Name, what its labels may be, and meaning of everything that `meta-train` can train."""
    from acclimate.methods.registry import META, find_meta

    found = {name: find_meta(name) for name in META}
    answers = {True: ["classes", "numbers"], False: ["classes"]}
    return [Line(name=name, answers=answers[kind.regresses], about=kind.about) for name, kind in found.items()]


def levels() -> list[Line]:
    """Name and meaning of every classifier of `few-shot`."""
    from acclimate.methods.few_shot.registry import LEVELS, find_level

    auto = Line(name="auto", about="the best of prototypes, adapter and probe on held-out rows of the support")
    tuned = Line(name="lora", about="prototypes of a backbone that is tuned on the support (Hu et al. 2022)")
    return [auto, *(Line(name=name, about=find_level(name).about) for name in LEVELS), tuned]


def tasks() -> list[Line]:
    """Name and meaning of every task."""
    from acclimate.tasks.registry import TASKS

    return [Line(name=name, about=task.about) for name, task in TASKS.items()]


LISTS = {
    "methods": methods,
    "pretraining": pretraining,
    "learners": learners,
    "levels": levels,
    "backbones": backbones,
    "tasks": tasks,
}
