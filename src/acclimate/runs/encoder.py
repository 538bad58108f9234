"""An encoder that was taught without labels, and what is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acclimate.errors import DataError
from acclimate.files import read_json

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
    path = folder / RECORD
    try:
        value: dict[str, Any] = read_json(path)
        if value["version"] != VERSION:
            raise DataError(f"{path}: version {value['version']}, this Acclimate reads {VERSION}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a readable record of a pretraining ({error})") from None
    return value
