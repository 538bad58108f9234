"""`RUN/report.html`: made from the result, from what was kept for it, and from the sections of ``RUN/trust``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from acclimate import __version__
from acclimate.files import writing
from acclimate.runs import result
from acclimate.runs.report.arms import arms
from acclimate.runs.report.blocks import Block
from acclimate.runs.report.changed import again, changed
from acclimate.runs.report.kept import read_kept
from acclimate.runs.report.parts import gap, honesty
from acclimate.runs.report.trust import trust
from acclimate.runs.report.verdict import verdict
from acclimate.runs.report.words import Words

NAME = "report.html"


def write_page(folder: Path, language: str | None = None) -> Path:
    """Write the page of an adapted run, and return its path.

    Args:
        folder: of the run.
        language: en or zh; None: that of the last time.

    Raises:
        DataError: no finished run there.
        SettingsError: another language.
    """
    value, kept = result.load(folder), read_kept(folder)
    words = Words(language or kept.get("language", "en"))
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    name = folder.resolve().name
    page = {
        "title": words("page.title", run=name),
        "kind": words("page.kind"),
        "run": name,
        "kicker": kicker(value, words),
        "verdict": verdict(value, folder.resolve(), words),
        "sections": sections_of(value, kept, recipe, folder, words),
    }
    return put(folder / NAME, page, words)


def kicker(value: Mapping[str, Any], words: Words) -> str:
    """Task, modality and setting."""
    return words(
        "kicker",
        task=words.maybe(f"task.{value['task']}", value["task"].replace("_", " ")),
        modality=words.maybe(f"modality.{value['modality']}", value["modality"]),
        setting=words.maybe(f"setting.{value['setting']}", value["setting"]),
    )


def sections_of(
    value: Mapping[str, Any], kept: Mapping[str, Any], recipe: Mapping[str, Any], folder: Path, words: Words
) -> list[Block]:
    """The sections in their order."""
    found = [
        honesty(value, words),
        gap(value, kept, words),
        arms(value, words),
        trust(value, kept, folder, words),
        changed(kept, words),
        again(value, recipe, folder.resolve(), words),
    ]
    return [section for section in found if section is not None]


def put(path: Path, page: Mapping[str, Any], words: Words) -> Path:
    """Render the template and write the file whole."""
    text = _template("page.html.j2").render(page=page, words=words, style=_style(), version=__version__)
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


@cache
def _template(name: str) -> Any:
    """A template whose values are escaped, and whose unknown names are errors."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("acclimate.runs.report")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.get_template(name)


@cache
def _style() -> str:
    """The style sheet, which stands in the page."""
    return (files("acclimate.runs.report") / "templates" / "style.css").read_text(encoding="utf-8")
