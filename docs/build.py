"""Writes docs/recipes.md from the settings themselves: ``python docs/build.py``. A test holds the page to them."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from acclimate.backbones.preprocess import ImagePreprocess
from acclimate.backbones.registry import BACKBONES, DEFAULTS, PLAIN, PREFIXES, Entry
from acclimate.methods import registry as methods
from acclimate.methods.few_shot.registry import LEVELS, find_level
from acclimate.robots.methods import LEARNER
from acclimate.robots.settings import SECTIONS as CONTROL_SECTIONS
from acclimate.robots.settings import Control
from acclimate.runs.few_shot.classifier import CHOSEN_FROM
from acclimate.runs.meta.plan import DEFAULTS as META_DEFAULTS
from acclimate.runs.meta.plan import Shape
from acclimate.runs.recipe import FROM_ENVIRONMENT, SECTIONS, Recipe
from acclimate.tasks.registry import TASKS
from acclimate.tasks.registry import find as find_task
from acclimate.training.settings import Training, Tune

IMAGES = ("square", "crop", "augment")
"""Settings of the images' preparation that image backbones share."""
PAGE = Path(__file__).parent / "recipes.md"
INTRODUCTION = f"""\
# Recipes

<!-- Written by docs/build.py from the code; do not edit. -->

A recipe is a YAML file of settings: `acclimate adapt --recipe recipe.yaml`. Every run keeps its own, with all
defaults of the adapted arm written out, as `RUN/recipe.yaml`. An unknown key is an error that names the nearest known
one.

    source: ["amazon.jsonl.gz?domain=electronics"]
    target: [imdb.jsonl.gz]
    input: [text]
    label: label
    backbone: minilm
    tune: full
    method: {{name: dann, strength: 0.5}}
    training: {{epochs: 3, batch_size: 32}}

`{"`, `".join(SECTIONS)}` are sections. A section may be its name alone (`tune: full`), and
`--set SECTION.KEY=VALUE` sets one of its keys. Precedence: command line, environment
(`{"`, `".join(f"ACCLIMATE_{name.upper()}" for name in FROM_ENVIRONMENT)}`),
recipe file, default.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, section("Recipe", Recipe)]
    parts += [section("Section `training`", Training), section("Section `tune`", Tune)]
    parts.append("Without a `kind`, a pretrained backbone is frozen and one from scratch is trained in full.\n")
    parts.append("## Section `head`\n\nSettings of the tasks that have any.\n")
    for name, entry in TASKS.items():
        if (own := find_task(name).settings) is not None:
            parts.append(f"### `{name}`\n\n{entry.about[0].upper() + entry.about[1:]}.\n\n{table(own)}")
    parts.append(
        "## Section `method`\n\n`name`, and the settings of that method. Without a name it is `dann`; where target "
        "labels are permitted `finetune`, or `target_only` without a source; and `source_only` without a target.\n"
    )
    for name in methods.METHODS:
        kind = methods.find(name)
        needs = ", ".join(need.replace("_", " ") for need in kind.needs)
        parts.append(f"### `{name}`\n\n{kind.about[0].upper() + kind.about[1:]}. Needs {needs}.\n")
        parts.append(table(kind))
    parts.append(
        "`a+b` is both, where that has a meaning: methods that add losses share one training, methods that change the "
        "trained model follow it (`dann+mcc`, `coral+mlls`). Settings are then given by member: "
        "`--set method.dann.strength=0.5`.\n"
    )
    parts.append(
        "`linear_probe` is a name for `source_only`, or `target_only` where target labels are permitted, on frozen "
        "features.\n"
    )
    parts.append(
        "### Pretraining\n\n`acclimate pretrain` reads the same recipes, with a method of its own and no settings that "
        "speak of labels; `validation` is then the share of all rows that is held out (0.1), and `tune` is `full` "
        "unless it says otherwise. Without a name the method is `mlm` for texts and `simclr` for other rows.\n"
    )
    for name in methods.PRETRAINING:
        taught = methods.find_pretraining(name)
        reads = ", ".join(taught.reads)
        about = taught.about[0].upper() + taught.about[1:]
        parts.append(f"#### `{name}`\n\n{about}. Reads {reads}. Default batch size {taught.batch_size}.\n")
        parts.append(table(taught))
    known = ", ".join(f"`{key}` {value:g}" for key, value in META_DEFAULTS.items())
    parts.append(
        "### Meta-learning\n\n`acclimate meta-train` reads the same recipes, with a learner as its method (`protonet` "
        "without a name), a section `episodes`, no target, and `validation` as the share of the classes that is held "
        f"out (0.1). Of `training` these defaults differ: {known}; a batch is one of episodes.\n"
    )
    for name in methods.META:
        learner = methods.find_meta(name)
        parts.append(f"#### `{name}`\n\n{learner.about[0].upper() + learner.about[1:]}.\n")
        parts.append(table(learner))
    parts.append(section("Section `episodes`", Shape))
    parts.append(few_shot())
    parts.append(
        "## Section `backbone`\n\n`name`, and the settings of that backbone. The name may be a folder: of "
        "`acclimate pretrain`, of a run (its fine-tuned encoder), or of a transformers model.\n"
    )
    for name, entry in BACKBONES.items():
        parts.append(backbone(name, entry))
    for prefix, entry in PREFIXES.items():
        parts.append(backbone(f"{prefix}:NAME", entry))
    parts.append(
        "## Settings of `acclimate control`\n\n`--set KEY=VALUE`, and `--set SECTION.KEY=VALUE` of its sections. A "
        f"`method` has the settings of that learner above, of which these defaults differ: {learner_defaults()}.\n"
    )
    plain = [field.name for field in dataclasses.fields(Control) if field.name not in CONTROL_SECTIONS]
    parts += [table(Control, plain), *(f"### `{name}`\n\n{table(kind)}" for name, kind in CONTROL_SECTIONS.items())]
    parts.append(f"## Images\n\n{table(ImagePreprocess, IMAGES)}")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def learner_defaults() -> str:
    """Those that a learner has in `acclimate control` alone."""
    return ", ".join(f"`{key}` {value:g}" for key, value in LEARNER.items())


def few_shot() -> str:
    """The levels of `acclimate few-shot`."""
    parts = [
        "## Levels of `acclimate few-shot`\n\n`--level NAME`, and `--set level.KEY=VALUE`. `auto` chooses among "
        f"{', '.join(f'`{name}`' for name in CHOSEN_FROM)} on held-out rows of the support.\n"
    ]
    for name in LEVELS:
        level = find_level(name)
        tried = "; ".join(f"`{key}` is searched in {list(values)}" for key, values in level.search.items())
        parts.append(f"### `{name}`\n\n{level.about[0].upper() + level.about[1:]}.{f' {tried}.' if tried else ''}\n")
        parts.append(table(level))
    return "\n".join(parts)


def section(title: str, kind: type) -> str:
    """A heading and its table."""
    return f"## {title}\n\n{table(kind)}"


def backbone(name: str, entry: Entry) -> str:
    """A backbone and its settings."""
    settings = import_module(f"acclimate.backbones.{entry.module}").Settings
    remarks = [f"{entry.about[0].upper() + entry.about[1:]}.", f"Reads {', '.join(entry.modalities)}."]
    for role, names in (("default", DEFAULTS), ("plain baseline", PLAIN)):
        if modalities := [modality for modality, known in names.items() if known == name]:
            remarks.append(f"The {role} for {' and '.join(modalities)}.")
    return f"### `{name}`\n\n{' '.join(remarks)}\n\n{table(settings)}"


def table(kind: type, only: Sequence[str] = ()) -> str:
    """Key, type, default and meaning of each setting of a dataclass."""
    summary, meanings = described(kind)
    hints = get_type_hints(kind)
    rows = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if not only or field.name in only:
            cells = (f"`{field.name}`", shown(hints[field.name]), f"`{default(field)}`", meanings.get(field.name, ""))
            rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        return "No settings.\n"
    lead = f"{summary}\n\n" if not meanings else ""
    return lead + "\n".join(["| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows]) + "\n"


def shown(hint: Any) -> str:
    """A type in words."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(shown(part) for part in inside)
    if origin is tuple:
        return f"list of {shown(inside[0])}"
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "null"}
    return words.get(hint, "mapping")


def default(field: dataclasses.Field[Any]) -> str:
    """The default as it is written in YAML; nothing where there is none."""
    if field.default is field.default_factory is dataclasses.MISSING:
        return "-"
    value = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return str(list(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def described(kind: type) -> tuple[str, dict[str, str]]:
    """The first paragraph of a docstring, and the entries of its ``Attributes`` section and of those of its bases."""
    meanings: dict[str, str] = {}
    for base in reversed([base for base in kind.__mro__ if dataclasses.is_dataclass(base)]):
        prose, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        name = ""
        for line in textwrap.dedent(attributes).splitlines():
            if line and not line.startswith(" "):
                name, _, rest = line.partition(":")
                meanings[name] = rest.strip()
            elif line.strip() and name:
                meanings[name] += f" {line.strip()}"
    clean = {key: value.replace("|", "\\|").replace("``", "`") for key, value in meanings.items()}
    return " ".join(prose.split("\n\n")[0].split()).replace("``", "`"), clean


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
