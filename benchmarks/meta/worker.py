"""One contender in a process of its own, so that its threads and its memory are its own.

``python -m benchmarks.meta.worker '{"what": "maml", "who": "ours", "threads": 2, ...}'`` reads a number of units from
each line, works through so many of them, and answers with a line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.meta import contenders, lookups


def made(what: str, who: str, **settings: Any) -> Any:
    """A contender by name: something with ``prepared(units)``."""
    if what == "maml":
        return contenders.maml(who, **settings)
    if what == "protonet":
        return contenders.protonet(who, **settings)
    return lookups.LOOKUPS[who] if what == "lookup" else lookups.Drawing(lookups.SAMPLERS[who])


def main() -> None:
    """Answer until there are no more questions."""
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked.pop("threads"))
    contender = made(**asked)
    contender.prepared(1)
    _answer({"idle_mb": _resident()})
    for line in sys.stdin:
        work = contender.prepared(int(line))
        begun, processor = time.perf_counter(), time.process_time()
        work()
        seconds, processor = time.perf_counter() - begun, time.process_time() - processor
        _answer({"seconds": seconds, "processor": processor, "peak_mb": _peak()})


def _answer(value: dict[str, float]) -> None:
    print(json.dumps(value), flush=True)


def _resident() -> float:
    """What the process holds now, where the system tells."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() / 1e6 if pages.exists() else _peak()


def _peak() -> float:
    """The largest resident set since the program began; getrusage's is inherited from the parent."""
    told = Path("/proc/self/status")
    if told.exists():
        return next(int(line.split()[1]) for line in told.read_text().splitlines() if line.startswith("VmHWM")) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    main()
