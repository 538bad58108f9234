from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.domains.domain import Domain
from acclimate.domains.episodes import Episodes
from acclimate.methods.meta.base import Learner, Learning
from acclimate.tasks.classify import Classify
from acclimate.training.device import place
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop

WAYS = 3


@pytest.fixture
def classes() -> Callable[..., Domain]:
    """``classes(seed)``: 40 classes of 20 points; two of eight numbers tell the class, the others are louder noise."""

    def make(seed: int = 0) -> Domain:
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(40, 2)) * 2
        values = np.concatenate([np.repeat(centres, 20, axis=0), np.zeros((800, 6))], axis=1)
        values += rng.normal(size=values.shape) * ([0.2] * 2 + [3.0] * 6)
        return ac.read((values.astype(np.float32), np.repeat([f"class {k}" for k in range(40)], 20)), label=True)

    return make


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """A model of two layers, with or without batch norm."""

    def make(norm: bool = False) -> Model:
        torch.manual_seed(0)
        layers = [nn.Linear(8, 16), nn.BatchNorm1d(16)] if norm else [nn.Linear(8, 16)]
        network = nn.Sequential(*layers, nn.ReLU(), nn.Linear(16, 8))
        backbone = from_module(network, "array", example=np.zeros((1, 8), np.float32), pretrained=False)
        return Model(backbone, Classify(tuple(map(str, range(WAYS)))))

    return make


@pytest.fixture
def teach() -> Callable[..., Trainer]:
    """``teach(model, learner, domain)``: a trainer of episodes, 3 ways, 2 shots, 5 queries, 4 tasks a step."""

    def make(
        model: Model,
        learner: Learner,
        domain: Domain,
        folder: Path | None = None,
        episodes: Episodes | None = None,
        **more: float,
    ) -> Trainer:
        training = Training(
            **{"batch_size": 4, "steps": 60, "learning_rate": 1e-2, "clip": 0, "weight_decay": 0, **more}  # type: ignore[arg-type]
        )
        episodes = episodes or Episodes(domain, WAYS, 2, 5)
        loop = Loop("meta", {}, Learning(learner, model, episodes.classes), episodes=episodes)
        return Trainer(
            model,
            loop,
            tune=Tune(kind="full", batch_norm="train"),
            training=training,
            place=place("cpu", "fp32"),
            seed=0,
            folder=folder,
        )

    return make
