"""Training the arms of a run, one after the other or in processes of their own."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from types import ModuleType
from typing import Any

import torch

from acclimate.errors import AcclimateError, InterruptedRunError
from acclimate.methods.ensemble.auto import Auto
from acclimate.runs.arms import Arm
from acclimate.runs.fleet import crews, train_crew
from acclimate.runs.folder import Lock
from acclimate.runs.log import Log, Show
from acclimate.runs.pick import pick
from acclimate.runs.teacher import teacher
from acclimate.runs.train import train_arm
from acclimate.runs.workshop import Workshop
from acclimate.training import interrupt

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Where libraries look how many threads they may start."""
ENDED = (
    "a worker process ended before its arm was trained: it was killed, for instance as memory ran out, or it could not "
    "import the script that the backbone's class stands in, whose own calls belong under if __name__ == '__main__': "
    "(jobs=1 needs no workers)"
)
_stopped = threading.Event()
LONGEST = 2**20
"""Bytes of a part of a pickle: arrays are longer, and name no class."""
_parent: Connection | None = None
"""Of a worker: where it tells its progress."""


def train(arms: Sequence[Arm], shop: Workshop, lock: Lock) -> dict[str, dict[str, Any]]:
    """Every arm's record; several processes if the recipe allows them, which hold the lock too.

    The record of a plain baseline or candidate that fails on these data says why it is ``left_out``, and no more.
    """
    if shop.recipe.budget is not None:
        warm()
    end = None if shop.recipe.budget is None else time.monotonic() + shop.recipe.budget
    *others, last = arms
    if not isinstance(last.method, Auto):
        return _train_all(arms, shop, lock, end)
    before = None if end is None else end - (end - time.monotonic()) / len(arms)
    records = _train_all(others, shop, lock, before)
    heard = [arm for arm in others if arm.role != "beside" and not arm.method.echoes]
    whole = [arm.name for arm in heard if "left_out" not in records[arm.name]]
    if shop.prepared.data.task.kind != "class":
        return {
            **records,
            last.name: pick(last, shop, [arm.name for arm in heard if arm.role != "plain" and arm.name in whole]),
        }
    data = replace(shop.prepared.data, teacher=teacher(last.method, shop, whole))
    taught = replace(shop, prepared=replace(shop.prepared, data=data), seconds=_share(end, [last], [[last]]))
    return {**records, last.name: train_arm(last, taught)}


def _train_all(arms: Sequence[Arm], shop: Workshop, lock: Lock, end: float | None) -> dict[str, dict[str, Any]]:
    """The records of arms that need nothing of each other."""
    records: dict[str, dict[str, Any]] = {}
    left = crews(arms)
    jobs = min(shop.recipe.jobs, len(left))
    if jobs == 1:
        for number, crew in enumerate(left):
            records |= train_crew(crew, replace(shop, seconds=_share(end, crew, left[number:])))
        return {arm.name: records[arm.name] for arm in arms}
    together = max(1, min(jobs, sum(not crew[0].convex for crew in left)))
    quiet = replace(shop, log=Log(shop.log.path, _tell, aloud=False))
    with (
        _heard(shop.log.show) as told,
        ProcessPoolExecutor(
            jobs,
            mp_context=_context(),
            initializer=_begin_worker,
            initargs=(threads(jobs), dict(os.environ), lock, told),
        ) as pool,
    ):
        ordered = sorted(left, key=len, reverse=True)  # what takes longest begins first
        shares = [_share(end, crew, left, together) for crew in ordered]
        try:  # the first worker may be gone before the last arm is handed in
            with nullcontext() if _of_script((ordered, quiet)) else _without_script():
                waiting = [
                    pool.submit(_train_in_process, crew, replace(quiet, seconds=seconds))
                    for crew, seconds in zip(ordered, shares, strict=True)
                ]
            for future in as_completed(waiting):
                for name, record in future.result().items():
                    records[name] = record
                    steps = record.get("steps", 0)
                    shop.log.show(name, "done", steps, steps, {})
                    shop.log.warn(name, record.get("warnings", ()))
        except BrokenProcessPool:
            raise AcclimateError(ENDED) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # a loop saves its state first
            raise
    return {arm.name: records[arm.name] for arm in arms}


def warm() -> None:
    """The first step of a process imports torch's compiler for seconds, which no arm's share of a budget pays."""
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.0).step()


def threads(jobs: int) -> int:
    """How many threads each of several workers computes with: a share of this process', unless the user set them."""
    own = torch.get_num_threads()
    return own if os.environ.get("OMP_NUM_THREADS") else max(1, own // jobs)


def _context() -> BaseContext:
    """How workers begin: forked from a process that has imported everything, and does nothing else.

    Imports take longer than many arms. CUDA does not survive a fork, nor do macOS' own libraries.
    """
    if sys.platform != "linux" or torch.cuda.is_available():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])
    return context


def _of_script(given: object) -> bool:
    """Whether a pickle of this refers to what the user's own script defines; made once more, and kept nowhere."""

    class Sink:
        found = False

        def write(self, part: Any) -> None:
            view = memoryview(part)  # of arrays that are long, a buffer of the array itself
            self.found = self.found or (view.nbytes < LONGEST and b"__main__" in view.tobytes())

    sink = Sink()
    pickle.Pickler(sink, pickle.HIGHEST_PROTOCOL).dump(given)
    return sink.found


@contextmanager
def _without_script() -> Iterator[None]:
    """Processes that begin in here do not run the user's script, which would begin the same run again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _heard(show: Show) -> Iterator[Connection]:
    """Where workers write what is to be shown here."""
    hears, told = multiprocessing.Pipe(duplex=False)

    def listen() -> None:
        with hears, suppress(EOFError, OSError):  # the last worker has ended, or the reader of what is shown is gone
            while True:
                show(*json.loads(hears.recv_bytes()))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    with told:
        yield told
    listener.join()


def _tell(arm: str, stage: str, step: int, total: int, losses: Mapping[str, float]) -> None:
    """Tell the parent; a message that the pipe takes whole needs no lock, which a worker could die with."""
    message = json.dumps((arm, stage, step, total, dict(losses))).encode()
    if _parent is not None and len(message) < select.PIPE_BUF - 8:
        with suppress(OSError):  # nobody looks any more: no reason to end
            _parent.send_bytes(message)


def _begin_worker(number: int, environment: Mapping[str, str], lock: object, parent: Connection) -> None:
    """Get ready to train, in the parent's environment; that the lock is among the arguments holds it for as long as the
    worker lives.

    Libraries that are here already and those that come later all compute with ``number`` threads.
    """
    from threadpoolctl import threadpool_limits

    global _parent
    _parent = parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches every process; between arms it is the parent's to heed
    os.environ.clear()
    os.environ.update({**environment, **dict.fromkeys(POOLS, str(number))})
    threadpool_limits(number)
    torch.set_num_threads(number)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warm()


def _end_with_parent() -> None:
    """A parent that was killed cannot stop its workers."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _train_in_process(crew: Sequence[Arm], shop: Workshop) -> dict[str, dict[str, Any]]:
    """Train in a worker. One that was stopped does not begin what the pool had queued for it already."""
    if _stopped.is_set():
        raise InterruptedRunError("stopped before it began", signal.SIGTERM)
    try:
        with interrupt.graceful():
            return train_crew(crew, shop)
    except (KeyboardInterrupt, InterruptedRunError):
        _stopped.set()
        raise


def _share(end: float | None, crew: Sequence[Arm], left: Sequence[Sequence[Arm]], together: int = 1) -> float | None:
    """The seconds of a crew, so that all arms that are trained by steps get as many; ``together`` crews at a time."""
    if end is None:
        return None
    seconds, waiting = max(0.0, end - time.monotonic()), sum(not arm.convex for each in left for arm in each)
    return min(seconds, seconds * together * len(crew) / max(1, waiting))
