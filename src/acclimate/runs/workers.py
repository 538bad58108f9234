"""Training the arms of a run, one after the other or in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import torch

from acclimate.errors import DataError, DivergedError, SettingsError
from acclimate.methods.ensemble.auto import Auto
from acclimate.runs.arms import Arm
from acclimate.runs.folder import Lock
from acclimate.runs.log import Log
from acclimate.runs.teacher import teacher
from acclimate.runs.train import Workshop, train_arm
from acclimate.training import interrupt

MAY_FAIL: dict[str, tuple[type[Exception], ...]] = {
    "plain": (DataError,),
    "candidate": (DataError, SettingsError, DivergedError),
}
"""What an arm of a role may fail with and be left out; any other failure ends the run."""


def train(arms: Sequence[Arm], shop: Workshop, lock: Lock) -> dict[str, dict[str, Any]]:
    """Every arm's record; several processes if the recipe allows them, which hold the lock too.

    The record of a plain baseline or candidate that fails on these data says why it is ``left_out``, and no more.
    """
    end = None if shop.recipe.budget is None else time.monotonic() + shop.recipe.budget
    *others, last = arms
    if not isinstance(last.method, Auto):
        return _train_all(arms, shop, lock, end)
    before = None if end is None else end - (end - time.monotonic()) / len(arms)
    records = _train_all(others, shop, lock, before)
    whole = [name for name, record in records.items() if "left_out" not in record]
    data = replace(shop.prepared.data, teacher=teacher(last.method, shop, whole))
    taught = replace(shop, prepared=replace(shop.prepared, data=data), seconds=_share(end, [last]))
    return {**records, last.name: train_arm(last, taught)}


def _train_all(arms: Sequence[Arm], shop: Workshop, lock: Lock, end: float | None) -> dict[str, dict[str, Any]]:
    """The records of arms that need nothing of each other."""
    records: dict[str, dict[str, Any]] = {}
    if shop.recipe.jobs == 1 or len(arms) == 1:
        for number, arm in enumerate(arms):
            records[arm.name] = _train_one(arm, replace(shop, seconds=_share(end, arms[number:])))
        return records
    together = min(shop.recipe.jobs, sum(not arm.convex for arm in arms))
    share = _share(end, arms)
    quiet = replace(
        shop, log=Log(shop.log.path, aloud=False), seconds=None if share is None else share * max(1, together)
    )
    context = multiprocessing.get_context("spawn")
    jobs, given = min(shop.recipe.jobs, len(arms)), (torch.get_num_threads(), lock)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_worker, initargs=given) as pool:
        waiting = {pool.submit(_train_in_process, arm, quiet): arm for arm in arms}
        try:
            for future in as_completed(waiting):
                name = waiting[future].name
                records[name] = future.result()
                steps = records[name].get("steps", 0)
                shop.log.show(name, "done", steps, steps, {})
                shop.log.warn(name, records[name].get("warnings", ()))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # a loop saves its state first
            raise
    return {arm.name: records[arm.name] for arm in arms}


def _begin_worker(threads: int, lock: object) -> None:
    """Get ready to train; that the lock is among the arguments holds it for as long as the worker lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches every process; between arms it is the parent's to heed
    torch.set_num_threads(threads)  # other numbers of threads would give other bits
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot stop its workers."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _train_in_process(arm: Arm, shop: Workshop) -> dict[str, Any]:
    with interrupt.graceful():
        return _train_one(arm, shop)


def _train_one(arm: Arm, shop: Workshop) -> dict[str, Any]:
    try:
        return train_arm(arm, shop)
    except (DataError, SettingsError, DivergedError) as error:
        if isinstance(error, MAY_FAIL.get(arm.role, ())):
            return {"left_out": str(error)}
        raise


def _share(end: float | None, left: Sequence[Arm]) -> float | None:
    """The seconds of the next arm, so that all arms that are trained by steps get as many."""
    if end is None:
        return None
    return max(0.0, end - time.monotonic()) / max(1, sum(not arm.convex for arm in left))
