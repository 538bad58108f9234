"""The guard of a training: it looks at what passes through the loop anyway, and changes nothing.

A few times in a loop it takes the last rows of each stream as the method saw them (features, answers), what the
method's discriminator says of them, and now and then the accuracy on held-out source rows; `symptoms` judges those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.tasks.sites import Site
from acclimate.training.model import Model, Step
from acclimate.training.stage import Discriminates, Updates
from acclimate.training.symptoms import Look, Symptoms

LOOKS, SPARSE = 16, 25
"""Looks in a loop at most, and steps between two at least."""
ROWS = 128
"""Rows of each stream that one look takes."""
LEAST = 64
"""Fewer rows say nothing; as many are shown to the discriminator, which may be dear."""
BUDGET = 0.004
"""Share of a loop's work that may be spent on held-out source rows; a step's backward pass costs two forward ones."""


class Guard:
    """Watches the loops of one arm, one after the other.

    Args:
        symptoms: judges what is seen.
        validate: gives a model's accuracy on some held-out rows of the source, None where it cannot answer them.
        rows: how many rows ``validate`` reads.
    """

    def __init__(self, symptoms: Symptoms, validate: Callable[[Model], float | None] | None = None, rows: int = 0):
        self.symptoms, self.validate, self.rows = symptoms, validate, rows
        self.window: dict[str, list[dict[str, Tensor]]] = {}
        self.method: Updates | None = None
        self.site = ""

    def begin(self, method: Updates) -> None:
        """A loop of this method begins."""
        self.method, self.window = method, {}
        self.symptoms.begin(method)

    def see(self, step: Step) -> None:
        """Keep the newest rows of a forward pass: references, no copies, no arithmetic that the loop would feel."""
        if not step.sites:
            return
        (self.site, site), targets = next(iter(step.sites.items())), step.batch.targets
        new = {"values": site.values.detach()}
        if site.probs is not None:
            new["probs"] = site.probs.detach()
            if targets is not None and targets.ndim == 1 and len(targets) == len(site.probs):
                new["targets"] = targets
        kept = [*self.window.get(step.batch.domain, []), new]
        while sum(len(part["values"]) for part in kept[1:]) >= ROWS:
            del kept[0]
        self.window[step.batch.domain] = kept

    def _seen(self) -> dict[str, dict[str, Tensor]]:
        """The newest rows of each stream, all in one."""
        return {
            name: {key: torch.cat([part[key].to(parts[-1][key].device) for part in parts])[-ROWS:] for key in parts[-1]}
            for name, parts in self.window.items()
        }

    def forget(self) -> None:
        """Drop the rows, after a step that failed: what it saw may not be finite."""
        self.window = {}

    def opens(self, step: int, total: int, size: int) -> bool:
        """Whether the step after ``step`` done ones, of ``size`` rows a stream, belongs to what a look takes."""
        every = _every(total)
        return every - step % every <= -(-ROWS // size)

    def due(self, step: int, total: int) -> bool:
        """Whether a look is due after ``step`` done ones."""
        return step % _every(total) == 0

    def look(
        self, model: Model, parts: Mapping[str, nn.Module], step: int, total: int, work: int
    ) -> tuple[dict[str, float], list[str]] | None:
        """After a step: what was measured and what is to be said, or None where no look is due.

        Args:
            model: as it is now.
            parts: the method's networks.
            step: steps done.
            total: steps planned.
            work: rows that a step takes forward and back.
        """
        if not self.due(step, total):
            return None
        every = _every(total)
        validated = None
        if self.validate is not None and self.rows:
            affordable = int(3 * BUDGET * total * work / self.rows)
            apart = every * max(1, -(-(total // every) // max(1, affordable)))
            if affordable > 1 and step % apart == 0:
                validated = self.validate(model)
        found = self._look(parts, step, total, validated)
        return self.symptoms.judge(found)

    def _look(self, parts: Mapping[str, nn.Module], step: int, total: int, validated: float | None) -> Look:
        seen = {name: rows for name, rows in self._seen().items() if len(rows["values"]) >= LEAST}
        source, target = seen.get("source"), seen.get("target")
        features = logits = None
        if source is not None and target is not None:
            features = _array(source["values"]), _array(target["values"])
            newest = ({name: value[-LEAST:] for name, value in rows.items()} for rows in (source, target))
            said = [self._discriminate(parts, rows) for rows in newest]
            if said[0] is not None and said[1] is not None:
                logits = _array(said[0]), _array(said[1])
        return Look(
            step=step,
            total=total,
            features=features,
            domain=logits,
            answers=_array(target["probs"]) if target is not None and "probs" in target else None,
            learned=None if source is None else _accuracy(source),
            validated=validated,
        )

    def _discriminate(self, parts: Mapping[str, nn.Module], rows: Mapping[str, Tensor]) -> Tensor | None:
        if not isinstance(self.method, Discriminates):
            return None
        owner = torch.arange(len(rows["values"]), device=rows["values"].device)
        with torch.no_grad(), _evaluating(parts):
            return self.method.discriminate(parts, self.site, Site(rows["values"], owner, rows.get("probs")))

    def state(self) -> dict[str, Any]:
        """What the next look depends on, for a checkpoint."""
        return {"window": self._seen(), "symptoms": self.symptoms.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self.window = {name: [dict(rows)] for name, rows in state.get("window", {}).items()}
        self.symptoms.load(state.get("symptoms", {}))


def _every(total: int) -> int:
    return max(SPARSE, -(-total // LOOKS))


def _accuracy(rows: Mapping[str, Tensor]) -> float | None:
    return float((rows["probs"].argmax(1) == rows["targets"]).float().mean()) if "targets" in rows else None


def _array(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


@contextmanager
def _evaluating(parts: Mapping[str, nn.Module]) -> Iterator[None]:
    modes = [(module, module.training) for part in parts.values() for module in part.modules()]
    for part in parts.values():
        part.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
