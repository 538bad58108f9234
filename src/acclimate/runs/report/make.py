"""When a report is written: at the end of a run and of an evaluation. A report never makes either fail."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acclimate.files import write_json
from acclimate.runs.report.view import wanted

if TYPE_CHECKING:
    from acclimate.domains.domain import Domain
    from acclimate.methods.data import Data
    from acclimate.tasks.answers import Answers
    from acclimate.tasks.base import Task


def keep(
    folder: Path, value: Mapping[str, Any], data: Data, wholes: Sequence[Domain], records: Mapping[str, Any]
) -> None:
    """Write ``report.json`` of a run whose arms are trained; its result is written after that."""
    if not wanted():
        return
    with careful():
        from acclimate.runs.report.kept import NAME, gather

        write_json(folder / NAME, gather(folder, value, data, wholes, records))


def evaluated(
    folder: Path, value: Mapping[str, Any], task: Task, answers: Mapping[str, Answers], domain: Domain
) -> None:
    """Write what labels showed into ``report.json``, and the page again."""
    if not wanted():
        return
    with careful():
        from acclimate.runs.report.kept import NAME, opened, read_kept

        write_json(folder / NAME, opened(read_kept(folder), value, task, answers, domain))
    finished(folder)


def finished(folder: Path) -> None:
    """Write the page and the model's card of a run whose result is written."""
    if not wanted():
        return
    with careful():
        from acclimate.runs.report.card import write_card
        from acclimate.runs.report.page import write_page

        write_card(folder)
        write_page(folder)


@contextmanager
def careful() -> Iterator[None]:
    """What fails in the block becomes a warning."""
    try:
        yield
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        warnings.warn(f"no report: {type(error).__name__}: {first}; the run is whole without it", stacklevel=3)
