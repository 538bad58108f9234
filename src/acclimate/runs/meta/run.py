"""A model that learned to learn, and what is known of it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from acclimate.runs.meta import learned
from acclimate.runs.meta.evaluate import evaluate
from acclimate.runs.meta.learned import Learned


class MetaRun:
    """What one `meta_train` produced; `FewShot` and others take it, or its folder, as their ``backbone``.

    Attributes:
        folder: where it lives.
        result: the content of meta.json.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.result: dict[str, Any] = learned.record(self.folder)

    def __fspath__(self) -> str:
        return str(self.folder)

    @cached_property
    def learned(self) -> Learned:
        """The model and its learner."""
        return Learned.load(self.folder)

    def evaluate(self, data: Any, *, episodes: int = 600, **options: Any) -> dict[str, Any]:
        """Mean and 95 % interval over episodes of new classes; see `runs.meta.evaluate.evaluate` for the options."""
        value = evaluate(self.folder, data, episodes=episodes, **options)
        self.result = learned.record(self.folder)
        return value

    def __repr__(self) -> str:
        shape = self.result["data"]["episodes"]
        return (
            f"MetaRun({str(self.folder)!r}, {self.result['method']} on {self.result['backbone']}, "
            f"{shape['ways']} ways, {shape['shots']} shots)"
        )
