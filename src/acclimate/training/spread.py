"""Independent pieces of work of one step, spread over threads that each have a model of their own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

Item = TypeVar("Item")
Result = TypeVar("Result")
Network = TypeVar("Network", bound=nn.Module)


def spread(function: Callable[[Network, Item], Result], model: Network, items: Sequence[Item]) -> list[Result]:
    """``function(model, item)`` of each item, in the order of the items.

    On a CPU whose threads torch may use, the items are spread over as many threads as those, each of which computes
    with one: whole items on all cores keep them busier than every operation of one item does. A thread works on a
    replica of the model, whose own weights are those of the first call: ``function`` must pass the weights that learn
    (`torch.func.functional_call`, which swaps them in the module and so needs one module a thread). Where a pass draws
    random numbers, the items stay in one thread: what they draw must not depend on which comes first. So results are
    those of one thread, bit for bit.
    """
    threads = min(torch.get_num_threads(), len(items))
    if threads < 2 or next(model.parameters()).device.type != "cpu":
        return [function(model, item) for item in items]
    if model not in _draws:
        before = torch.get_rng_state()
        with _one_thread():
            results = [function(model, item) for item in items]
        _draws[model] = not torch.equal(before, torch.get_rng_state())
        return results
    with _one_thread():
        if _draws[model]:
            return [function(model, item) for item in items]
        return list(_pool(threads).map(partial(_own, function, _replicas_of(model, threads)), items))


_draws: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""Whether a pass of a model draws random numbers."""
_replicas: WeakKeyDictionary[nn.Module, list[nn.Module]] = WeakKeyDictionary()
_pools: dict[int, ThreadPoolExecutor] = {}


def _pool(threads: int) -> ThreadPoolExecutor:
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, "spread", initializer=torch.set_num_threads, initargs=(1,))
    return _pools[threads]


def _replicas_of(model: Network, threads: int) -> SimpleQueue[Network]:
    """One for each thread, with the modes and buffers of the model."""
    replicas = _replicas.setdefault(model, [])
    while len(replicas) < threads:
        replicas.append(copy.deepcopy(model))
    free: SimpleQueue[Network] = SimpleQueue()
    for replica in replicas[:threads]:
        for own, module in zip(replica.modules(), model.modules(), strict=True):
            own.training = module.training
        for kept, buffer in zip(replica.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)
        free.put(replica)  # type: ignore[arg-type]
    return free


def _own(function: Callable[[Network, Item], Result], free: SimpleQueue[Network], item: Item) -> Result:
    replica = free.get()
    try:
        return function(replica, item)
    finally:
        free.put(replica)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Inside the block every operation computes in the thread that asks for it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
