"""SIGINT and SIGTERM: a training loop stops at its next step, after a checkpoint; anything else stops at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_received: list[int] = []
_heeding: list[bool] = []


class StoppedError(KeyboardInterrupt):
    """A signal came while nothing could be saved. Like Ctrl-C no `except Exception` catches it."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def requested() -> int | None:
    """The signal that asked for a stop, or None."""
    return _received[0] if _received else None


@contextmanager
def heeded() -> Iterator[None]:
    """The block asks `requested` again and again, so that a signal may wait for it.

    Raises:
        StoppedError: a signal came after the block had asked for the last time.
    """
    _heeding.append(True)
    try:
        yield
    finally:
        _heeding.pop()
    if _received:
        raise StoppedError(_received[0])


@contextmanager
def graceful() -> Iterator[None]:
    """Inside the block the first SIGINT or SIGTERM only asks where that is `heeded`, and raises elsewhere;
    a second one acts as usual.

    Raises:
        StoppedError: a signal came where none is heeded.
    """

    def note(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[number])
        if not _heeding:
            raise StoppedError(number)
        _received.append(number)

    before: dict[int, Any] = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received.clear()
