"""Progress of training: one line a stage on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from acclimate.cli.show import duration

if TYPE_CHECKING:
    from acclimate.runs.log import Show

SECONDS = 5.0
"""Between two plain lines."""


@contextmanager
def progress(args: argparse.Namespace) -> Iterator[Show]:
    """Where training tells its steps; silent with ``--quiet`` and ``--json`` (RUN/metrics.jsonl has every step)."""
    if args.quiet or args.json:
        yield lambda *told: None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield Lines()


class Rates:
    """Steps (or rows read) a second and seconds left of each stage, from the first step that was seen."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[int, float]] = {}

    def text(self, arm: str, stage: str, step: int, total: int) -> str:
        """``34.1/s, 11 s left``; empty at first."""
        now = time.monotonic()
        begun, since = self._first.setdefault((arm, stage), (step, now))
        if step <= begun or now <= since:
            return ""
        rate = (step - begun) / (now - since)
        left = f", {duration((total - step) / rate)} left" if step < total else ""
        return f"{rate:.3g}/s{left}"


def title(arm: str, stage: str) -> str:
    """An arm with its stage, where that says more."""
    return arm if stage in (arm, "done") else f"{arm}: {stage}"


def shown(losses: Mapping[str, float]) -> str:
    """``task 0.412, domain 0.690``."""
    return ", ".join(f"{name} {value:.3f}" for name, value in losses.items())


class Lines:
    """Plain lines on stderr: the last step of a training, and one every few seconds before."""

    def __init__(self) -> None:
        self._rates, self._last = Rates(), time.monotonic()

    def __call__(self, arm: str, stage: str, step: int, total: int, losses: Mapping[str, float]) -> None:
        rate, now = self._rates.text(arm, stage, step, total), time.monotonic()
        if (step < total or not losses) and now - self._last < SECONDS:
            return
        self._last = now
        parts = [f"{title(arm, stage)}  {step}/{total}", shown(losses), rate]
        print("  ".join(part for part in parts if part), file=sys.stderr, flush=True)


@contextmanager
def _bars() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    text = [TextColumn("{task.fields[losses]}", style="dim"), TextColumn("{task.fields[rate]}")]
    columns = [TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), *text]
    lines: dict[tuple[str, str], TaskID] = {}
    rates = Rates()
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def show(arm: str, stage: str, step: int, total: int, losses: Mapping[str, float]) -> None:
            key = arm, stage
            if key not in lines:
                lines[key] = bars.add_task(title(arm, stage), total=total, losses="", rate="")
            rate = rates.text(arm, stage, step, total)
            bars.update(lines[key], completed=step, total=total, losses=shown(losses), rate=rate)

        yield show
