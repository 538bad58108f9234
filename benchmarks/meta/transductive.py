"""What transductive few-shot classifiers cost, and what they gain and lose by how often the classes come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import acclimate as ac
from acclimate.methods import PTMAP, TIM, LaplacianShot, Prototypes
from acclimate.methods.few_shot.base import Level
from acclimate.seeds import generator
from benchmarks.common import DATA, say, write

RESULTS = Path(__file__).resolve().parent / "results"
TASKS, TOGETHER, WIDTH, WAYS = 1000, 50, 640, 5
PUBLISHED = {"tim": 185.0, "pt_map": 2380.0}
"""Seconds for 1,000 tasks in easyfsl's README, on a machine that it does not name: 3 min 05 s and 39 min 40 s."""
TIMED: Mapping[str, Level] = {
    "prototypes": Prototypes(),
    "tim": TIM(),
    "tim, balanced": TIM(balanced=True),
    "tim, balanced, 1000 steps": TIM(balanced=True, steps=1000),
    "pt_map": PTMAP(),
    "pt_map, balanced": PTMAP(balanced=True),
    "laplacian_shot": LaplacianShot(),
    "laplacian_shot, balanced": LaplacianShot(balanced=True),
}
LEVELS: Mapping[str, Level] = {
    "tim": TIM(),
    "tim, alpha 2": TIM(alpha=2.0),
    "tim, alpha 5": TIM(alpha=5.0),
    "tim, balanced": TIM(balanced=True),
    "pt_map": PTMAP(),
    "pt_map, balanced": PTMAP(balanced=True),
    "laplacian_shot": LaplacianShot(),
    "laplacian_shot, balanced": LaplacianShot(balanced=True),
}
AMAZON = f"{DATA}/text/amazon4_blitzer_raw.jsonl.gz"
FEATURES: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "photos": (f"{DATA}/images/pacs_112px_jpeg.zip?folder=photo", {"label": "label"}, "mobilenet_v2"),
    "paintings": (f"{DATA}/images/pacs_112px_jpeg.zip?folder=art_painting", {"label": "label"}, "mobilenet_v2"),
    "sketches": (f"{DATA}/images/pacs_112px_jpeg.zip?folder=sketch", {"label": "label"}, "mobilenet_v2"),
    "characters": (f"{DATA}/omniglot/omniglot28_evaluation.npz?x=x&y=character", {"label": "label"}, "mobilenet_v2"),
    "reviews": (AMAZON, {"input": ["text"], "label": "domain"}, "minilm"),
}
SHARES: Mapping[str, float | None] = {"equal": None, "Dirichlet 2": 2.0, "Dirichlet 0.5": 0.5}


def main() -> None:
    """Protocol: one thread. Seconds, of the processor, so that other work is not counted, and of the wall: 1,000 tasks
    of 5 ways, 5 shots, 10 queries a class and 640 made-up features, 50 tasks at a time. Accuracy: 200 tasks of 5 ways
    (reviews: 4, by their goods), 15 queries a class on average (characters: 10), whose shares are equal or drawn from a
    Dirichlet distribution; per cent of prototypes, and of the others the difference to it on the same tasks.
    """
    found: dict[str, Any] = {"protocol": main.__doc__, "published": PUBLISHED, "seconds": {}, "accuracy": {}}
    torch.set_num_threads(1)
    for name, level in TIMED.items():
        found["seconds"][name] = seconds(level)
        say(name, found["seconds"][name])
    for shots in (1, 5):
        found["accuracy"][str(shots)] = {name: accuracy(shots, alpha) for name, alpha in SHARES.items()}
    write("transductive", found, RESULTS)


def seconds(level: Level) -> dict[str, float]:
    """For all tasks, in chunks."""
    tasks = made_up(TASKS, 5, 10)
    level.logits(*(part[:TOGETHER] for part in tasks), WAYS)
    wall, processor = time.perf_counter(), time.process_time()
    for part in zip(*(whole.split(TOGETHER) for whole in tasks), strict=True):
        level.logits(*part, WAYS)
    taken = {"processor": time.process_time() - processor, "wall": time.perf_counter() - wall}
    return {name: round(value, 2) for name, value in taken.items()}


def made_up(tasks: int, shots: int, queries: int) -> tuple[Tensor, Tensor, Tensor]:
    """Support, its classes and queries: rows around class means, as they are behind a ReLU."""
    draw = torch.Generator().manual_seed(0)
    means = torch.randn(tasks, WAYS, WIDTH, generator=draw)

    def rows(count: int) -> Tensor:
        each = means.repeat_interleave(count, 1)
        return each.add_(2 * torch.randn(each.shape, generator=draw)).relu_()

    return rows(shots), torch.arange(WAYS).repeat_interleave(shots).expand(tasks, -1), rows(queries)


def accuracy(shots: int, alpha: float | None) -> dict[str, Any]:
    """Of prototypes by what the rows are; of the others the difference, and its mean."""
    tasks = {name: list(drawn(name, shots, alpha)) for name in FEATURES}
    plain = {name: right(Prototypes(), of) for name, of in tasks.items()}
    found: dict[str, Any] = {"prototypes": {name: round(value, 1) for name, value in plain.items()}}
    for title, level in LEVELS.items():
        gain = {name: right(level, of) - plain[name] for name, of in tasks.items()}
        found[title] = {name: round(value, 1) for name, value in gain.items()}
        found[title]["mean"] = round(sum(gain.values()) / len(gain), 1)
    say(shots, "shots, Dirichlet", alpha, {name: row.get("mean", row) for name, row in found.items()})
    return found


def right(level: Level, tasks: list[tuple[Tensor, ...]]) -> float:
    """Per cent of the queries."""
    hits = []
    for support, targets, query, answers in tasks:
        said = level.logits(support, targets, query, int(targets.max()) + 1).argmax(-1)
        hits.append((said == answers).float().mean().item())
    return 100 * sum(hits) / len(hits)


def drawn(name: str, shots: int, alpha: float | None, count: int = 200) -> Iterator[tuple[Tensor, ...]]:
    """Chunks of tasks; where a class has too few rows for its share, rows come again."""
    features, labels = read(name)
    ways, queries = (4 if name == "reviews" else WAYS), (10 if name == "characters" else 15)
    rows = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    rng = generator(0, "transductive", name, shots, alpha)
    for _ in range(0, count, TOGETHER):
        support, query, answers = [], [], []
        for _ in range(TOGETHER):
            shares = np.full(ways, 1 / ways) if alpha is None else rng.dirichlet([alpha] * ways)
            counts = np.full(ways, queries) if alpha is None else rng.multinomial(queries * ways, shares)
            order = [rng.permutation(rows[label]) for label in rng.choice(len(rows), ways, replace=False)]
            support.append(np.concatenate([each[:shots] for each in order]))
            asked = [np.resize(each[shots:], want) for each, want in zip(order, counts, strict=True)]
            query.append(np.concatenate(asked))
            answers.append(np.repeat(np.arange(ways), counts))
        targets = torch.arange(ways).repeat_interleave(shots).expand(TOGETHER, -1)
        yield features[np.stack(support)], targets, features[np.stack(query)], torch.from_numpy(np.stack(answers))


@cache
def read(name: str) -> tuple[Tensor, np.ndarray]:
    """Features of a frozen backbone, and labels."""
    where, options, backbone = FEATURES[name]
    domain = ac.read(where, **options)
    assert domain.labels is not None
    values = next(iter(ac.embed(domain, backbone).values()))
    return torch.from_numpy(np.asarray(values, dtype=np.float32)), np.asarray(domain.labels)


if __name__ == "__main__":
    main()
