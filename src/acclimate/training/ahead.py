"""The batches of a step, with the next ones collated meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from acclimate.domains.batch import Batch
from acclimate.training.device import Place
from acclimate.training.stream import Stream, move


class Ahead:
    """Gives the batches of a step, and collates the next ones in a thread meanwhile if that is costly."""

    def __init__(self, streams: Mapping[str, Stream], place: Place, threaded: bool):
        self.streams, self.place = streams, place
        self.pool = ThreadPoolExecutor(1) if threaded else None
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
        if self.pool is None:
            ready = self._collate(step)
        else:
            waiting = self.next if self.next and self.next[0] == step else None
            ready = waiting[1].result() if waiting else self._collate(step)
            self.next = (step + 1, self.pool.submit(self._collate, step + 1))
        return {name: move(batch, self.place.device) for name, batch in ready.items()}
