"""Forks three processes that embed the same rows, kills the one that reads while the others wait, tells what they saw.

Run by test_entries.py with a folder for notes; forks are made before torch has started any thread.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from acclimate.backbones import cache, entries, registry
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.ids import hash_pixels

torch.set_num_threads(1)
notes = Path(sys.argv[1])
images = [np.full((8, 8), k, dtype=np.uint8) for k in range(12)]


class Slow:
    """Rows that write down who read them; the first reader stops at its second batch and never goes on."""

    def __len__(self) -> int:
        return len(images)

    def take(self, index: np.ndarray) -> list[np.ndarray]:
        with (notes / "reads").open("a") as file:
            file.write(f"{os.getpid()}\n")
        readers = (notes / "reads").read_text().split()
        if readers[0] == str(os.getpid()) and len(readers) > 1:
            time.sleep(60)
        return [images[k] for k in index]


def embed() -> None:
    domain = Domain("d", Schema("image"), Slow(), hash_pixels(images))
    found = cache.embed(registry.create("small_cnn", "image"), domain, batch_size=4)["fc"]
    np.save(notes / f"{os.getpid()}.npy", found[:])
    os._exit(0)


def until(done: object) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def readers() -> list[str]:
    return (notes / "reads").read_text().split() if (notes / "reads").exists() else []


children = []
for k in range(3):
    if (pid := os.fork()) == 0:
        embed()
    children.append(pid)
    if k == 0:
        until(lambda: len(readers()) == 2)
time.sleep(0.3)  # the others reach the lock
held = [len(readers()), len(entries.entries()), entries.clear()[0]]
os.kill(children[0], signal.SIGKILL)
ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
print(json.dumps({"children": children, "held": held, "ends": ends, "readers": readers()}))
