"""The batches of a step, with the next ones collated meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from acclimate.domains.batch import Batch
from acclimate.training.device import Place
from acclimate.training.episodes import EpisodeStream
from acclimate.training.stream import Stream, move

WATCHED = 5
"""Steps by which the cost of collating is known; the cheapest counts, for others may have been disturbed."""
COSTLY = 0.002
"""Seconds of collating above which a thread pays for itself."""


class Ahead:
    """Gives the batches of a step; where they are costly, a thread collates the next ones meanwhile."""

    def __init__(self, streams: Mapping[str, Stream | EpisodeStream], place: Place):
        self.streams, self.place = streams, place
        self.costs: list[float] = []
        self.pool: ThreadPoolExecutor | None = None
        self.next: tuple[int, Future[dict[str, Batch]]] | None = None

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *failure: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def _collate(self, step: int) -> dict[str, Batch]:
        return {name: stream.batch(step, self.place.share) for name, stream in self.streams.items()}

    def batches(self, step: int) -> dict[str, Batch]:
        """The batch of each stream, on the device."""
        waiting = self.next if self.next and self.next[0] == step else None
        if waiting:
            ready = waiting[1].result()
        else:
            begun = time.perf_counter()
            ready = self._collate(step)
            self._weigh(time.perf_counter() - begun)
        if self.pool is not None:
            self.next = (step + 1, self.pool.submit(self._collate, step + 1))
        if self.place.device.type == "cpu":
            return ready
        return {name: move(batch, self.place.device) for name, batch in ready.items()}

    def _weigh(self, seconds: float) -> None:
        if len(self.costs) < WATCHED:
            self.costs.append(seconds)
            if len(self.costs) == WATCHED and min(self.costs) > COSTLY:
                self.pool = ThreadPoolExecutor(1)
