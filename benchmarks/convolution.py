"""What a step of DANN costs on a CPU with convolutional networks: here, by hand, in skada and in pytorch-adapt.

The peers are no dependency of the project: ``pip install skada skorch pytorch-adapt 'setuptools<80'``. All train the
same network on the same images in memory, in alternation in one process; precision and memory format are each one's
own defaults.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.backbones.preprocess import ImagePreprocess
from acclimate.methods import DANN, discriminator, domain_loss, reverse
from acclimate.tasks.classify import Classify
from acclimate.training.device import Precision, place
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop
from benchmarks.common import say, write
from benchmarks.overhead import ratio

CLASSES, HIDDEN, RATE = 10, 100, 1e-3
BLOCKS = 9
PEERS = ("skada", "pytorch-adapt")
Block = Callable[[int], None]


def digits_network() -> nn.Module:
    """The feature extractor of Ganin et al., JMLR 2016, figure 4a."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 48, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(48 * 16, 100), nn.ReLU()),
    )


def photo_network() -> nn.Module:
    """Four stages of two 3 x 3 convolutions with batch norm, each at half the size, then the mean over places."""
    layers: list[nn.Module] = []
    width = 3
    for wider in (32, 64, 128, 256):
        layers += [nn.Conv2d(width, wider, 3, 2, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
        layers += [nn.Conv2d(wider, wider, 3, 1, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
        width = wider
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


@dataclass(frozen=True)
class Case:
    """A network, its images and how many of each domain are in a batch; ``steps`` in a block of measurement."""

    network: Callable[[], nn.Module]
    size: int
    channels: int
    width: int
    batch: int
    steps: int


CASES = {
    "digits, 28 px": Case(digits_network, 28, 1, 100, 64, 16),
    "photos, 96 px": Case(photo_network, 96, 3, 256, 16, 4),
}


class Images:
    """As many images of either domain as a block needs, in memory."""

    def __init__(self, case: Case):
        rng = np.random.default_rng(0)
        rows, shape = case.batch * case.steps, (case.size, case.size, case.channels)
        self.labels = np.arange(rows) % CLASSES
        self.raw = [rng.integers(0, 256, (rows, *shape)).astype(np.uint8).squeeze() for _ in range(2)]
        self.read = ImagePreprocess(case.size, 1 if case.channels == 1 else 3, (0.5,), (0.5,), "stretch")
        self.tensors = [self.read(list(raw), training=False).contiguous() for raw in self.raw]


def ours(case: Case, images: Images, precision: Precision) -> Block:
    """The `Trainer` as every run uses it, reading of images and log included."""
    backbone = from_module(case.network(), "image", collate=images.read, example=images.raw[0][:1], pretrained=False)
    trainer = Trainer(
        Model(backbone, Classify(tuple(map(str, range(CLASSES))))),
        Loop(
            "dann",
            {"source": ac.read((images.raw[0], images.labels), label="y"), "target": ac.read(images.raw[1])},
            DANN(hidden=HIDDEN),
        ),
        tune=Tune("full"),
        training=Training(steps=10**9, batch_size=case.batch),
        place=place("cpu", precision),
        seed=0,
    )

    def block(steps: int) -> None:
        trainer.counters.total = trainer.counters.step + steps
        trainer.train()

    return block


def by_hand(case: Case, images: Images) -> Block:
    """Twenty lines of plain PyTorch."""
    features, head, critic = case.network(), nn.Linear(case.width, CLASSES), discriminator(case.width, HIDDEN)
    optimizer = torch.optim.AdamW(nn.ModuleList([features, head, critic]).parameters(), lr=RATE, fused=True)
    labels = torch.from_numpy(images.labels)

    def block(steps: int) -> None:
        for near, far, y in _batches(case, images, labels, steps):
            near, far = features(near), features(far)
            loss = F.cross_entropy(head(near), y) + domain_loss(critic, reverse(near, 1.0), reverse(far, 1.0))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return block


def pytorch_adapt(case: Case, images: Images) -> Block:
    """Its `DANNHook`, which also steps the optimisers, on batches cut by index."""
    from pytorch_adapt.hooks import DANNHook

    models = {"G": case.network(), "C": nn.Linear(case.width, CLASSES), "D": _critic(case.width)}
    hook = DANNHook([torch.optim.AdamW(m.parameters(), lr=RATE) for m in models.values()])
    labels = torch.from_numpy(images.labels)
    domain = torch.zeros(case.batch), torch.ones(case.batch)

    def block(steps: int) -> None:
        for near, far, y in _batches(case, images, labels, steps):
            given = {"src_imgs": near, "src_labels": y, "src_domain": domain[0]}
            hook({**models, **given, "target_imgs": far, "target_domain": domain[1]})

    return block


def skada(case: Case, images: Images) -> Block:
    """Its `DANN`, a skorch network; `fit` is one epoch of as many steps as a block has."""
    from skada.deep import DANN as Peer  # noqa: N811

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.head = case.network(), nn.Linear(case.width, CLASSES)

        def forward(self, x: Tensor, sample_weight: Any = None) -> Any:
            return self.head(self.features(x))

    net = Peer(
        Network(),
        layer_name="features",
        num_features=case.width,
        optimizer=torch.optim.AdamW,
        lr=RATE,
        batch_size=case.batch,
        max_epochs=1,
        train_split=None,
        warm_start=True,
        verbose=0,
    )
    rows = torch.cat(images.tensors).numpy()
    half = len(images.labels)
    labels = np.concatenate([images.labels, np.full(half, -1)])
    domain = np.repeat([1, -2], half)
    net.initialize()

    def block(steps: int) -> None:
        assert steps * case.batch == half
        net.fit(rows, labels, sample_domain=domain)

    return block


def _critic(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0))


def _batches(case: Case, images: Images, labels: Tensor, steps: int) -> Any:
    near, far = (torch.randperm(len(labels)) for _ in range(2))
    for step in range(steps):
        rows = slice(step * case.batch, (step + 1) * case.batch)
        yield images.tensors[0][near[rows]], images.tensors[1][far[rows]], labels[near[rows]]


def main() -> None:
    """Protocol: processor seconds of a step, blocks of the contestants in turn; the ratio is taken block by block."""
    torch.set_num_threads(1)
    results = {}
    for name, case in CASES.items():
        images = Images(case)
        contestants: dict[str, Block] = {
            "acclimate": ours(case, images, "auto"),
            "acclimate, fp32": ours(case, images, "fp32"),
            "by hand": by_hand(case, images),
            "skada": skada(case, images),
            "pytorch-adapt": pytorch_adapt(case, images),
        }
        seconds: dict[str, list[float]] = {key: [] for key in contestants}
        for turn in range(BLOCKS + 1):
            for key, block in contestants.items():
                begun = time.process_time()
                block(case.steps)
                if turn:  # the first is for warming up
                    seconds[key].append((time.process_time() - begun) / case.steps)
        results[name] = {
            "milliseconds": {key: round(1e3 * statistics.median(values), 3) for key, values in seconds.items()},
            "times as long as acclimate": {
                key: ratio(values, seconds["acclimate"]) for key, values in seconds.items() if key != "acclimate"
            },
        }
        say(name, results[name])
    versions = {name: version(name) for name in PEERS}
    write("convolution", {"protocol": main.__doc__, "blocks": BLOCKS, "versions": versions, "results": results})


if __name__ == "__main__":
    main()
