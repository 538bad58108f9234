"""Numbers instead of classes: sinusoids of random amplitude and phase (Finn et al. 2017, section 5.1)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.domains.batch import Batch
from acclimate.domains.episodes import Episodes
from acclimate.errors import SettingsError
from acclimate.methods import SourceOnly
from acclimate.methods.meta.anil import ANIL
from acclimate.methods.meta.base import Learning
from acclimate.methods.meta.fomaml import FOMAML
from acclimate.methods.meta.maml import MAML
from acclimate.methods.meta.maml_pp import MAMLPP
from acclimate.methods.meta.meta_sgd import MetaSGD
from acclimate.methods.meta.r2d2 import R2D2
from acclimate.methods.meta.reptile import Reptile
from acclimate.methods.registry import META, find_meta
from acclimate.tasks.regress import Regress
from acclimate.training.device import place
from acclimate.training.episodes import EpisodeStream
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop

SHOTS = 10
LEARNERS = [
    MAML(steps=3, rate=0.02),
    FOMAML(steps=3, rate=0.02),
    Reptile(steps=8, rate=0.02),
    ANIL(steps=3, rate=0.02),
    MetaSGD(rate=0.02),
    MAMLPP(steps=2, rate=0.02),
    R2D2(),
]


def sinusoids(count, rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-5, 5, (count, rows))
    y = rng.uniform(0.1, 5, (count, 1)) * np.sin(x - rng.uniform(0, np.pi, (count, 1)))
    made = ac.read((x.reshape(-1, 1).astype(np.float32), y.reshape(-1)), label=True)
    return replace(made, groups=np.repeat([f"sinusoid {k}" for k in range(count)], rows).astype(object))


@pytest.fixture(scope="module")
def train():
    return sinusoids(300, 30, 0)


@pytest.fixture(scope="module")
def test():
    return sinusoids(100, 30, 1)


def made_model(domain):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU())
    backbone = from_module(network, "array", example=np.zeros((1, 1), np.float32), pretrained=False)
    return Model(backbone, Regress.from_domain(domain))


def train_model(model, loop, steps, size, rate):
    training = Training(batch_size=size, steps=steps, learning_rate=rate, optimizer="adam", weight_decay=0)
    trainer = Trainer(model, loop, tune=Tune(kind="full"), training=training, place=place("cpu", "fp32"), seed=0)
    trainer.train()
    return trainer.parts


def meta_train(model, learner, domain, steps=300, size=8, rate=5e-3):
    episodes = Episodes(domain, 1, SHOTS, 10, groups="tasks")
    loop = Loop("meta", {}, Learning(learner, model, episodes.classes), episodes=episodes)
    return train_model(model, loop, steps, size, rate)


def error(model, learner, parts, domain):
    """Mean squared error on 100 sinusoids, in their own unit."""
    episodes = Episodes(domain, 1, SHOTS, 20, groups="tasks")
    tasks = EpisodeStream("source", episodes, model.backbone, model.task, size=100, seed=0).batch(0)
    query = tasks.views["query"]
    values = learner.answers(model.eval(), parts, Batch(tasks.inputs, tasks.targets), query.inputs)
    assert values.shape == query.targets.shape
    return (values - query.targets).square().mean().item() * model.task.scale**2


def test_ten_steps_on_ten_points_from_meta_trained_weights_and_from_pretrained_ones(train, test):
    """The baseline learned all sinusoids together, and may choose its rate by the answers."""
    plain, model = made_model(train), made_model(train)
    train_model(plain, Loop("joint", {"source": train}, SourceOnly()), 600, 100, 1e-3)
    baseline = min(error(plain, MAML(rate=rate, test_steps=10), {}, test) for rate in (0.003, 0.01, 0.02, 0.03))
    learner = MAML(steps=3, rate=0.03, test_steps=10, mapped=True)
    parts = meta_train(model, learner, train, size=12)
    assert error(model, learner, parts, test) < baseline / 3
    assert baseline < error(plain, MAML(test_steps=0), {}, test)


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)
def test_it_learns_to_learn_numbers(learner, train, test):
    model = made_model(train)
    untrained = error(model, learner, learner.parts(model, 0), test)
    parts = meta_train(model, learner, train, steps=60)
    trained = error(model, learner, parts, test)
    assert trained < 0.8 * untrained
    if isinstance(learner, MAML):
        assert trained < error(model, replace(learner, test_steps=0), parts, test)


def test_those_that_answer_numbers_say_so():
    assert {name for name in META if find_meta(name).regresses} == {learner.name for learner in LEARNERS}


@pytest.mark.parametrize("name", [name for name in META if not find_meta(name).regresses])
def test_the_others_refuse(name, train):
    model = made_model(train)
    with pytest.raises(
        SettingsError, match=r"answers classes, and the labels here are numbers; .* maml, fomaml, reptile"
    ):
        Learning(find_meta(name)(), model, 1).parts(model.sites)
