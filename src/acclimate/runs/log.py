"""metrics.jsonl: one line a logged step, cut back on resume to what the checkpoints remember."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acclimate.errors import AcclimateError
from acclimate.files import SCRATCH, path_name, writing
from acclimate.runs.features import Reading
from acclimate.training import checkpoint
from acclimate.training.loop import Report

Show = Callable[[str, str, int, int, Mapping[str, float]], None]
"""Called with arm, stage, step, steps in all, and losses."""

Found = Callable[[Mapping[str, Any]], None]
"""Called once, before training, with what was found in the data: see `execute.describe`."""


def unsaid(found: Mapping[str, Any]) -> None:
    """Say nothing."""


def silent(arm: str, stage: str, step: int, total: int, losses: Mapping[str, float]) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Log:
    """Appends to a run's metrics.jsonl and shows progress."""

    path: Path | None
    """None writes nothing: not the first of several processes."""
    show: Show = silent
    aloud: bool = True
    """Whether warnings are given as they come; if not, the arm's record alone has them."""

    def report(self, arm: str, stage: str, fleet: str | None = None) -> Report:
        """The `Report` of one stage of one arm, whose checkpoints are those of a ``fleet`` if it has one."""
        of = {"arm": arm, "stage": stage, **({} if fleet is None else {"fleet": fleet})}

        def log(row: dict[str, Any]) -> None:
            if self.path is None:
                return
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**of, **row}) + "\n")
            except OSError as error:
                raise AcclimateError(f"cannot write {self.path}: {error.strerror}") from None

        def warn(sentence: str) -> None:
            if self.aloud:
                self.warn(arm, [sentence])

        return Report(log, lambda step, total, losses: self.show(arm, stage, step, total, losses), warn)

    def warn(self, arm: str, sentences: Iterable[str]) -> None:
        """Say what the guard of an arm has to say."""
        for sentence in sentences:
            warnings.warn(f"arm '{arm}': {sentence}", stacklevel=1)

    def reading(self, arm: str) -> Reading:
        """Shows which rows of which domain a frozen backbone has read."""
        return lambda name, rows, total: self.show(arm, f"reading {name}", rows, total, {})


def tidy(folder: Path) -> None:
    """Remove what a kill left half-written."""
    for scratch in list(folder.rglob(SCRATCH)):
        shutil.rmtree(scratch, ignore_errors=True)


def rewind(folder: Path) -> None:
    """Drop the lines of unfinished arms that come after their newest checkpoint."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the line that a kill cut short
        if (folder / "arms" / path_name(row["arm"]) / "arm.json").is_file() or row["step"] <= _remembered(folder, row):
            kept.append(line)
    with writing(path) as part:
        part.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _remembered(folder: Path, row: Mapping[str, Any]) -> int:
    stages = (folder / "checkpoints" / path_name(row.get("fleet", row["arm"]))).glob(f"*-{row['stage']}")
    steps = [int(path.name) for stage in stages for path in checkpoint.saved(stage)]
    return max(steps, default=0)
