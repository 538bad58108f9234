"""What `acclimate report` and `acclimate.report` do: a page of one run, or one that compares several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acclimate.errors import SettingsError
from acclimate.files import write_json
from acclimate.runs import encoder, result
from acclimate.runs.report.card import write_card
from acclimate.runs.report.kept import NAME, read_kept
from acclimate.runs.report.others import CONTROL, write_control, write_encoder, write_learner
from acclimate.runs.report.page import write_page
from acclimate.runs.report.several import compare_runs, write_comparison
from acclimate.runs.report.verdict import sentence_of
from acclimate.runs.report.words import Words

COMPARISON = "comparison.html"


def report(
    folders: Sequence[Path], *, language: str | None = None, out: Path | None = None
) -> tuple[Path, list[dict[str, Any]]]:
    """Write the report of a run, or of several beside each other.

    It helps whoever has to judge a run without having made it. It hurts where figures of several runs on different rows
    are compared all the same: the page says that they cannot be.

    Args:
        folders: of one run of any kind that has a page, or of several that adapted a model.
        language: en or zh; None: that of the last time, at first English.
        out: the file of a comparison; ``comparison.html`` in the current folder if None.

    Returns:
        The page, and of each run what `several.compare_runs` says (of an encoder, a meta-trained model or a robot's
        nothing).

    Raises:
        DataError: no finished run.
        SettingsError: another language, or ``out`` for a single run, whose page belongs into its folder.
    """
    words = Words(language or "en")
    if len(folders) > 1:
        return write_comparison(folders, out or Path(COMPARISON), language), compare_runs(folders)
    folder = folders[0]
    if out is not None:
        raise SettingsError(f"the page of one run is {folder / 'report.html'}; -o is for several runs side by side")
    if (folder / encoder.RECORD).is_file():
        return write_encoder(folder, language), []
    if (folder / "meta.json").is_file():
        return write_learner(folder, language), []
    if (folder / CONTROL).is_file():
        return write_control(folder, language), []
    result.load(folder)
    kept = read_kept(folder)
    if kept and language is not None and kept["language"] != language:
        write_json(folder / NAME, {**kept, "language": words.language})  # an evaluation writes the page in it, too
    write_card(folder)
    return write_page(folder, language), compare_runs(folders)


def verdict_of(folder: Path, language: str | None = None) -> str:
    """The verdict of an adapted run in one sentence."""
    return sentence_of(result.load(folder), Words(language or "en"))[1]
