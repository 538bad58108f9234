"""An encoder that was taught without labels, and what is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acclimate.runs import single

RECORD = "pretraining.json"
VERSION = 1


class Encoder:
    """What one `pretrain` produced; give it, or its folder, to other functions as their ``backbone``.

    Attributes:
        folder: where it lives.
        result: the content of pretraining.json.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.result: dict[str, Any] = load(self.folder)

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"Encoder({str(self.folder)!r}, {self.result['method']} on {self.result['backbone']})"


def load(folder: Path) -> dict[str, Any]:
    """The record of a pretraining.

    Raises:
        DataError: there is none, or it is not readable.
    """
    return single.load(folder / RECORD, VERSION, "a pretraining")
