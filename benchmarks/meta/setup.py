"""What all contenders are given: images, episodes, the network of the papers, our trainer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.backbones import registry
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.domains.episodes import Episodes
from acclimate.methods.meta.base import Learner, Learning
from acclimate.tasks.classify import Classify
from acclimate.training.device import place
from acclimate.training.episodes import EpisodeStream
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop

WAYS, SHOTS, QUERIES = 5, 1, 15
RATE, OUTER_RATE = 0.4, 1e-3
CLASSES, EACH, SIDE = 100, 20, 28
READY = 8
"""Batches that contenders other than ours take in turn, so that they have nothing to sample."""


def strokes() -> Domain:
    """Images like Omniglot's: each class a few bright lines on black, drawn again with a trembling hand."""
    rng = np.random.default_rng(0)
    ends = rng.uniform(4, 24, size=(CLASSES, 1, 3, 2, 2)) + rng.normal(scale=1.0, size=(CLASSES, EACH, 3, 2, 2))
    along = np.linspace(0, 1, 40)[:, None]
    points = (ends[..., :1, :] * (1 - along) + ends[..., 1:, :] * along).reshape(CLASSES * EACH, -1, 2)
    images = np.zeros((CLASSES * EACH, SIDE, SIDE), np.uint8)
    rows, columns = points.round().astype(int).clip(0, SIDE - 1).transpose(2, 0, 1)
    images[np.arange(len(images))[:, None], rows, columns] = 255
    labels = np.repeat([f"class {k}" for k in range(CLASSES)], EACH)
    return ac.read((images, labels), label=True, modality="image")


@dataclass(frozen=True)
class Given:
    """One training: ``tasks`` episodes a step for a learner."""

    learner: Learner
    tasks: int

    @cached_property
    def episodes(self) -> Episodes:
        return Episodes(strokes(), WAYS, SHOTS, QUERIES)

    def model(self) -> Model:
        """Ours, the same weights every time."""
        return Model(registry.create("conv4", "image", seed=0), Classify(tuple(map(str, range(WAYS)))))

    def trainer(self, model: Model, steps: int) -> Trainer:
        """The loop of `acclimate meta-train`, for so many steps."""
        training = Training(
            steps=steps, batch_size=self.tasks, learning_rate=OUTER_RATE, schedule="constant", clip=0, weight_decay=0
        )
        loop = Loop("meta", {}, Learning(self.learner, model, self.episodes.classes), episodes=self.episodes)
        tune = Tune(kind="full", batch_norm="train")
        return Trainer(model, loop, tune=tune, training=training, place=place("cpu", "fp32"), seed=0)

    def batches(self) -> list[Batch]:
        """The first episodes that the trainer reads."""
        model = self.model()
        stream = EpisodeStream("source", self.episodes, model.backbone, model.task, size=self.tasks, seed=0)
        return [stream.batch(step) for step in range(READY)]


def network_of_the_papers(model: Model) -> nn.Sequential:
    """Convolution, batch norm, ReLU, max-pooling, in this order and in torch's usual memory format; our weights."""
    blocks: list[nn.Module] = []
    for name in ("conv1", "conv2", "conv3", "conv4"):
        convolution, norm = (model.backbone.get_submodule(f"network.{name}.{k}") for k in (0, 1))
        assert isinstance(convolution, nn.Conv2d)
        width, wide = convolution.weight.shape[:2]
        ours = nn.Conv2d(wide, width, 3, padding=1, bias=False)
        ours.weight.data.copy_(convolution.weight)
        blocks += [ours, _copied(nn.BatchNorm2d(width), norm), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten())


def with_head(features: nn.Module, model: Model) -> nn.Sequential:
    """The network and a copy of our head."""
    assert isinstance(model.head, nn.Linear)
    return nn.Sequential(features, _copied(nn.Linear(model.head.in_features, WAYS), model.head))


def episodes_of(batch: Batch) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Support images and labels, query images and labels, task by task."""
    query = batch.views["query"]
    assert batch.targets is not None and query.targets is not None
    return list(zip(batch.inputs, batch.targets, query.inputs, query.targets, strict=True))


def _copied(fresh: nn.Module, other: nn.Module) -> nn.Module:
    fresh.load_state_dict(other.state_dict())
    return fresh


def outer(parameters: list[Tensor]) -> torch.optim.Optimizer:
    """The optimizer of the trainer."""
    return torch.optim.AdamW(parameters, lr=OUTER_RATE, weight_decay=0, fused=True)
