"""What one `dann` step costs beside the same arithmetic in a hand-written PyTorch loop.

The network is negligible (two small layers), the batches are in memory, and both loops are measured in
alternation in one process, so that what is compared is the framework alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.methods import DANN, discriminator, domain_loss, ganin_schedule, reverse
from acclimate.tasks.classify import Classify
from acclimate.training.device import place
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop
from benchmarks.common import say, write

ROWS, WIDTH, HIDDEN, BATCH = 2048, 16, 16, 32
STEPS, BLOCKS = 100, 41
LIMIT = 1.3


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two classes; the target is shifted."""
    rng = np.random.default_rng(0)
    labels = np.arange(ROWS) % 2
    source = rng.normal(size=(ROWS, WIDTH)).astype(np.float32) + labels[:, None].astype(np.float32)
    return source, labels, source + np.float32(0.5)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.ReLU())


def ours(steps: int, clip: bool = True) -> Callable[[], None]:
    """A block of ``steps`` steps of a `Trainer`, batches and log included."""
    source, labels, target = data()
    backbone = from_module(network(), "array", example=source[:1], pretrained=False)
    model = Model(backbone, Classify(("0", "1")))
    streams = {"source": ac.read((source, labels), label="label"), "target": ac.read(target)}
    trainer = Trainer(
        model,
        Loop("dann", streams, DANN(hidden=HIDDEN)),
        tune=Tune("full"),
        training=Training(steps=10**9, batch_size=BATCH, clip=float(clip)),
        place=place("cpu", "fp32"),
        seed=0,
    )

    def block() -> None:
        trainer.counters.total = trainer.counters.step + steps
        trainer.train()

    return block


def by_hand(steps: int, clip: bool) -> Callable[[], None]:
    """The same in plain PyTorch: fused AdamW, warm-up and decay, batches by index, clipping if asked for."""
    source, labels, target = data()
    x, y, z = torch.from_numpy(source), torch.from_numpy(labels), torch.from_numpy(target)
    features, head, critic = network(), nn.Linear(HIDDEN, 2), discriminator(HIDDEN, HIDDEN)
    modules = nn.ModuleList([features, head, critic])
    optimizer = torch.optim.AdamW(modules.parameters(), lr=1e-3, fused=True)
    done = 0

    def block() -> None:
        nonlocal done
        orders = None
        for step in range(steps):
            position = step % (ROWS // BATCH)
            if position == 0:
                orders = torch.randperm(ROWS), torch.randperm(ROWS)
            rows = [order[position * BATCH : (position + 1) * BATCH] for order in orders]
            progress = step / steps
            optimizer.param_groups[0]["lr"] = 1e-3 * min(progress / 0.06, (1 - progress) / 0.94)
            strength = ganin_schedule(progress)
            near, far = features(x[rows[0]]), features(z[rows[1]])
            task = F.cross_entropy(head(near), y[rows[0]])
            loss = task + domain_loss(critic, reverse(near, strength), reverse(far, strength))
            optimizer.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_([*features.parameters(), *head.parameters()], 1.0)
                nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
            optimizer.step()
            done += 1
            if done % 10 == 0:
                task.item(), loss.item()

    return block


def main() -> None:
    torch.set_num_threads(1)
    loops = {
        "acclimate": ours(STEPS),
        "by_hand": by_hand(STEPS, clip=True),
        "acclimate_unclipped": ours(STEPS, clip=False),
        "by_hand_unclipped": by_hand(STEPS, clip=False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for block in loops.values():
        block()
    for _ in range(BLOCKS):
        for name, block in loops.items():
            begun = time.process_time()  # of all threads; other work on the machine is not ours to count
            block()
            seconds[name].append((time.process_time() - begun) / STEPS)
    milliseconds = {name: round(1e3 * statistics.median(values), 4) for name, values in seconds.items()}
    ratios = {
        "ratio": ratio(seconds["acclimate"], seconds["by_hand"]),
        "ratio_unclipped": ratio(seconds["acclimate_unclipped"], seconds["by_hand_unclipped"]),
    }
    settings = {"batch": BATCH, "width": WIDTH, "hidden": HIDDEN, "steps": STEPS, "blocks": BLOCKS, "limit": LIMIT}
    write("overhead", {**settings, "milliseconds": milliseconds, **ratios})
    say(f"a step of dann: {milliseconds}", *(f"{name} {value['median']}" for name, value in ratios.items()))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Of each pair of blocks: median and quartiles."""
    low, middle, high = (round(float(q), 3) for q in np.quantile(np.divide(ours, theirs), [0.25, 0.5, 0.75]))
    return {"median": middle, "quartiles": [low, high]}


if __name__ == "__main__":
    main()
