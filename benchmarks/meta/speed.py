"""How fast meta-learning is beside learn2learn, higher, torchopt, easyfsl and a plain loop (`benchmarks/peers.txt`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import ROOT, say, write
from benchmarks.meta import contenders, lookups, peers

RESULTS = Path(__file__).parent / "results"
THREADS = (1, 2)
BLOCKS, WARM = 5, 1
TOLERANCE = 1e-4
"""Largest relative difference of gradients that counts as rounding: features are float32 in ours."""


@dataclass(frozen=True)
class Race:
    """What is measured of whom.

    Attributes:
        what: "maml", "protonet", "lookup" or "sampling".
        who: the contenders, ours first.
        unit: what is counted.
        units: of one block, so that it takes about two seconds.
        aim: how many times as fast as the best peer ours ought to be.
        settings: of the contenders.
        threads: with how many of them each is measured.
    """

    what: str
    who: tuple[str, ...]
    unit: str
    units: int
    aim: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    threads: tuple[int, ...] = THREADS


def main() -> None:
    """Protocol: every contender is a process of its own, with one thread and with two; the faster one counts. They take
    turns block by block, one works at a time, and each round begins with another one. Units a second are medians over
    the blocks by the clock, first and third quartile beside them; `processor` is seconds of processor time a unit,
    which other work on the machine disturbs less. Peak memory is the largest resident set of the process, libraries
    included. Ours is the whole training loop, with drawing of episodes and bookkeeping; the others take episodes that
    lie ready. Everyone trains the same weights: the others in the papers' network (convolution, batch norm, ReLU,
    max-pooling), ours in backbone `conv4`, which is the same function; "loop, our network" is a hand-written loop
    around that. Gradients of one outer step are compared first, in float64. `load` is the machine's when it began:
    near 0, or figures with two threads mean nothing.
    """
    found = peers.installed()
    result: dict[str, Any] = {"load": os.getloadavg()[0], "peers": found, "agreement": agreement(found), "races": {}}
    for name, race in races(found).items():
        result["races"][name] = run(race)
        say(name, json.dumps(result["races"][name]["summary"]))
        write("speed", {"protocol": main.__doc__, "blocks": BLOCKS, **result}, RESULTS)


def races(found: Mapping[str, str]) -> dict[str, Race]:
    """All of them."""
    maml = tuple(contenders.names(contenders.MAML_PEERS, found))
    protonet = tuple(contenders.names(contenders.PROTONET_PEERS, found))
    lookup, sampling = _known(lookups.LOOKUPS, found), _known(lookups.SAMPLERS, found)
    return {
        "maml, 1 inner step": Race("maml", maml, "outer steps", 6, 1.3, {"steps": 1, "tasks": 4}),
        "maml, 5 inner steps": Race("maml", maml, "outer steps", 3, 1.3, {"steps": 5, "tasks": 4}),
        "protonet": Race("protonet", protonet, "episodes", 30, 1.5, {"tasks": 1}),
        "prototypes on cached features": Race("lookup", lookup, "tasks", 5120, 2.0),
        "drawing episodes": Race("sampling", sampling, "episodes", 10240, 10.0, threads=(1,)),
    }


def _known(names: Iterable[str], found: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in names if not found.get(name, "").startswith("not installed"))


def agreement(found: Mapping[str, str]) -> dict[str, float]:
    """How far gradients of one outer step are from ours at most, relative to a parameter's.

    easyfsl normalises support and query apart: it is compared with a loop that does so too.
    """
    apart: dict[str, float] = {}
    for steps in (1, 5):
        ours = contenders.maml("ours", steps, 4).gradients()
        for who in list(contenders.names(contenders.MAML_PEERS, found))[1:]:
            apart[f"maml, {steps}, {who}"] = _apart(contenders.maml(who, steps, 4).gradients(), ours)
    ours, other = (contenders.protonet(who, 1).gradients() for who in ("ours", "loop, apart"))
    for who in list(contenders.names(contenders.PROTONET_PEERS, found))[1:]:
        expected = other if who == "easyfsl" else ours
        apart[f"protonet, {who}"] = _apart(contenders.protonet(who, 1).gradients(), expected)
    say("gradients", apart)
    far = {name: value for name, value in apart.items() if not value < TOLERANCE}
    if far:
        raise SystemExit(f"gradients differ, so that speeds cannot be compared: {far}")
    return apart


def _apart(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    pairs = zip(found, expected, strict=True)
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


def run(race: Race) -> dict[str, Any]:
    """Let them take turns."""
    workers = {(who, threads): Worker(race, who, threads) for who in race.who for threads in race.threads}
    try:
        for turn in range(WARM + BLOCKS):
            order = list(workers.values())
            first = turn % len(order)
            for worker in order[first:] + order[:first]:
                worker.block(keep=turn >= WARM)
    finally:
        for worker in workers.values():
            worker.close()
    rows = {f"{who}, {threads} thread{'s' * (threads > 1)}": worker.row() for (who, threads), worker in workers.items()}
    return {"unit": race.unit, "aim": race.aim, "summary": summary(race, rows), "contenders": rows}


class Worker:
    """A contender's process."""

    def __init__(self, race: Race, who: str, threads: int):
        self.units, self.blocks = race.units, list[dict[str, float]]()
        asked = json.dumps({"what": race.what, "who": who, "threads": threads, **race.settings})
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.meta.worker", asked],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self.idle = self._answer()["idle_mb"]

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def block(self, *, keep: bool) -> None:
        """One turn."""
        assert self.process.stdin is not None
        print(self.units, file=self.process.stdin, flush=True)
        found = self._answer()
        if keep:
            self.blocks.append(found)

    def row(self) -> dict[str, Any]:
        """What the blocks say."""
        rates = np.quantile([self.units / block["seconds"] for block in self.blocks], [0.25, 0.5, 0.75])
        return {
            "a_second": [_short(rate) for rate in rates],
            "processor": _short(float(np.median([block["processor"] for block in self.blocks])) / self.units),
            "idle_mb": round(self.idle),
            "peak_mb": round(max(block["peak_mb"] for block in self.blocks)),
        }

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def summary(race: Race, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Ours beside the best of the others, each at the number of threads that suits it."""
    best = {who: max(_of(who, rows), key=lambda row: rows[row]["a_second"][1]) for who in race.who}
    others = {who: row for who, row in best.items() if not who.startswith(("ours", "loop, our"))}
    ours, other = best["ours"], max(others.values(), key=lambda row: rows[row]["a_second"][1])
    leanest = min(rows[row]["peak_mb"] for row in others.values())
    cheapest = {who: min(rows[row]["processor"] for row in _of(who, rows)) for who in race.who}
    return {
        "ours": ours,
        "best_other": other,
        "times_as_fast": _short(rows[ours]["a_second"][1] / rows[other]["a_second"][1]),
        "times_as_fast_by_processor": _short(min(cheapest[who] for who in others) / cheapest["ours"]),
        "times_the_memory": _short(rows[ours]["peak_mb"] / leanest),
        "times_the_memory_of_that_other": _short(rows[ours]["peak_mb"] / rows[other]["peak_mb"]),
    }


def _of(who: str, rows: Mapping[str, Any]) -> list[str]:
    return [row for row in (f"{who}, 1 thread", f"{who}, 2 threads") if row in rows]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


if __name__ == "__main__":
    main()
