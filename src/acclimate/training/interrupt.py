"""SIGINT and SIGTERM ask the loop to stop at the next step, after a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_received: list[int] = []


def requested() -> int | None:
    """The signal that asked for a stop, or None."""
    return _received[0] if _received else None


@contextmanager
def graceful() -> Iterator[None]:
    """Inside the block the first SIGINT or SIGTERM only asks; a second one acts as usual."""

    def note(number: int, frame: FrameType | None) -> None:
        _received.append(number)
        signal.signal(number, before[number])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received.clear()
